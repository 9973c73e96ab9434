/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads that came before. A client sends the same head again and again, save for the digits of its Content-Length;
 * what the parser said of these bytes once it would say again, as it is a pure function of them and of the limits.
 */
#ifndef TG_HTTP_KNOWN_H
#define TG_HTTP_KNOWN_H

#include "parse.h"

#define HTTP_KNOWN_BYTES_MAX 512

/* One head, zero-initialised: none. */
struct http_known {
    uint32_t len;                   /* of the text; 0: none */
    uint32_t digits_at, digits_end; /* of the Content-Length, which may differ; 0, 0: there is none */
    struct http_limits limits;      /* it was parsed with */
    struct http_head head;
    char text[HTTP_KNOWN_BYTES_MAX];
};

/**
 * The head at @buf, if it is this one under the same limits: k->len bytes of it. NULL if not, which says nothing.
 * What it points to is good until the next call of either function.
 */
const struct http_head *http_known_find(struct http_known *k, const char *buf, size_t len,
                                        const struct http_limits *limits);

/**
 * Remember what http_parse_head() made of buf[0..len) just now. Nothing is kept of a head that is long, that expects
 * something, or that has credentials: how long another client's head takes to be told apart is no hint of those.
 */
void http_known_keep(struct http_known *k, const char *buf, size_t len, const struct http_limits *limits,
                     const struct http_head *head);

#endif

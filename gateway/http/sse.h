/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events: the text/event-stream framing of the WHATWG HTML standard (9.2), written into the caller's
 * memory. Pure: no I/O, no allocation. Every call writes a whole block or nothing.
 */
#ifndef TG_HTTP_SSE_H
#define TG_HTTP_SSE_H

#include "tg/def.h"

#define HTTP_SSE_CONTENT_TYPE "text/event-stream"

struct http_sse {
    char *buf;
    size_t cap, len;
};

/* A field whose ptr is NULL is left out; an empty text is sent as an empty field. */
struct http_sse_event {
    struct tg_str event, id; /* one line each */
    struct tg_str data;      /* any number of lines: each goes out as a field of its own */
    bool has_retry;
    uint32_t retry_ms;
};

static inline void http_sse_init(struct http_sse *s, char *buf, size_t cap)
{
    *s = (struct http_sse){buf, cap, 0};
}

/**
 * Append one event. A browser fires nothing for an event without data; its id and retry still count.
 * Returns 0, -ENOSPC when it does not fit, -EINVAL when `event` or `id` hold a line break or `id` a NUL.
 */
int http_sse_event(struct http_sse *s, const struct http_sse_event *e);

/** Append a comment, which clients skip: it keeps a silent connection open. Returns 0 or -ENOSPC. */
int http_sse_comment(struct http_sse *s, struct tg_str text);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol, versions 1 (text) and 2 (binary): what a load balancer says in front of a connection about the
 * client behind it. A pure parser over the caller's bytes; docs/http.md says what is accepted.
 */
#ifndef TG_NET_PROXY_H
#define TG_NET_PROXY_H

#include "gateway/base/address.h"

/* A header is never longer. Version 1 needs 107 bytes, version 2 rarely more than 300. */
#define PROXY_HEADER_MAX 2048

enum proxy_result { PROXY_MORE, PROXY_DONE, PROXY_MALFORMED };

struct proxy_header {
    size_t bytes;           /* length of the header: the connection's own bytes follow */
    bool has_source;        /* false: the sender speaks for itself, or cannot say */
    struct address source;
    uint16_t source_port;
};

/**
 * Look at the first @len bytes of a connection. @header is set with PROXY_DONE only.
 * PROXY_MORE: it may become a header. From PROXY_HEADER_MAX bytes on (107 for version 1) that is never the answer, and
 * a first byte that begins no header is malformed at once.
 */
enum proxy_result proxy_parse(const char *data, size_t len, struct proxy_header *header);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Debian's http_parser behind a face of its own: its enums have the names of ours. */
#ifndef TG_FUZZ_HTTP_PEER_H
#define TG_FUZZ_HTTP_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_TARGET_MAX 8192
#define PEER_BODY_MAX 8192

/* What it made of one request. */
struct peer_request {
    bool head_done, done;
    const char *error; /* its name for what it refused, NULL if nothing */
    size_t head_bytes, bytes;
    char method[32], target[PEER_TARGET_MAX];
    size_t target_len;
    unsigned minor;
    bool chunked, keep_alive;
    uint64_t content_length; /* UINT64_MAX: none */
    size_t body_len;
    char body[PEER_BODY_MAX];
};

/* Feeds @in byte by byte until the request ends, the parser refuses, or the bytes run out. */
void peer_parse(struct peer_request *r, const char *in, size_t len);

#endif

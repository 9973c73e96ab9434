/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answer side of HTTP/1.1, incremental: Content-Length, chunked, and until-close framing. Servers repeat their
 * heads, so one that equals the last one read byte by byte is not parsed again.
 */
#ifndef BENCH_LOAD_RESPONSE_H
#define BENCH_LOAD_RESPONSE_H

#include "tg/def.h"

#define RESPONSE_HEAD_MAX 16384
#define RESPONSE_MEMO_MAX 1024
#define RESPONSE_TEXT_MAX 4096 /* how much of a body in pieces is kept to look for an id in */

enum response_state {
    RESPONSE_HEAD,
    RESPONSE_BODY,
    RESPONSE_CHUNK_SIZE,
    RESPONSE_CHUNK_DATA,
    RESPONSE_CHUNK_END,
    RESPONSE_TRAILER,
    RESPONSE_UNTIL_CLOSE,
};

/* What a head says about the answer. */
struct response_head {
    uint64_t length;
    uint32_t bytes; /* of the head itself */
    uint16_t status;
    bool close, chunked, has_length;
};

/* The last head seen by a thread. Start from all zeroes. */
struct response_memo {
    struct response_head head;
    char text[RESPONSE_MEMO_MAX];
};

/* One per connection. Start from all zeroes. */
struct response {
    enum response_state state;
    struct response_head head;
    uint64_t left;       /* bytes of the body or chunk that are still to come */
    struct tg_str body;  /* once done: the body, or its first 4 KiB if it came in pieces; valid until the next call */
    char *carry, *text;  /* allocated when a head or a body first arrives in pieces */
    uint32_t carry_len, text_len;
    bool head_only; /* set by the owner: the answer to HEAD has no body */
    bool keep_body; /* set by the owner: `body` is wanted */
};

enum response_result {
    RESPONSE_DONE, /* one whole answer; `used` bytes belong to it */
    RESPONSE_MORE, /* everything was taken, the answer is not complete */
    RESPONSE_BAD,  /* not HTTP, or a head over 16 KiB */
};

enum response_result response_feed(struct response *r, struct response_memo *memo, struct tg_str in, size_t *used);

/* The peer closed: true if that is what ends this answer. */
bool response_ends_at_close(struct response *r);

/* Forgets a half-read answer but keeps the memory, for the next connection. */
void response_restart(struct response *r);
void response_finish(struct response *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection's socket: whole requests in, whole answers out, nothing waits for ever. Blocks its thread;
 * ends early when the directory stops.
 */
#ifndef TG_DEVNET_WIRE_H
#define TG_DEVNET_WIRE_H

#include "gateway/http/parse.h"
#include "gateway/http/respond.h"
#include "state.h"

#define WIRE_HEAD_MAX (16u << 10)
#define WIRE_BODY_MAX (256u << 10)
#define WIRE_IN_BYTES                                                                                        \
    (WIRE_HEAD_MAX + 2 * WIRE_BODY_MAX) /* a chunked body is larger on the wire than decoded */

struct wire {
    const struct devnet *d;
    int fd;
    char *in; /* WIRE_IN_BYTES */
    size_t in_len;
    uint32_t drip_ms;     /* 0: send as fast as it goes */
    uint32_t patience_ms; /* with the next byte */
};

enum wire_result { WIRE_OK, WIRE_CLOSED, WIRE_REFUSED };

/**
 * The next request. With WIRE_OK @head, @body and @used are set: bytes of the input that it took.
 * WIRE_REFUSED sets @why.
 */
enum wire_result wire_read(struct wire *c, struct http_head *head, struct tg_str *body, size_t *used,
                           struct http_refusal *why);
/** Drop the request that was read. */
void wire_consume(struct wire *c, size_t used);

/** False: the other side is gone, too slow, or the directory stops. */
bool wire_send(struct wire *c, struct tg_str bytes);
/** The head of an answer, with a Location if that is not empty. */
bool wire_send_head(struct wire *c, const struct http_response *r, const char *location);

#endif

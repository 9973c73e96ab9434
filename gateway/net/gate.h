/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: stands between the network loop and whoever handles its connections, and decides who comes in. It counts
 * connections per peer and takes PROXY headers off before anybody else sees the bytes, TLS included.
 * A connection that is let in costs one indirect call per event from then on.
 * Thread: the worker's; `peers` is shared.
 */
#ifndef TG_NET_GATE_H
#define TG_NET_GATE_H

#include "gateway/base/buffers.h"
#include "gateway/base/metrics.h"
#include "net.h"
#include "peers.h"

/* What the gate remembers of a connection. */
struct gate_conn {
    uint64_t peer;         /* counted under this key; 0: not counted */
    struct buffer *header; /* the part of a PROXY header that has come, NULL if none */
    bool waiting;          /* for the rest of it */
};

struct gate {
    /* fixed before the loop starts */
    struct peers *peers;
    struct metrics *metrics;
    struct buffer_pool *buffers;
    bool proxy; /* TCP connections begin with a PROXY header */
    const struct address_prefix *trusted; /* who may send one */
    uint32_t trusted_count;
    struct gate_conn *conns; /* by index */
    /* whom it stands before; set by gate_attach() */
    const struct net_handlers *handlers;
    void *owner;
};

/** Connection state from @arena. Returns 0 or -ENOMEM. */
int gate_init(struct gate *g, struct tg_arena *arena, uint32_t conns_max);

/** Put the gate in front of the handlers that @options names. */
void gate_attach(struct gate *g, struct net_options *options);

#endif

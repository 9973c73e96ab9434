/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each peer has open, over all workers: what limits.connections_per_peer compares with. An IPv6
 * peer is its /64, which is what one customer gets; an IPv4 peer is one address.
 *
 * A table of fixed size in shards, each behind a lock that is held for a probe or two, when a connection comes and when
 * it goes. Shards are chosen by a keyed hash, so that no stranger can aim at one.
 * Thread: any, after peers_init().
 */
#ifndef TG_NET_PEERS_H
#define TG_NET_PEERS_H

#include <stdalign.h>
#include <stdatomic.h>

#include "gateway/base/address.h"
#include "gateway/base/random.h"
#include "tg/arena.h"

#define PEERS_SHARDS 64

struct peers_entry {
    uint64_t peer; /* 0: free */
    uint32_t count;
};

struct peers_shard {
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t held; /* the lock; all else is written under it */
    uint32_t used;
    struct peers_entry *entries;
};

struct peers {
    _Atomic uint32_t limit; /* 0: none; may change at any time, connections already open stay */
    uint32_t mask;          /* entries of a shard, less one */
    struct siphash_key key;
    struct peers_shard shards[PEERS_SHARDS];
};

size_t peers_bytes(uint32_t connections);
/** Room for as many peers as there can be connections. Returns 0 or -ENOMEM. */
int peers_init(struct peers *p, struct tg_arena *arena, uint32_t connections);

/** What stands for an address in the table; never 0. */
uint64_t peers_key(const struct address *a);

/** A connection of @peer comes. False, and nothing is counted, if it has its share already or no entry is left. */
bool peers_enter(struct peers *p, uint64_t peer);
/** A connection that entered goes. */
void peers_leave(struct peers *p, uint64_t peer);

static inline uint32_t peers_limit(const struct peers *p)
{
    return atomic_load_explicit(&p->limit, memory_order_relaxed);
}

#endif

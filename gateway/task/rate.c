/* SPDX-License-Identifier: Apache-2.0 */
/* The rate limit table. */
#include <errno.h>
#include <stdalign.h>
#include "gateway/base/clock.h"
#include "gateway/base/spin.h"
#include "rate.h"

#define BUCKET_NAMES 7
#define BUCKETS 1024
_Static_assert(BUCKETS *BUCKET_NAMES >= RATE_NAMES, "room for the promised number of names");

struct rate_entry {
    uint64_t hash; /* 0: empty */
    uint32_t window, hits;
};

struct rate_bucket {
    alignas(128) _Atomic uint32_t locked;
    struct rate_entry names[BUCKET_NAMES];
};

int rate_init(struct rate *r, struct tg_arena *arena, uint32_t limit)
{
    r->buckets = tg_arena_alloc(arena, BUCKETS * sizeof(*r->buckets), 128);
    if (!r->buckets)
        return -ENOMEM;
    atomic_store_explicit(&r->limit, limit, memory_order_relaxed);
    random_bytes(&r->key, sizeof(r->key));
    return 0;
}

/* The name's entry, else the one it may take: of an earlier window, or with the fewest hits. */
static struct rate_entry *find(struct rate_bucket *b, uint64_t hash, uint32_t window)
{
    struct rate_entry *victim = &b->names[0];
    for (uint32_t i = 0; i < BUCKET_NAMES; i++) {
        struct rate_entry *e = &b->names[i];
        if (e->hash == hash)
            return e;
        bool stale = e->window != window, victim_stale = victim->window != window;
        if ((stale && !victim_stale) || (stale == victim_stale && e->hits < victim->hits))
            victim = e;
    }
    *victim = (struct rate_entry){.hash = hash, .window = window};
    return victim;
}

bool rate_hit(struct rate *r, struct tg_str name, uint64_t now_ns)
{
    uint32_t limit = atomic_load_explicit(&r->limit, memory_order_relaxed);
    if (limit == 0)
        return true;
    uint64_t hash = siphash(&r->key, name.ptr, name.len) | 1;
    uint32_t window = (uint32_t)(now_ns / NS_PER_S / RATE_WINDOW_S) + 1;
    struct rate_bucket *b = &r->buckets[(hash >> 32) % BUCKETS];
    spin_lock(&b->locked);
    struct rate_entry *e = find(b, hash, window);
    if (e->window < window) { /* another worker may be a turn ahead: its window counts */
        e->window = window;
        e->hits = 0;
    }
    bool allowed = e->hits < limit;
    e->hits += allowed;
    spin_unlock(&b->locked);
    return allowed;
}

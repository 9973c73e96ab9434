/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed-window rate limit by name (Origin header), shared by all workers, of fixed size. A bucket that is full of
 * current windows makes room by dropping the name with the fewest hits.
 * Thread: any.
 */
#ifndef TG_RATE_H
#define TG_RATE_H

#include <stdatomic.h>
#include "gateway/base/random.h"
#include "tg/arena.h"

#define RATE_NAMES 4096
#define RATE_WINDOW_S 60

struct rate_bucket;

struct rate {
    struct siphash_key key;
    struct rate_bucket *buckets;
    _Atomic uint32_t limit; /* hits per window; 0: off; reloadable */
};

int rate_init(struct rate *r, struct tg_arena *arena, uint32_t limit);

/** Count a hit. False if the name is over its limit. */
bool rate_hit(struct rate *r, struct tg_str name, uint64_t now_ns);

#endif

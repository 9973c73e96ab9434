/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A window of things seen lately (nonces, task ids), shared by all workers, of fixed size. Fifteen entries per
 * bucket; keys are hashed with a secret, so that nobody can aim at a bucket. A full bucket forgets its oldest
 * entry, which is counted: size the table for rate * window.
 * Thread: any; a bucket is guarded by a lock of its own for some tens of nanoseconds.
 */
#ifndef TG_WINDOW_H
#define TG_WINDOW_H

#include <stdatomic.h>
#include "gateway/base/random.h"
#include "tg/arena.h"

struct window_bucket;

struct window {
    struct siphash_key key;
    struct window_bucket *buckets;
    uint32_t mask, seconds;
};

enum window_result { WINDOW_NEW, WINDOW_SEEN, WINDOW_NEW_EVICTED };

/** Room for @entries (rounded up). Returns 0 or -ENOMEM. */
int window_init(struct window *w, struct tg_arena *arena, uint32_t entries, uint32_t seconds);

/** Note @name at @now_ns unless it was noted within the window. */
enum window_result window_note(struct window *w, struct tg_str name, uint64_t now_ns);

#endif

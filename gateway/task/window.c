/* SPDX-License-Identifier: Apache-2.0 */
/* The replay and idempotency windows. */
#include <errno.h>
#include <stdalign.h>
#include "gateway/base/clock.h"
#include "gateway/base/spin.h"
#include "window.h"

#define BUCKET_ENTRIES 15

/* An entry is 40 bits of hash and 24 bits of time in seconds; 0 is empty. */
#define TIME_BITS 24
#define TIME_MASK ((1ull << TIME_BITS) - 1)

#define CLOCK_LAG_S_MAX 60 /* by which two workers' ideas of now may differ */

struct window_bucket {
    alignas(128) _Atomic uint32_t locked;
    uint64_t entries[BUCKET_ENTRIES];
};
_Static_assert(sizeof(struct window_bucket) == 128, "a bucket is two cache lines");

int window_init(struct window *w, struct tg_arena *arena, uint32_t entries, uint32_t seconds)
{
    uint32_t buckets = 1;
    while (buckets < (1u << 31) && (uint64_t)buckets * BUCKET_ENTRIES < (uint64_t)entries * 2) /* buckets fill unevenly */
        buckets *= 2;
    w->buckets = tg_arena_alloc(arena, (size_t)buckets * sizeof(*w->buckets), 128);
    if (!w->buckets)
        return -ENOMEM;
    w->mask = buckets - 1;
    w->seconds = seconds;
    random_bytes(&w->key, sizeof(w->key));
    return 0;
}

/* Workers read the clock once a turn, so an entry may carry a second that has not come yet for the one who looks. */
static uint64_t entry_age(uint64_t entry, uint64_t now_s)
{
    uint64_t age = (now_s - (entry & TIME_MASK)) & TIME_MASK;
    return age > TIME_MASK - CLOCK_LAG_S_MAX ? 0 : age;
}

/* The entry of this hash, else the one to overwrite: an empty one, or the oldest. */
static uint64_t *find(struct window_bucket *b, uint64_t fingerprint, uint64_t now_s)
{
    uint64_t *oldest = &b->entries[0];
    for (uint32_t i = 0; i < BUCKET_ENTRIES; i++) {
        uint64_t *e = &b->entries[i];
        if (*e != 0 && (*e & ~TIME_MASK) == fingerprint)
            return e;
        if (*oldest != 0 && (*e == 0 || entry_age(*e, now_s) > entry_age(*oldest, now_s)))
            oldest = e;
    }
    return oldest;
}

enum window_result window_note(struct window *w, struct tg_str name, uint64_t now_ns)
{
    uint64_t hash = siphash(&w->key, name.ptr, name.len);
    uint64_t fingerprint = (hash | 1ull << 63) & ~TIME_MASK; /* never 0 */
    uint64_t now_s = (now_ns / NS_PER_S) & TIME_MASK;
    struct window_bucket *b = &w->buckets[hash & w->mask];
    enum window_result result = WINDOW_NEW;
    spin_lock(&b->locked);
    uint64_t *e = find(b, fingerprint, now_s);
    bool live = *e != 0 && entry_age(*e, now_s) < w->seconds;
    if (live && (*e & ~TIME_MASK) == fingerprint) {
        result = WINDOW_SEEN;
    } else {
        result = live ? WINDOW_NEW_EVICTED : WINDOW_NEW;
        *e = fingerprint | now_s;
    }
    spin_unlock(&b->locked);
    return result;
}

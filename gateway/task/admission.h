/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many tasks may be accepted and unfinished at once, over all workers: one counter, claimed by
 * compare-and-swap so that it never over-counts, not even for an instant.
 * Thread: any worker.
 */
#ifndef TG_ADMISSION_H
#define TG_ADMISSION_H

#include <stdatomic.h>
#include "tg/doorbell.h"

#define ADMISSION_WORKERS_MAX 64

struct admission {
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t active;
    _Atomic uint64_t waiting; /* bit per worker that has tasks waiting for a slot */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t max_concurrent; /* offered now: all, or less by the hour */
    _Atomic uint32_t base_concurrent;                             /* all, reloadable */
    _Atomic uint32_t wait_ms, retry_after_s;                      /* likewise */
    _Atomic uint32_t not_ready;       /* reasons, a bit each (ready.h); 0: ready */
    _Atomic uint32_t draining;        /* the way out: not ready is told first, this enforces it */
    _Atomic uint32_t device_retry_ms; /* while devices are withdrawn: until the first is tried again; else 0 */
    _Atomic uint32_t devices_out;     /* executors, a bit each by number: withdrawn, nothing is to be sent there */
    _Atomic uint32_t devices_waiting; /* likewise: a new process comes, what is sent there waits for it */
    uint32_t worker_count;
    struct tg_doorbell *workers[ADMISSION_WORKERS_MAX];
};

/** Claim a slot if active < max_concurrent. */
bool admission_claim(struct admission *a);

/** Give one back, and wake the workers that wait for it. */
void admission_release(struct admission *a);

/** Worker @w has (or no longer has) tasks waiting. After setting, try admission_claim() once more. */
void admission_set_waiting(struct admission *a, uint32_t w, bool waiting);

static inline uint32_t admission_active(const struct admission *a)
{
    return atomic_load_explicit(&a->active, memory_order_relaxed);
}

static inline uint32_t admission_max(const struct admission *a)
{
    return atomic_load_explicit(&a->max_concurrent, memory_order_relaxed);
}

/**
 * Is a slot free? The last look of a worker that has tasks waiting and has said that it sleeps: a release that came
 * before woke nobody, a later one rings.
 */
static inline bool admission_has_room(const struct admission *a)
{
    return atomic_load_explicit(&a->active, memory_order_seq_cst) < admission_max(a); /* A5 pairs with A2 */
}

#endif

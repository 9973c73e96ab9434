/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's inside, shared by its round (executor.c) and its thread (executor_thread.c). */
#ifndef TG_EXECUTOR_H
#define TG_EXECUTOR_H

#include <pthread.h>
#include "share.h"
#include "stream.h"

/* One writer, the executor; anyone may read. Relaxed everywhere: each is a number by itself. */
struct executor_stats {
    _Atomic uint64_t batches, rows, rows_expired, rows_failed, faults, batch_rows_max, sleeps;
    _Atomic uint32_t inflight;
};

static inline void stat_add(_Atomic uint64_t *stat, uint64_t n)
{
    atomic_store_explicit(stat, atomic_load_explicit(stat, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void stat_max(_Atomic uint64_t *stat, uint64_t n)
{
    if (n > atomic_load_explicit(stat, memory_order_relaxed))
        atomic_store_explicit(stat, n, memory_order_relaxed);
}

/* A runner instance on this device. */
struct executor_instance {
    const struct tg_instance *instance;
    struct batch_former former;
    struct stream *streams; /* instance->streams of them */
    uint32_t running;       /* streams not free */
};

struct tg_executor {
    struct tg_executor_options options;
    const struct tg_backend *backend;
    struct tg_device *device; /* NULL: lost, opened again at reopen_ns */
    struct tg_device_info info;
    uint64_t reopen_ns;
    struct executor_instance *instances;
    struct device_share share; /* of its time, between the batches on it */
    struct stream *streams; /* of all instances; the index is the device's stream number */
    struct tg_doorbell **workers; /* copy of options.workers */
    struct batch_lane *lanes;
    struct batch_lane **by_bit; /* [worker][doorbell bit] */
    uint32_t stream_count, bit_words, inflight, first_instance;
    /* thread host */
    bool threaded, started;
    pthread_t thread;
    _Atomic uint32_t stop;
    alignas(TG_CACHE_SEPARATION) struct executor_stats stats;
};

#endif

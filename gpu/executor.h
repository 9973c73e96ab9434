/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's inside, shared by its round (executor.c) and its thread (executor_thread.c). */
#ifndef TG_EXECUTOR_H
#define TG_EXECUTOR_H

#include <pthread.h>
#include "pace.h"
#include "recover.h"
#include "share.h"
#include "stream.h"

/* One writer, the executor; anyone may read. Relaxed everywhere: each is a number by itself. */
struct executor_stats {
    _Atomic uint64_t batches, rows, rows_expired, rows_failed, faults, batch_rows_max, sleeps;
    _Atomic uint64_t rows_requeued, rows_poisoned;
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

/*
 * Process host: lies in shared memory, outlives the process. A keeper reads it to judge the process that lives now, and
 * the next one goes on counting where this one ended.
 */
struct tg_executor_life {
    /* the executor writes; relaxed, since each is a number by itself */
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t beat_ns; /* when it was last seen turning */
    _Atomic uint64_t oldest_ns; /* when the oldest batch on the device was submitted, 0: none */
    _Atomic uint32_t up;        /* V1 pairs with V2: the device is open, and `info` says which */
    struct tg_device_info info;
    struct tg_error why;        /* its last words; read after its end */
    struct executor_stats stats;
    /* the keeper writes */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t stop;
};

/* A runner instance on this device. */
struct executor_instance {
    const struct tg_instance *instance;
    struct batch_former former;
    struct stream *streams; /* instance->streams of them */
    uint32_t running;       /* streams not free */
    struct pace_sum pace;
    int fault_told; /* the error of the last batch that failed alone, 0: none yet */
};

struct tg_executor {
    struct tg_executor_options options;
    const struct tg_backend *backend;
    struct tg_device *device; /* NULL: lost, opened again at reopen_ns */
    struct tg_device_info info;
    uint64_t opened_ns; /* when it was opened again last, 0: never */
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
    _Atomic uint32_t lost; /* there is no device now; anyone reads, relaxed */
    /* process host */
    struct recovery recovery;
    bool recovering; /* what a dead process left has not all come to an end yet */
    uint64_t beat_due_ns;
    bool gone; /* the device, and so this process is of no use any more */
    struct executor_stats *stats; /* own_stats, or life's */
    alignas(TG_CACHE_SEPARATION) struct executor_stats own_stats;
};

/** The loop of the thread and of the process: returns when told to stop, or once the device is gone. */
void executor_run(struct tg_executor *ex);

void executor_stats_read(const struct executor_stats *from, struct tg_executor_stats *stats);

/** Process host: tell the keeper that we live, and since when the oldest batch has been running. */
void executor_beat(struct tg_executor *ex, uint64_t now_ns);

#endif

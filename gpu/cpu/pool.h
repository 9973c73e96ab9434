/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compute threads of the cpu device. One submitter (the executor) hands over jobs, one per stream; the
 * threads share out the parts of each. README.md in this folder lists the memory-order edges by label.
 */
#ifndef TG_CPU_POOL_H
#define TG_CPU_POOL_H

#include "../backend.h"

struct tg_cpu_pool;

struct tg_cpu_pool_options {
    uint32_t threads;             /* at least 1 */
    uint32_t streams;             /* jobs in flight at most */
    struct tg_doorbell *doorbell; /* woken if asleep when a job ends; outlives the pool; or NULL */
};

/** Start the threads. Everything is allocated here. Returns 0 or negative errno. */
int tg_cpu_pool_create(const struct tg_cpu_pool_options *options, struct tg_cpu_pool **pool);

/** Threads finish the part in hand and end; parts still queued are not run. NULL is fine. */
void tg_cpu_pool_destroy(struct tg_cpu_pool *pool);

/**
 * Start @job on its stream, which must be free, in parts of @part_rows rows (at most TG_CPU_PARTS_PER_THREAD
 * per thread). The job is the pool's until tg_cpu_pool_ended().
 * Thread: the submitter. No lock, no allocation; a system call only if threads sleep.
 */
void tg_cpu_pool_submit(struct tg_cpu_pool *pool, struct tg_job *job, uint32_t part_rows);

/** True once every part has ended: @error is the first that failed (or 0), @ready_ns the latest asked for. */
bool tg_cpu_pool_ended(struct tg_cpu_pool *pool, uint32_t stream, int *error, uint64_t *ready_ns);

#endif

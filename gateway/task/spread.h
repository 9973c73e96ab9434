/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several executors gets a task: the one that is expected to be through with it first. What waits at each and how
 * long a row takes there are estimates, looked up once a turn in numbers that others write; within a turn only what was
 * sent meanwhile is added. Executors that are about as good take turns. docs/decisions/0011-several-devices.md
 * Thread: the worker that owns `struct spread`, but for what is said to be shared.
 */
#ifndef TG_SPREAD_H
#define TG_SPREAD_H

#include "tg/arena.h"
#include "tg/gpu.h"

/* What one worker has at each device, in ns of its time. Written by that worker, read by the others; relaxed, each a
 * number by itself. */
struct spread_load {
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t ns[TG_DEVICES_MAX]; /* by number - 1 */
};

/* What choosing knows of an instance on an executor. */
struct spread_pace {
    uint32_t rows;   /* of ours that are there */
    uint64_t row_ns; /* as of this turn */
};

struct spread {
    /* fixed after init */
    struct spread_load *loads;  /* of all workers; shared */
    uint32_t worker, worker_count, executor_count, instance_count;
    const struct tg_pace *pace[TG_EXECUTORS_MAX]; /* by number, then by instance; shared. NULL: the cpu's has none */
    struct spread_pace *paces;  /* [number][instance] */
    uint32_t *rows_last;        /* by instance: how many the last task had */
    uint8_t *last;              /* by instance: whose turn it was */
    bool changed;                        /* what we have out, since the others were told */
    /* of this turn */
    uint64_t now_ns;
    uint64_t backlog_ns[TG_EXECUTORS_MAX];
    uint64_t since_ns[TG_EXECUTORS_MAX]; /* since when we have had rows there */
    uint32_t rows[TG_EXECUTORS_MAX];     /* of ours that are there */
};

struct spread_options {
    struct spread_load *loads; /* by worker, zero at first */
    uint32_t worker, worker_count;
    uint32_t executor_count;   /* with the cpu's: numbers are below it */
    uint32_t instance_count;
    struct tg_pace *const *pace; /* by number; copied */
};

/** Returns 0 or -ENOMEM. */
int spread_init(struct spread *s, struct tg_arena *arena, const struct spread_options *o);
size_t spread_bytes(uint32_t executor_count, uint32_t instance_count);

/** The best of @among, a bit each by number, none of them the cpu's. */
uint32_t spread_choose(struct spread *s, uint32_t instance, uint32_t among, uint64_t now_ns);

/** So many rows go to, and have come back from, executor @number. */
void spread_sent(struct spread *s, uint32_t number, uint32_t instance, uint32_t rows, uint64_t now_ns);
void spread_back(struct spread *s, uint32_t number, uint32_t instance, uint32_t rows);

/** Let the other workers see what we have out, if that has changed. To be called once a turn or more often. */
void spread_tell(struct spread *s, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The task layer without network, device or clock. The rig is the door (told of outcomes), the executor
 * (takes rows and completes them in any order) and the hand on the clock. A payload is a number: how many
 * rows the task wants.
 */
#ifndef TASK_RIG_H
#define TASK_RIG_H

#include <criterion/criterion.h>
#include "gateway/base/clock.h"
#include "gateway/task/task.h"

#define RIG_TASKS 24
#define RIG_ROWS 16   /* of each lane */
#define RIG_BUFFERS 4 /* of each class: what waiting bodies may use */
#define RIG_TIMEOUT_MS 5000

struct rig_options {
    uint32_t max_concurrent, wait_ms;
    uint32_t devices; /* that serve the instance, numbered from 1; 0: the cpu's executor does */
    bool spare;       /* which stands in for them */
};

#define RIG_DEVICES_MAX 2

struct rig {
    struct tasks ts;
    struct tg_instance instance;
    struct tg_instance *instances[1];
    struct task_crowd crowd;
    struct tg_arena arena;
    struct timer_wheel wheel;
    struct buffer_pool buffers;
    struct admission admission;
    struct metrics metrics;
    struct tg_lane *lanes[(RIG_DEVICES_MAX + 1) * TG_PRIORITIES]; /* by number of the executor */
    struct spread spread;
    struct spread_load *loads;
    struct tg_pace *pace[RIG_DEVICES_MAX + 1];
    struct task_door door;
    /* what the door was told */
    uint32_t ready_calls, resumed;
    struct task *ready[RIG_TASKS];
    /* rows the executor has taken */
    struct {
        struct tg_lane *lane;
        uint32_t cursor;
    } running[(RIG_DEVICES_MAX + 1) * TG_PRIORITIES * RIG_ROWS];
    uint32_t running_count;
    uint32_t buffers_got; /* classes' use at the start, to compare with the end */
};

extern struct rig rig;

void rig_open(const struct rig_options *o);
/** All tasks closed and all rows home: nothing is left behind anywhere. */
void rig_check_empty(void);
void rig_close(void);

/** A request for @rows rows. NULL if there is no slot. Its outcome may be known on return. */
struct task *rig_offer(enum tg_priority p, uint32_t rows, uint32_t timeout_ms);

/** What a worker does between two looks at the network; the clock moves on by @ns first. */
void rig_turn(uint64_t ns);

/** Executors: take what is published. Returns the number of rows they hold now. */
uint32_t rig_take(void);
/** Executor: complete the @i-th row it holds, and ring. */
void rig_complete(uint32_t i, enum tg_status status);
/** Take, complete everything well, and let the worker reap. */
void rig_run_all(void);

/** Was the door told of @t, and how often? */
uint32_t rig_times_ready(const struct task *t);
/** The answer is written: forget the task. */
void rig_answer(struct task *t);

uint64_t rig_counter(enum metric which);

#endif

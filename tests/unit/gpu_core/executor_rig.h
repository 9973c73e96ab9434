/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor between two workers' lanes. The rig plays the workers: it puts numbered rows, takes completions
 * only from lanes that were rung for, and knows of every row whether it came back once, with the right bytes.
 */
#ifndef EXECUTOR_RIG_H
#define EXECUTOR_RIG_H

#include "puppet.h"
#include "tg/gpu.h"

#define RIG_WORKERS 2
#define RIG_PRIORITIES 2 /* lanes per worker: realtime and interactive */
#define RIG_ROWS 64
#define RIG_TASKS_MAX 200000
#define MS 1000000ull
#define SECOND (1000 * MS)

struct rig_options {
    const char *backend, *spec;
    uint32_t threads, max_batch, max_delay_us, streams, spin_us;
    bool threaded; /* and then real time */
    bool process;  /* as in a process of its own: rig_take_over() is the next one */
};

struct rig {
    struct tg_instance instance;
    struct tg_instance *instances[1];
    struct tg_arena arena;
    struct tg_lane *lanes[RIG_WORKERS * RIG_PRIORITIES];
    struct tg_doorbell *doorbell, *workers[RIG_WORKERS];
    struct tg_executor *ex;
    struct tg_error why;
    bool threaded;
    struct tg_executor_life *life;
    uint64_t now_ns, wake_ns; /* of the last turn */
    uint32_t log_lines;       /* so many, and the last of them */
    char log[256];
    /* accounts */
    uint32_t put, back, by_status[TG_STATUS_COUNT], wrong;
    uint8_t seen[RIG_TASKS_MAX];
};

extern struct rig rig;

/** Returns what tg_executor_create() said. */
int rig_create(const struct rig_options *o);
/** The same, and it must work. */
void rig_open(const struct rig_options *o);
void rig_close(void);
/** The executor dies as it stands, and another one on the device @spec takes over its lanes. */
void rig_take_over(const char *spec);

/** Put up to @n rows that expire at @deadline_ns into a lane, as far as they fit. Returns how many. */
uint32_t rig_put(uint32_t worker, uint32_t priority, uint32_t n, uint64_t deadline_ns);
/** One round at rig.now_ns; the wake-up it asks for is in rig.wake_ns. */
bool rig_turn(void);
/** Reap and retire what the doorbells announce. Returns the number of rows. */
uint32_t rig_reap(void);
/** Turn as a host would that sleeps when told to, until everything is back or nothing would ever happen. */
void rig_drain(void);
/** Thread host: reap until all are back; gives up when nothing has come for ten seconds. */
void rig_await(void);
/** Every row came back once, with right bytes where it ran, and the executor's counters add up. */
void rig_check_accounts(void);

struct tg_executor_stats rig_stats(void);

#endif

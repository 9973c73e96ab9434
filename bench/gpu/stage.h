/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One runner instance, its lanes, and an executor that is turned by hand: the bench plays the workers. What the
 * programs of this folder have in common.
 */
#ifndef TG_BENCH_GPU_STAGE_H
#define TG_BENCH_GPU_STAGE_H

#include "gpu/backend.h"
#include "gpu/runner.h"

#define STAGE_LANES_MAX 64

struct stage_options {
    const char *backend, *spec;
    const struct tg_setting *settings; /* of the runner; ends with a NULL key */
    uint32_t lanes, lane_rows;
    uint32_t max_batch, streams, threads;
};

struct stage {
    struct tg_instance *instance;
    struct tg_arena arena;
    struct tg_lane *lanes[STAGE_LANES_MAX];
    uint32_t lane_count;
    struct tg_doorbell *bell, *back; /* the executor's, the worker's */
    struct tg_doorbell *workers[1];
    struct tg_executor *ex;
};

/**
 * Instance and lanes; with stage_start() the executor, which has the lanes for itself from then on: memory can be
 * registered with a device once. Ends the program with a line on stderr if anything is wrong; with 77 if there is no such
 * device.
 */
void stage_open(struct stage *s, const struct stage_options *o);
void stage_start(struct stage *s, const struct stage_options *o);
void stage_close(struct stage *s);

/** Publish up to @n rows in a lane and ring. Rows keep the bytes they have. Returns how many fitted. */
uint32_t stage_put(struct stage *s, uint32_t lane, uint32_t n, uint64_t now_ns);
/** The same for rows that came one after the other, @step_ns apart. */
uint32_t stage_put_spread(struct stage *s, uint32_t lane, uint32_t n, double first_ns, double step_ns);
/** Take back and retire what has come. Returns the rows. */
uint32_t stage_take(struct stage *s);

/* What runners and devices are given: log lines go to stdout, behind "# ". */
extern const struct tg_host stage_host;

uint64_t stage_now_ns(void);
void stage_pin(int cpu);

/* Figures of some rounds, in ascending order after stage_sort(). */
void stage_sort(double *samples, uint32_t n);

#endif

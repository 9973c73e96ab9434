/* SPDX-License-Identifier: Apache-2.0 */
/* Where the time of a task goes, step by step, between its JSON and its answer's. */
#ifndef TG_BENCH_GPU_TIMELINE_H
#define TG_BENCH_GPU_TIMELINE_H

#include "stage.h"

/**
 * Send @rows tasks at once through the stage's executor, again and again for @seconds, and print when each step was over:
 * the median and the 99th percentile, in nanoseconds from the start, and a picture. @rows fit one batch.
 */
void timeline(struct stage *s, uint32_t rows, double seconds);

#endif

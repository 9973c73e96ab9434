/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that come at a given rate, whatever the device does. */
#ifndef TG_BENCH_GPU_LOAD_H
#define TG_BENCH_GPU_LOAD_H

#include "stage.h"

struct load_figures {
    double p50_ns, p99_ns; /* from the instant a row was due to the worker's having it back */
    double rows_per_s;     /* that came back; much below what was asked for: there is no such load */
};

/** Open loop for @seconds; the executor is turned by the caller's thread. */
void load_run(struct stage *s, double rows_per_s, double seconds, struct load_figures *out);

#endif

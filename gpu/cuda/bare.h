/* SPDX-License-Identifier: Apache-2.0 */
/* Part of bench-device, not of the program: what a runner's kernels reach without anything of ours around
 * them. */
#ifndef TG_CUDA_BARE_H
#define TG_CUDA_BARE_H

#include "tg/runner.h"

struct bare_options {
    const struct tg_runner *runner;
    void *self;
    const void *in;    /* @rows rows as a task's are, in host memory */
    struct tg_row row; /* what is known of each of them: param and in_len */
    uint32_t in_stride, out_stride, rows, streams;
    double seconds; /* for each figure, about */
};

struct bare_figures {
    double in_place_us;              /* a batch of rows that lie in device memory, launched back to back */
    double copied_us;                /* a batch with one copy in and one out, @streams of them in flight */
    double lone_p50_us, lone_p99_us; /* one row: copy, kernels, copy, wait */
};

/** Returns 0; -ENOTSUP where there is nothing to hold against; a cudaError_t. */
int bare_measure(const struct bare_options *o, struct bare_figures *out);

#endif

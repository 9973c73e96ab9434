/* SPDX-License-Identifier: Apache-2.0 */
/* saxpy's instance and the layout of its rows, which every device must know. */
#ifndef TG_RUNNERS_SAXPY_H
#define TG_RUNNERS_SAXPY_H

#include "tg/runner.h"

/*
 * An input row is x, then y, each `n` floats padded to a multiple of four; the output row is z. row->param holds
 * the bits of a.
 */
typedef void saxpy_fn(uint32_t n, float a, const float *x, const float *y, float *out);

struct saxpy {
    uint32_t n;
    saxpy_fn *compute;
};

static inline uint32_t saxpy_padded(uint32_t n)
{
    return (n + 3) / 4 * 4;
}

#endif

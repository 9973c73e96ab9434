/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runner that devices are tested with: each output row depends on every byte of its input row, on its
 * length and on its parameter, so that a row computed from another's bytes, twice or not at all shows. Flags
 * in row->param ask for errors; everything the runner saw is counted.
 */
#ifndef TG_TEST_SCRAMBLE_H
#define TG_TEST_SCRAMBLE_H

#include "tg/runner.h"

#define SCRAMBLE_IN_STRIDE 64
#define SCRAMBLE_OUT_STRIDE 128

/* Bits of row->param above the multiplier. */
#define SCRAMBLE_FAIL (UINT64_C(1) << 32)     /* the call that sees this row returns -EILSEQ */
#define SCRAMBLE_POSITIVE (UINT64_C(1) << 33) /* ... returns 1, against the rules */
#define SCRAMBLE_REFUSE (UINT64_C(1) << 34)   /* this row alone gets TG_INVALID and no bytes */
#define SCRAMBLE_READY (UINT64_C(1) << 35)    /* not done before row->deadline_ns */
#define SCRAMBLE_WAIT (UINT64_C(1) << 36)     /* the call waits until `gate` is open */

struct scramble {
    uint32_t row_ns; /* for the shape: how finely a device should cut */
    int warm_up_result;
    _Atomic uint32_t warm_ups, calls, rows;
    _Atomic uint32_t waiting; /* calls at the gate */
    _Atomic uint32_t gate;
};

extern const struct tg_runner scramble_runner;

/* Its part for a GPU: scramble_kernel.c where there is one, else scramble_no_kernel.c. */
extern const struct tg_runner_cuda scramble_cuda;

/** The reference: one row. Returns the bytes written to @out. */
uint32_t scramble_row(uint32_t multiplier, const uint8_t *in, uint32_t in_len, uint8_t *out);

#endif

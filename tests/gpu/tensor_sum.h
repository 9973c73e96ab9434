/* SPDX-License-Identifier: Apache-2.0 */
/* One product on the tensor cores for each of many trials. */
#ifndef TG_TEST_TENSOR_SUM_H
#define TG_TEST_TENSOR_SUM_H

#include <stdint.h>

#define SUM_ROWS 16
#define SUM_COLUMNS 8
#define SUM_DEPTH 16

/* Matrices row by row; a and b hold the bits of 16-bit floats. c += a b */
struct sum_trial {
    uint16_t a[SUM_ROWS][SUM_DEPTH], b[SUM_DEPTH][SUM_COLUMNS];
    float c[SUM_ROWS][SUM_COLUMNS];
};

#ifdef __cplusplus
extern "C"
#endif
/** On device 0. Returns a cudaError_t. */
int tensor_sum(struct sum_trial *trials, uint32_t count);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Launches the scramble runner's kernel. */
#ifndef TG_TEST_SCRAMBLE_KERNEL_H
#define TG_TEST_SCRAMBLE_KERNEL_H

#include "tg/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SCRAMBLE_KERNEL_REFUSE (UINT64_C(1) << 34)
#define SCRAMBLE_KERNEL_INVALID 1u /* checked against TG_INVALID where that is known */

int scramble_kernel(const struct tg_cuda_batch *batch);

#ifdef __cplusplus
}
#endif

#endif

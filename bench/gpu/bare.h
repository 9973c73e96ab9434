/* SPDX-License-Identifier: Apache-2.0 */
/* What a runner's kernels reach without anything of ours around them. */
#ifndef TG_BENCH_GPU_BARE_H
#define TG_BENCH_GPU_BARE_H

#include <stdint.h>

/** Times the kernels of echo or saxpy on @rows rows that lie in device memory, and prints; others: says nothing. */
void bare_kernels(const char *type, uint32_t in_stride, uint32_t out_stride, uint32_t rows);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every kernel source begins with. TG_LAUNCH is a macro so that the tests can compile the same sources for
 * the host and run them thread by thread.
 */
#ifndef TG_CUDA_LAUNCH_CUH
#define TG_CUDA_LAUNCH_CUH

#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "kernels.h"

#ifndef TG_LAUNCH
#define TG_LAUNCH(kernel, grid, block, stream, ...)                                                                \
    (kernel<<<(grid), (block), 0, (cudaStream_t)(stream)>>>(__VA_ARGS__), (int)cudaGetLastError())
#endif

#ifndef TG_OUT_OF_LINE
#define TG_OUT_OF_LINE __noinline__
#endif

#define TG_THREADS 256

/* Blocks of TG_THREADS for @items, but no more than @max: kernels loop over what is left. */
static inline unsigned tg_blocks(uint64_t items, unsigned max)
{
    uint64_t blocks = (items + TG_THREADS - 1) / TG_THREADS;
    return blocks == 0 ? 1 : blocks > max ? max : (unsigned)blocks;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Fragments as gpu/cuda/mma.cuh describes them, from matrices and back. A warp for each trial. */
#include "mma.cuh"
#include "tensor_sum.h"

static inline __device__ uint32_t pair(uint16_t low, uint16_t high)
{
    return low | (uint32_t)high << 16;
}

static __global__ void sum(struct sum_trial *trials)
{
    struct sum_trial *t = &trials[blockIdx.x];
    const uint32_t row = threadIdx.x / 4, at = threadIdx.x % 4 * 2;
    const uint32_t a[4] = {
        pair(t->a[row][at], t->a[row][at + 1]), pair(t->a[row + 8][at], t->a[row + 8][at + 1]),
        pair(t->a[row][at + 8], t->a[row][at + 9]), pair(t->a[row + 8][at + 8], t->a[row + 8][at + 9])};
    const uint2 b = {pair(t->b[at][row], t->b[at + 1][row]), pair(t->b[at + 8][row], t->b[at + 9][row])};
    float c[4] = {t->c[row][at], t->c[row][at + 1], t->c[row + 8][at], t->c[row + 8][at + 1]};
    TG_MMA(c, a, b);
    t->c[row][at] = c[0];
    t->c[row][at + 1] = c[1];
    t->c[row + 8][at] = c[2];
    t->c[row + 8][at + 1] = c[3];
}

extern "C" int tensor_sum(struct sum_trial *trials, uint32_t count)
{
    const size_t bytes = count * sizeof(*trials);
    void *there = nullptr;
    cudaStream_t stream;
    int rc = (int)cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (rc == 0)
        rc = (int)cudaMalloc(&there, bytes);
    if (rc == 0)
        rc = (int)cudaMemcpyAsync(there, trials, bytes, cudaMemcpyHostToDevice, stream);
    if (rc == 0)
        rc = TG_LAUNCH(sum, count, 32, stream, (struct sum_trial *)there);
    if (rc == 0)
        rc = (int)cudaMemcpyAsync(trials, there, bytes, cudaMemcpyDeviceToHost, stream);
    if (rc == 0)
        rc = (int)cudaStreamSynchronize(stream);
    cudaFree(there);
    return rc != 0 ? rc : (int)cudaStreamDestroy(stream);
}

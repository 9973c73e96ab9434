/* SPDX-License-Identifier: Apache-2.0 */
/* The scramble runner's kernel: the same bytes as scramble_row(), a thread a row. */
#include "launch.cuh"
#include "scramble_kernel.h"

static __device__ uint32_t scramble_row(uint32_t multiplier, const uint8_t *in, uint32_t in_len, uint8_t *out)
{
    uint64_t sum = 0xcbf29ce484222325u ^ in_len;
    for (uint32_t i = 0; i < in_len; i++)
        sum = (sum ^ in[i]) * 0x100000001b3u + multiplier;
    for (uint32_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(sum >> 8 * i);
    for (uint32_t i = 0; i < in_len; i++)
        out[8 + i] = (uint8_t)(in[i] * multiplier + i);
    return 8 + in_len;
}

static __global__ void scramble(struct tg_cuda_batch b)
{
    for (uint32_t r = blockIdx.x * blockDim.x + threadIdx.x; r < *b.count; r += gridDim.x * blockDim.x) {
        const uint8_t *in = (const uint8_t *)b.in + (size_t)r * b.in_stride;
        uint8_t *out = (uint8_t *)b.out + (size_t)r * b.out_stride;
        if (b.rows[r].param & SCRAMBLE_KERNEL_REFUSE)
            b.results[r] = {0, SCRAMBLE_KERNEL_INVALID};
        else
            b.results[r].out_len = scramble_row((uint32_t)b.rows[r].param, in, b.rows[r].in_len, out);
    }
}

extern "C" int scramble_kernel(const struct tg_cuda_batch *b)
{
    return TG_LAUNCH(scramble, tg_blocks(b->capacity, 64), TG_THREADS, b->stream, *b);
}

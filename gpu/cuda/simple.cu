/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels of echo and saxpy: both read and write each byte once and are bound by memory alone. A batch's words are
 * counted in 32 bits, as in move.cu.
 */
#include "launch.cuh"

#define BLOCKS_PER_MULTIPROCESSOR 8

static unsigned blocks_for(const struct tg_cuda_batch *b, uint64_t items)
{
    return tg_blocks(items, b->multiprocessors * BLOCKS_PER_MULTIPROCESSOR);
}

/* Words of 16 bytes, whole ones: what lies behind the last byte in use goes along and is not brought back. */
static __global__ void echo(struct tg_cuda_batch b)
{
    const uint32_t in_words = b.in_stride / 16, out_words = b.out_stride / 16;
    const uint32_t words = in_words < out_words ? in_words : out_words;
    const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    const uint32_t count = *b.count;
    for (uint32_t i = first; i < count * words; i += step) {
        const uint32_t row = i / words, word = i % words;
        if ((uint64_t)word * 16 < b.rows[row].in_len)
            ((uint4 *)b.out)[(uint64_t)row * out_words + word] =
                ((const uint4 *)b.in)[(uint64_t)row * in_words + word];
    }
    for (uint32_t r = first; r < count; r += step)
        b.results[r].out_len = b.rows[r].in_len;
}

/* Four floats a thread. Rows are padded to 64 bytes, so the last four of a row lie within it. */
static __global__ void saxpy(struct tg_cuda_batch b, uint32_t n)
{
    const uint32_t fours = (n + 3) / 4, count = *b.count;
    const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    for (uint32_t i = first; i < count * fours; i += step) {
        const uint32_t row = i / fours, four = i % fours;
        const float4 *in = (const float4 *)((const char *)b.in + (uint64_t)row * b.in_stride);
        float4 *out = (float4 *)((char *)b.out + (uint64_t)row * b.out_stride);
        const float a = __uint_as_float((uint32_t)b.rows[row].param);
        const float4 x = in[four], y = in[fours + four];
        out[four] = make_float4(fmaf(a, x.x, y.x), fmaf(a, x.y, y.y), fmaf(a, x.z, y.z), fmaf(a, x.w, y.w));
    }
    for (uint32_t r = first; r < count; r += step)
        b.results[r].out_len = n * (uint32_t)sizeof(float);
}

extern "C" int tg_cuda_echo(const struct tg_cuda_batch *b)
{
    return TG_LAUNCH(echo, blocks_for(b, (uint64_t)b->capacity * (b->in_stride / 16)), TG_THREADS, b->stream, *b);
}

extern "C" int tg_cuda_saxpy(const struct tg_cuda_batch *b, uint32_t n)
{
    return TG_LAUNCH(saxpy, blocks_for(b, (uint64_t)b->capacity * ((n + 3) / 4)), TG_THREADS, b->stream, *b, n);
}

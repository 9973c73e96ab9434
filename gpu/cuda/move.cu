/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows between the lanes in pinned host memory and contiguous rows on the device. Small batches are read and
 * written by these kernels directly over the bus: two launches instead of two copies a segment. Everything that
 * differs from batch to batch is read from pinned memory, so a captured graph needs no update.
 */
#include "launch.cuh"

/* Words of a batch are counted in 32 bits, in which a division costs a fifth: buffers have less than 2^32 of them. */
#define WORD sizeof(uint4)
/* More blocks would only wait for the bus together. */
#define BLOCKS_MAX 128

static_assert(sizeof(struct tg_cuda_segment) == 24, "three words of eight bytes");
static_assert(sizeof(struct tg_cuda_row) == 16, "one row's description is one word");
static_assert(sizeof(struct tg_cuda_result) == 8, "half a word");

/* The segment that holds a row: the last one that begins at or before it. @n is at least 1. */
static __device__ const struct tg_cuda_segment *find_segment(const struct tg_cuda_segment *s, uint32_t n, uint32_t row)
{
    uint32_t low = 0, high = n;
    while (high - low > 1) {
        uint32_t mid = (low + high) / 2;
        if (s[mid].first <= row)
            low = mid;
        else
            high = mid;
    }
    return s + low;
}

/* 16-byte words of a row in use; never more than the row has. */
static __device__ uint32_t words_in_use(uint32_t bytes, uint32_t words)
{
    uint32_t used = (uint32_t)((bytes + (WORD - 1)) / WORD);
    return used < words ? used : words;
}

/*
 * Every block reads the segments for itself from pinned memory: waiting for one block to publish them to the
 * others would cost more than the bus does. For the same reason whole rows are read, not only what is in use of
 * them: asking first is one more trip over the bus.
 */
static __global__ void gather(struct tg_cuda_slot slot, uint32_t in_stride, uint32_t out_stride)
{
    __shared__ struct tg_cuda_segment segments[TG_CUDA_SEGMENTS_MAX];
    const uint32_t count = slot.control_host->count, segment_count = slot.control_host->segment_count;
    for (uint32_t i = threadIdx.x; i < segment_count; i += blockDim.x) {
        segments[i] = slot.control_host->segments[i];
        if (blockIdx.x == 0)
            slot.control->segments[i] = segments[i];
    }
    if (blockIdx.x == 0 && threadIdx.x == 0) {
        slot.control->count = count;
        slot.control->segment_count = segment_count;
        slot.control->sequence = slot.control_host->sequence;
        slot.control->arrived = 0;
    }
    __syncthreads();
    const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    for (uint32_t r = first; r < count; r += step) {
        slot.rows[r] = slot.rows_host[r];
        slot.results[r] = {out_stride, 0};
    }
    const uint32_t words = (uint32_t)(in_stride / WORD);
    for (uint32_t i = first; i < count * words; i += step) {
        const uint32_t row = i / words, word = i % words;
        const struct tg_cuda_segment *s = find_segment(segments, segment_count, row);
        ((uint4 *)slot.in)[i] = ((const uint4 *)s->in)[(uint64_t)(row - s->first) * words + word];
    }
}

/*
 * The last block to finish tells the host. Each thread's stores are ordered before its block's arrival, every
 * arrival before the last one's store to `done`; the host reads `done` with acquire order.
 */
static __global__ void scatter(struct tg_cuda_slot slot, uint32_t out_stride)
{
    struct tg_cuda_control *control = slot.control;
    const uint32_t count = control->count, words = (uint32_t)(out_stride / WORD);
    const uint32_t first = blockIdx.x * blockDim.x + threadIdx.x, step = gridDim.x * blockDim.x;
    for (uint32_t r = first; r < count; r += step)
        slot.results_host[r] = slot.results[r];
    for (uint32_t i = first; i < count * words; i += step) {
        const uint32_t row = i / words, word = i % words;
        if (word >= words_in_use(slot.results[row].out_len, words))
            continue;
        const struct tg_cuda_segment *s = find_segment(control->segments, control->segment_count, row);
        ((uint4 *)s->out)[(uint64_t)(row - s->first) * words + word] = ((const uint4 *)slot.out)[i];
    }
    __threadfence_system();
    __syncthreads();
    if (threadIdx.x == 0 && atomicAdd(&control->arrived, 1) == gridDim.x - 1) {
        __threadfence_system();
        *(volatile uint32_t *)slot.done_host = control->sequence;
    }
}

static __global__ void begin(struct tg_cuda_slot slot, uint32_t from, uint32_t count, uint32_t out_stride)
{
    if (blockIdx.x == 0 && threadIdx.x == 0)
        slot.control->count = count;
    for (uint32_t r = blockIdx.x * blockDim.x + threadIdx.x; r < count; r += gridDim.x * blockDim.x) {
        slot.rows[r] = slot.rows_host[from + r];
        slot.results[r] = {out_stride, 0};
    }
}

static __global__ void end(struct tg_cuda_slot slot, uint32_t from, uint32_t count)
{
    for (uint32_t r = blockIdx.x * blockDim.x + threadIdx.x; r < count; r += gridDim.x * blockDim.x)
        slot.results_host[from + r] = slot.results[r];
}

extern "C" int tg_cuda_gather(const struct tg_cuda_slot *slot, uint32_t capacity, uint32_t in_stride,
                              uint32_t out_stride, void *stream)
{
    unsigned blocks = tg_blocks((uint64_t)capacity * (in_stride / WORD), BLOCKS_MAX);
    return TG_LAUNCH(gather, blocks, TG_THREADS, stream, *slot, in_stride, out_stride);
}

extern "C" int tg_cuda_scatter(const struct tg_cuda_slot *slot, uint32_t capacity, uint32_t out_stride, void *stream)
{
    unsigned blocks = tg_blocks((uint64_t)capacity * (out_stride / WORD), BLOCKS_MAX);
    return TG_LAUNCH(scatter, blocks, TG_THREADS, stream, *slot, out_stride);
}

extern "C" int tg_cuda_begin(const struct tg_cuda_slot *slot, uint32_t first, uint32_t count, uint32_t out_stride,
                             void *stream)
{
    return TG_LAUNCH(begin, tg_blocks(count, BLOCKS_MAX), TG_THREADS, stream, *slot, first, count, out_stride);
}

extern "C" int tg_cuda_end(const struct tg_cuda_slot *slot, uint32_t first, uint32_t count, void *stream)
{
    return TG_LAUNCH(end, tg_blocks(count, BLOCKS_MAX), TG_THREADS, stream, *slot, first, count);
}

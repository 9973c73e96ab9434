/* SPDX-License-Identifier: Apache-2.0 */
/* Buckets, passes, direct or copied, when to look again, how to cut a search. */
#include "kernels.h"
#include "plan.h"

uint32_t tg_cuda_bucket(uint32_t rows)
{
    return rows <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(rows - 1);
}

uint32_t tg_cuda_bucket_rows(uint32_t bucket, uint32_t max)
{
    return TG_MIN(UINT32_C(1) << bucket, max);
}

uint32_t tg_cuda_pass_rows(size_t buffer_bytes, uint32_t in_stride, uint32_t out_stride)
{
    size_t rows = buffer_bytes / TG_MAX(in_stride, out_stride);
    return (uint32_t)TG_MIN(rows, (size_t)1 << (TG_CUDA_BUCKETS - 1));
}

bool tg_cuda_moves_directly(uint64_t bytes, uint32_t segments, uint64_t direct_bytes)
{
    return bytes <= direct_bytes * segments;
}

uint64_t tg_cuda_crossover(const struct tg_cuda_measure *m, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count && m[i].direct_ns <= m[i].copy_ns; i++)
        bytes = m[i].bytes;
    return bytes;
}

uint64_t tg_cuda_next_look_ns(uint64_t start_ns, uint64_t now_ns)
{
    const uint64_t at_once_ns = 1000000, wait_ns_max = 1000000;
    uint64_t taken_ns = now_ns > start_ns ? now_ns - start_ns : 0;
    return taken_ns < at_once_ns ? now_ns : now_ns + TG_MIN(taken_ns / 16, wait_ns_max);
}

/* Tiles of 4 queries and of 32: knn.cu has both. */
#define SMALL_QUERIES 4
#define LARGE_QUERIES 32
/* Blocks that a multiprocessor should have to choose from. */
#define SMALL_BLOCKS 4
#define LARGE_BLOCKS 2

/* Two passes of the small tile read the set twice, which is still faster than 32 queries for the sake of 8. */
bool tg_cuda_knn_small(uint32_t capacity)
{
    return capacity <= 2 * SMALL_QUERIES;
}

uint32_t tg_cuda_knn_splits(uint32_t rows, uint32_t capacity, uint32_t multiprocessors)
{
    bool small = tg_cuda_knn_small(capacity);
    uint32_t queries = small ? SMALL_QUERIES : LARGE_QUERIES;
    uint32_t tiles = (capacity - 1) / queries + 1;
    uint32_t blocks = multiprocessors * (small ? SMALL_BLOCKS : LARGE_BLOCKS);
    uint32_t wanted = (blocks - 1) / tiles + 1, most = (rows - 1) / TG_CUDA_KNN_PART_ROWS + 1;
    return TG_MIN(TG_MIN(wanted, most), (uint32_t)TG_CUDA_KNN_SPLITS_MAX);
}

/* Below that the time goes into reading the set and into launching five kernels. */
#define TENSOR_QUERIES 16
/* As many blocks as the registers of a multiprocessor allow. */
#define TENSOR_BLOCKS 2
/* Every part fills lists of its own first, and its first rows all enter them. */
#define TENSOR_PART_ROWS 2048

bool tg_cuda_knn_tensor_pays(uint32_t rows, uint32_t stride, uint32_t capacity)
{
    return capacity >= TENSOR_QUERIES && rows >= TG_CUDA_KNN_PART_ROWS && stride <= TG_CUDA_KNN_TENSOR_STRIDE_MAX;
}

/* Rounded down: a block too many would wait until all others have ended. */
uint32_t tg_cuda_knn_tensor_splits(uint32_t rows, uint32_t capacity, uint32_t multiprocessors)
{
    uint32_t tiles = (capacity - 1) / TG_CUDA_KNN_TENSOR_TILE + 1, most = (rows - 1) / TENSOR_PART_ROWS + 1;
    uint32_t wanted = TG_MAX(multiprocessors * TENSOR_BLOCKS / tiles, 1u);
    return TG_MIN(TG_MIN(wanted, most), (uint32_t)TG_CUDA_KNN_TENSOR_SPLITS_MAX);
}

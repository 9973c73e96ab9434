/* SPDX-License-Identifier: Apache-2.0 */
/* The decisions of this folder as plain arithmetic: no CUDA here, so that they can be tested everywhere. */
#ifndef TG_CUDA_PLAN_H
#define TG_CUDA_PLAN_H

#include "tg/def.h"

/* 1, 2, 4 ... 2^20: a graph for each. */
#define TG_CUDA_BUCKETS 21

/** The bucket that holds @rows rows, at least 1. */
uint32_t tg_cuda_bucket(uint32_t rows);
/** Rows for which that bucket is captured; @max is the largest batch there is. */
uint32_t tg_cuda_bucket_rows(uint32_t bucket, uint32_t max);

/** Rows that pass at once when input and output buffers have @buffer_bytes each; 0: not even one fits. */
uint32_t tg_cuda_pass_rows(size_t buffer_bytes, uint32_t in_stride, uint32_t out_stride);

/**
 * May kernels move this batch themselves? Otherwise the copy engine does, at the cost of two calls a segment.
 * @direct_bytes  where the two ways cost the same for one segment, both directions together
 */
bool tg_cuda_moves_directly(uint64_t bytes, uint32_t segments, uint64_t direct_bytes);

/* One measured size, both directions together. */
struct tg_cuda_measure {
    uint64_t bytes;
    uint64_t direct_ns, copy_ns;
};

/**
 * The size up to which moving directly pays, from measures in ascending order of size. A single better value
 * beyond a worse one counts as noise.
 */
uint64_t tg_cuda_crossover(const struct tg_cuda_measure *m, uint32_t count);

/**
 * When to look again at a batch that has not ended: at once in its first millisecond, then after a sixteenth of
 * the time it has taken so far, at most a millisecond. So waiting costs little and adds at most 6 % to a batch.
 */
uint64_t tg_cuda_next_look_ns(uint64_t start_ns, uint64_t now_ns);

/** Is the tile of few queries the better one? */
bool tg_cuda_knn_small(uint32_t capacity);
/** Parts of the set that are searched side by side: enough to fill the device, none smaller than is sensible. */
uint32_t tg_cuda_knn_splits(uint32_t rows, uint32_t capacity, uint32_t multiprocessors);

/** Do tensor cores pay for @capacity queries over a set of @rows vectors? */
bool tg_cuda_knn_tensor_pays(uint32_t rows, uint32_t stride, uint32_t capacity);
/** As tg_cuda_knn_splits(), for the search on tensor cores. */
uint32_t tg_cuda_knn_tensor_splits(uint32_t rows, uint32_t capacity, uint32_t multiprocessors);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What host code and kernels of this folder share: structs both sides read, and the functions that launch. Plain
 * C and C++. Launchers return a cudaError_t as int and launch on a cudaStream_t given as `void *`.
 */
#ifndef TG_CUDA_KERNELS_H
#define TG_CUDA_KERNELS_H

#include "tg/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TG_CUDA_SEGMENTS_MAX 256

/* Rows that lie one behind the other in host memory, by addresses as the device sees them. */
struct tg_cuda_segment {
    const void *in;
    void *out;
    uint32_t first; /* number of its first row within the batch */
    uint32_t count;
};

/* A batch's description: written by the host in pinned memory, copied by the first kernel to the device. */
struct tg_cuda_control {
    uint32_t count;
    uint32_t segment_count;
    uint32_t sequence; /* goes into the stream's `done` word when all is written */
    uint32_t arrived;  /* device copy only: blocks of the last kernel that have finished */
    struct tg_cuda_segment segments[TG_CUDA_SEGMENTS_MAX];
};

/* All that the moving kernels touch. Pinned host memory by its device address where it says so. */
struct tg_cuda_slot {
    const struct tg_cuda_control *control_host; /* pinned */
    const struct tg_cuda_row *rows_host;        /* pinned */
    struct tg_cuda_result *results_host;        /* pinned */
    uint32_t *done_host;                        /* pinned */
    struct tg_cuda_control *control;
    struct tg_cuda_row *rows;
    struct tg_cuda_result *results;
    void *in, *out;
};

/* ---- move.cu: rows between pinned host memory and the device ------------------------------------------- */

/** Small batches, first kernel: description and rows are read from pinned memory and laid out contiguously. */
int tg_cuda_gather(const struct tg_cuda_slot *slot, uint32_t capacity, uint32_t in_stride, uint32_t out_stride,
                   void *stream);
/** Small batches, last kernel: answers are written to pinned memory, then the sequence to `done`. */
int tg_cuda_scatter(const struct tg_cuda_slot *slot, uint32_t capacity, uint32_t out_stride, void *stream);
/** Large batches, before the copies of rows @first ... @first + @count - 1: what is known of them. */
int tg_cuda_begin(const struct tg_cuda_slot *slot, uint32_t first, uint32_t count, uint32_t out_stride, void *stream);
/** Large batches, after the kernels: what they say of those rows. */
int tg_cuda_end(const struct tg_cuda_slot *slot, uint32_t first, uint32_t count, void *stream);

/* ---- the runners' kernels -------------------------------------------------------------------------------- */

int tg_cuda_echo(const struct tg_cuda_batch *batch);

/** out[i] = a * x[i] + y[i]; a row is x, then y, @n floats each; the bits of a are the row's param. */
int tg_cuda_saxpy(const struct tg_cuda_batch *batch, uint32_t n);

#define TG_CUDA_KNN_K_MAX 128
#define TG_CUDA_KNN_CHUNK 16 /* components that are summed side by side; strides are multiples of it */
#define TG_CUDA_KNN_SPLITS_MAX 512
#define TG_CUDA_KNN_PART_ROWS 1024 /* a part of the set below this is over before it has begun */

/* The resident set as the kernels see it. */
struct tg_cuda_knn {
    const void *vectors;    /* rows of `stride` floats or halves, each chunk of 16 in the order of tg_cuda_knn_pack() */
    const uint32_t *groups; /* by row: its group, from 1; or NULL */
    uint32_t rows, stride;
    uint32_t half; /* 16-bit floats */
    uint32_t dot;  /* the key is the negated inner product, else the squared distance */
};

struct tg_cuda_knn_hit {
    float key;
    uint32_t index;
};

/* row->param of a query: k in the low byte, the wanted group (0: all) in the upper half. */
#define TG_CUDA_KNN_K(param) ((uint32_t)((param) & 0xff))
#define TG_CUDA_KNN_GROUP(param) ((uint32_t)((param) >> 32))

/** Lay @count rows of floats out for the search; @to begins with row @first of the set. */
int tg_cuda_knn_pack(const struct tg_cuda_knn *set, void *vectors, const float *from, uint32_t first, uint32_t count,
                     void *stream);
/** The nearest of all rows for each query of the batch. @splits parts of the set are searched side by side. */
int tg_cuda_knn_search(const struct tg_cuda_knn *set, const struct tg_cuda_batch *batch, uint32_t splits,
                       uint32_t small);

/* What the search on tensor cores has besides: knn_tensor.cu. */
struct tg_cuda_knn_tensor {
    void *halves;   /* rows of `stride` halves in the order of the vectors; with 16-bit storage the vectors themselves */
    void *bounds;   /* by row: TG_CUDA_KNN_BOUND_BYTES */
    uint32_t *peak; /* the bits of the largest magnitude among 32-bit vectors, which scales the halves; begins as 0 */
};

#define TG_CUDA_KNN_BOUND_BYTES 16
#define TG_CUDA_KNN_TENSOR_TILE 128        /* queries, and rows, that a block multiplies at a time */
#define TG_CUDA_KNN_TENSOR_STRIDE_MAX 4096 /* the error bound leaves out what is of second order */
#define TG_CUDA_KNN_TENSOR_SPLITS_MAX (TG_CUDA_KNN_SPLITS_MAX / 2) /* each part gives two lists */

/** From vectors that are packed: halves (unless they are the vectors) and bounds. */
int tg_cuda_knn_tensor_prepare(const struct tg_cuda_knn *set, const struct tg_cuda_knn_tensor *tensor, void *stream);
size_t tg_cuda_knn_tensor_scratch(const struct tg_cuda_knn *set, uint32_t k_room, uint32_t capacity, uint32_t splits,
                                  uint32_t multiprocessors);
/**
 * The same results as tg_cuda_knn_search(), bit by bit. The first word of the scratch memory then says how many
 * queries could not be proven and were searched for as there.
 */
int tg_cuda_knn_tensor_search(const struct tg_cuda_knn *set, const struct tg_cuda_knn_tensor *tensor,
                              const struct tg_cuda_batch *batch, uint32_t splits);

#ifdef __cplusplus
}
#endif

#endif

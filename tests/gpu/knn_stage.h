/* SPDX-License-Identifier: Apache-2.0 */
/* One trial of the search kernels: a set and queries as the cpu has them, what the kernels are given, and the check. */
#ifndef TG_TEST_KNN_STAGE_H
#define TG_TEST_KNN_STAGE_H

#include "gpu/cuda/kernels.h"
#include "gpu/runners/knn.h"

struct stage;

struct trial {
    uint32_t rows, dim, queries, k, splits, small;
    enum knn_metric metric;
    bool half, labels;
    uint32_t values; /* components are drawn from so many values: few of them make ties */
    float (*draw)(struct stage *s); /* or are what this says */
    uint32_t capacity;              /* 0: the least that the queries fit in */
};

/* One trial's data: the set and queries as the cpu has them, and what the kernels are given. */
struct stage {
    struct trial t;
    struct knn_set set;
    struct tg_cuda_knn view;
    struct tg_cuda_row *rows;
    struct tg_cuda_result *results;
    struct tg_cuda_batch batch;
    uint32_t count;
    char *in, *out;
    void *vectors;
    struct tg_cuda_knn_tensor tensor;
    uint64_t seed;
    uint32_t drawn; /* components so far */
};

/** Memory aligned as the device's is, all zeros. */
void *stage_zeros(size_t bytes);
void stage_open(struct stage *s, const struct trial *t);
void stage_close(struct stage *s);
/** Query @q has been answered with what the cpu finds: the same rows, the same bits. */
void stage_expect(struct stage *s, uint32_t q);

/** What the tensor search needs besides: halves, bounds, scratch memory for @splits. */
void stage_open_tensor(struct stage *s, uint32_t splits);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Trials of the search kernels: data drawn, laid out as the device has it, and answers held against the cpu. */
#include "knn_stage.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "../support/rows.h"
#include "gpu/cuda/plan.h"

void *stage_zeros(size_t n)
{
    void *at = aligned_alloc(256, (n + 255) / 256 * 256 + 256);
    memset(at, 0, (n + 255) / 256 * 256 + 256);
    return at;
}

static float draw(struct stage *s)
{
    s->drawn++;
    if (s->t.draw)
        return s->t.draw(s);
    return (float)test_random(&s->seed, s->t.values) / 8 - (float)s->t.values / 16;
}

static void make_set(struct stage *s)
{
    struct tg_error err = {0};
    struct knn_table table = {.rows = s->t.rows, .dim = s->t.dim};
    table.values = malloc((size_t)s->t.rows * s->t.dim * sizeof(float));
    for (size_t i = 0; i < (size_t)s->t.rows * s->t.dim; i++)
        table.values[i] = draw(s);
    if (s->t.labels) {
        table.labels = malloc(s->t.rows * sizeof(int64_t));
        for (uint32_t i = 0; i < s->t.rows; i++)
            table.labels[i] = (int64_t)test_random(&s->seed, 5) - 2;
    }
    struct knn_set_options o = {.last = s->t.rows - 1, .metric = s->t.metric, .half = s->t.half};
    cr_assert_eq(knn_set_init(&s->set, &table, &o, &err), 0, "%s", err.message);
    knn_table_finish(&table);
}

static void make_view(struct stage *s)
{
    size_t values = (size_t)s->set.rows * s->set.stride;
    s->vectors = stage_zeros(values * (s->t.half ? 2 : 4));
    s->view = (struct tg_cuda_knn){.vectors = s->vectors,
                                   .groups = s->set.groups,
                                   .rows = s->set.rows,
                                   .stride = s->set.stride,
                                   .half = s->t.half,
                                   .dot = s->t.metric != KNN_L2};
    uint32_t first = s->set.rows / 3, rest = s->set.rows - first; /* in two stages */
    if (first > 0)
        tg_cuda_knn_pack(&s->view, s->vectors, s->set.vectors, 0, first, NULL);
    tg_cuda_knn_pack(&s->view, s->vectors, s->set.vectors + (size_t)first * s->set.stride, first, rest, NULL);
}

/* k differs from query to query; with labels every third asks for one. */
static void make_queries(struct stage *s)
{
    for (uint32_t q = 0; q < s->t.queries; q++) {
        float *v = (float *)(s->in + (size_t)q * s->batch.in_stride);
        for (uint32_t i = 0; i < s->t.dim; i++)
            v[i] = draw(s);
        if (s->t.metric == KNN_COSINE)
            knn_normalise(v, s->t.dim);
        uint32_t k = 1 + (s->t.k - 1 + q) % s->t.k, group = KNN_GROUP_ALL;
        if (s->t.labels && q % 3 == 0)
            group = knn_set_group(&s->set, (int64_t)(q % 6) - 2); /* 3 is nobody's label */
        s->rows[q].param = k | (uint64_t)group << KNN_PARAM_GROUP_SHIFT;
    }
}

void stage_open(struct stage *s, const struct trial *t)
{
    *s = (struct stage){.t = *t, .seed = 88172645463325252u + t->rows};
    make_set(s);
    make_view(s);
    uint32_t capacity = t->capacity ? t->capacity : tg_cuda_bucket_rows(tg_cuda_bucket(t->queries), 4096);
    uint32_t in_stride = (s->set.stride * 4 + 63) / 64 * 64, out_stride = (t->k * 8 + 63) / 64 * 64;
    size_t scratch = (size_t)t->splits * capacity * TG_MIN(out_stride / 8, 128u) * 8;
    s->in = stage_zeros((size_t)t->queries * in_stride);
    s->out = stage_zeros((size_t)t->queries * out_stride);
    memset(s->out, TEST_CANARY, (size_t)t->queries * out_stride);
    s->rows = stage_zeros(t->queries * sizeof(*s->rows));
    s->results = stage_zeros(t->queries * sizeof(*s->results));
    s->count = t->queries;
    s->batch = (struct tg_cuda_batch){.capacity = capacity,
                                      .in_stride = in_stride,
                                      .out_stride = out_stride,
                                      .multiprocessors = 4,
                                      .scratch_bytes = scratch,
                                      .count = &s->count,
                                      .in = s->in,
                                      .out = s->out,
                                      .rows = s->rows,
                                      .results = s->results,
                                      .scratch = malloc(scratch)};
    make_queries(s);
}

void stage_close(struct stage *s)
{
    knn_set_finish(&s->set);
    if (!s->t.half)
        free(s->tensor.halves);
    free(s->tensor.bounds);
    free(s->tensor.peak);
    free(s->vectors);
    free(s->in);
    free(s->out);
    free(s->rows);
    free(s->results);
    free(s->batch.scratch);
}

void stage_expect(struct stage *s, uint32_t q)
{
    struct knn_hit expected[KNN_K_MAX];
    struct knn_query query = {.vector = (const float *)(s->in + (size_t)q * s->batch.in_stride),
                              .hits = expected,
                              .k = (uint32_t)(s->rows[q].param & KNN_PARAM_K),
                              .group = (uint32_t)(s->rows[q].param >> KNN_PARAM_GROUP_SHIFT)};
    knn_search(&s->set, knn_kernel_best(), &query, 1);
    const struct knn_hit *got = (const struct knn_hit *)(s->out + (size_t)q * s->batch.out_stride);
    cr_assert_eq(s->results[q].out_len, query.found * sizeof(*got), "query %u", q);
    for (uint32_t i = 0; i < query.found; i++)
        cr_assert(got[i].index == expected[i].index && got[i].key == expected[i].key,
                  "%u rows of %u, query %u, hit %u: row %u at %g instead of row %u at %g", s->t.rows, s->t.dim, q, i,
                  got[i].index, (double)got[i].key, expected[i].index, (double)expected[i].key);
    if (query.found * sizeof(*got) < s->batch.out_stride)
        cr_assert_eq(((const unsigned char *)&got[query.found])[0], TEST_CANARY, "query %u: one too many", q);
}

void stage_open_tensor(struct stage *s, uint32_t splits)
{
    size_t values = (size_t)s->set.rows * s->set.stride;
    uint32_t k_room = TG_MIN(s->batch.out_stride / 8, 128u);
    s->tensor = (struct tg_cuda_knn_tensor){
        .halves = s->t.half ? s->vectors : stage_zeros(values * 2),
        .bounds = stage_zeros((size_t)s->set.rows * TG_CUDA_KNN_BOUND_BYTES),
        .peak = stage_zeros(sizeof(uint32_t)),
    };
    cr_assert_eq(tg_cuda_knn_tensor_prepare(&s->view, &s->tensor, NULL), 0);
    free(s->batch.scratch);
    s->batch.scratch_bytes = tg_cuda_knn_tensor_scratch(&s->view, k_room, s->batch.capacity, splits,
                                                        s->batch.multiprocessors);
    s->batch.scratch = stage_zeros(s->batch.scratch_bytes);
}

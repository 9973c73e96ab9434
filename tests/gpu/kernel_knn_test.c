/* SPDX-License-Identifier: Apache-2.0 */
/* The search kernels, run thread by thread on the host, against the cpu's search: the same bits, ties included. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include "../support/rows.h"
#include "emulated/order.h"
#include "gpu/cuda/kernels.h"
#include "gpu/cuda/plan.h"
#include "gpu/runners/knn.h"

TestSuite(kernel_knn, .timeout = 300);

struct trial {
    uint32_t rows, dim, queries, k, splits, small;
    enum knn_metric metric;
    bool half, labels;
    uint32_t values; /* components are drawn from so many values: few of them make ties */
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
    uint64_t seed;
};

static void *zeros(size_t n)
{
    void *at = aligned_alloc(256, (n + 255) / 256 * 256 + 256);
    memset(at, 0, (n + 255) / 256 * 256 + 256);
    return at;
}

static float draw(struct stage *s)
{
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
    s->vectors = zeros(values * (s->t.half ? 2 : 4));
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

static void open_stage(struct stage *s, const struct trial *t)
{
    *s = (struct stage){.t = *t, .seed = 88172645463325252u + t->rows};
    make_set(s);
    make_view(s);
    uint32_t capacity = tg_cuda_bucket_rows(tg_cuda_bucket(t->queries), 4096);
    uint32_t in_stride = (s->set.stride * 4 + 63) / 64 * 64, out_stride = (t->k * 8 + 63) / 64 * 64;
    size_t scratch = (size_t)t->splits * capacity * TG_MIN(out_stride / 8, 128u) * 8;
    s->in = zeros((size_t)t->queries * in_stride);
    s->out = zeros((size_t)t->queries * out_stride);
    memset(s->out, TEST_CANARY, (size_t)t->queries * out_stride);
    s->rows = zeros(t->queries * sizeof(*s->rows));
    s->results = zeros(t->queries * sizeof(*s->results));
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

static void close_stage(struct stage *s)
{
    knn_set_finish(&s->set);
    free(s->vectors);
    free(s->in);
    free(s->out);
    free(s->rows);
    free(s->results);
    free(s->batch.scratch);
}

static void expect_query(struct stage *s, uint32_t q)
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

static void expect_right(const struct trial *t, uint64_t order)
{
    struct stage s;
    emulator_order(order);
    open_stage(&s, t);
    cr_assert_eq(tg_cuda_knn_search(&s.view, &s.batch, t->splits, t->small), 0);
    for (uint32_t q = 0; q < t->queries; q++)
        expect_query(&s, q);
    close_stage(&s);
}

Test(kernel_knn, few_queries_get_what_the_cpu_finds)
{
    expect_right(&(struct trial){.rows = 700, .dim = 20, .queries = 1, .k = 10, .splits = 3, .small = 1, .values = 4000}, 0);
    expect_right(&(struct trial){.rows = 700, .dim = 16, .queries = 7, .k = 5, .splits = 1, .small = 1, .values = 4000}, 3);
}

Test(kernel_knn, many_queries_get_what_the_cpu_finds)
{
    expect_right(&(struct trial){.rows = 130, .dim = 33, .queries = 70, .k = 7, .splits = 3, .values = 4000}, 0);
    expect_right(&(struct trial){.rows = 97, .dim = 48, .queries = 32, .k = 1, .splits = 1, .values = 4000}, 5);
}

Test(kernel_knn, every_metric_is_the_cpus)
{
    for (uint32_t m = KNN_L2; m <= KNN_COSINE; m++)
        for (uint32_t small = 0; small < 2; small++)
            expect_right(&(struct trial){.rows = 300, .dim = 17, .queries = 4, .k = 9, .splits = 2, .small = small,
                                         .metric = (enum knn_metric)m, .values = 999}, m);
}

/* Three values a component: most keys are equal to others, also across the parts of the set. */
Test(kernel_knn, ties_go_to_the_smaller_index)
{
    expect_right(&(struct trial){.rows = 600, .dim = 3, .queries = 5, .k = 40, .splits = 2, .small = 1, .values = 3}, 0);
    expect_right(&(struct trial){.rows = 200, .dim = 2, .queries = 9, .k = 33, .splits = 4, .values = 2}, 7);
    expect_right(&(struct trial){.rows = 200, .dim = 2, .queries = 9, .k = 33, .splits = 4, .values = 1}, 7);
}

Test(kernel_knn, as_many_neighbours_as_there_can_be)
{
    expect_right(&(struct trial){.rows = 300, .dim = 5, .queries = 3, .k = 128, .splits = 2, .small = 1, .values = 50}, 0);
    expect_right(&(struct trial){.rows = 260, .dim = 5, .queries = 3, .k = 128, .splits = 5, .values = 5000}, 9);
    expect_right(&(struct trial){.rows = 129, .dim = 5, .queries = 2, .k = 128, .splits = 1, .values = 9}, 9);
}

/* Sorted away from the query, every row enters the list at its front; towards it, all but the first few never do. */
Test(kernel_knn, the_most_and_the_fewest_insertions)
{
    struct stage s;
    for (int up = 0; up < 2; up++) {
        open_stage(&s, &(struct trial){.rows = 400, .dim = 16, .queries = 2, .k = 100, .splits = 2, .small = 1, .values = 1});
        for (uint32_t r = 0; r < 400; r++)
            s.set.vectors[(size_t)r * s.set.stride] = (float)(up ? r : 400 - r);
        tg_cuda_knn_pack(&s.view, s.vectors, s.set.vectors, 0, 400, NULL);
        cr_assert_eq(tg_cuda_knn_search(&s.view, &s.batch, 2, 1), 0);
        expect_query(&s, 0);
        expect_query(&s, 1);
        close_stage(&s);
    }
}

Test(kernel_knn, halves_give_what_the_cpu_finds_among_rounded_values)
{
    for (uint32_t small = 0; small < 2; small++)
        expect_right(&(struct trial){.rows = 300, .dim = 24, .queries = 6, .k = 12, .splits = 2, .small = small,
                                     .half = true, .values = 100000}, small);
    expect_right(&(struct trial){.rows = 100, .dim = 24, .queries = 6, .k = 12, .splits = 2, .metric = KNN_COSINE,
                                 .half = true, .values = 100000}, 1);
}

Test(kernel_knn, only_rows_of_the_wanted_label_are_found)
{
    for (uint32_t small = 0; small < 2; small++)
        expect_right(&(struct trial){.rows = 280, .dim = 8, .queries = 13, .k = 80, .splits = 3, .small = small,
                                     .labels = true, .values = 30}, small);
}

Test(kernel_knn, sets_smaller_than_a_tile_and_a_list)
{
    for (uint32_t rows = 1; rows < 6; rows += 2)
        for (uint32_t small = 0; small < 2; small++)
            expect_right(&(struct trial){.rows = rows, .dim = 1, .queries = 2, .k = 6, .splits = 1, .small = small,
                                         .values = 64}, rows);
}

Test(kernel_knn, more_parts_than_a_warp_has_lanes_are_merged)
{
    expect_right(&(struct trial){.rows = 32 * 70, .dim = 1, .queries = 1, .k = 20, .splits = 70, .values = 5000}, 0);
}

Test(kernel_knn, a_launch_that_does_not_fit_is_refused_not_run)
{
    struct stage s;
    open_stage(&s, &(struct trial){.rows = 64, .dim = 4, .queries = 1, .k = 4, .splits = 2, .small = 1, .values = 9});
    cr_assert_neq(tg_cuda_knn_search(&s.view, &s.batch, 0, 1), 0);
    cr_assert_neq(tg_cuda_knn_search(&s.view, &s.batch, TG_CUDA_KNN_SPLITS_MAX + 1, 1), 0);
    cr_assert_neq(tg_cuda_knn_search(&s.view, &s.batch, 3, 1), 0, "the scratch memory is for two");
    close_stage(&s);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* knn's search: all kernels agree to the bit, with a double-precision reference, and on ties. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "runners/knn.h"

static uint64_t seed = 42;

static float random_float(bool integers)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    uint32_t bits = (uint32_t)(seed >> 40);
    return integers ? (float)(bits % 17) : (float)bits / (1 << 23) - 1;
}

static struct knn_set random_set(uint32_t rows, uint32_t dim, enum knn_metric metric, bool integers)
{
    struct knn_set set;
    struct tg_error err;
    struct knn_table t = {.rows = rows, .dim = dim, .values = malloc((size_t)rows * dim * sizeof(float))};
    for (size_t i = 0; i < (size_t)rows * dim; i++)
        t.values[i] = random_float(integers);
    cr_assert_eq(knn_set_init(&set, &t, &(struct knn_set_options){.last = rows - 1, .metric = metric}, &err), 0);
    knn_table_finish(&t);
    return set;
}

/* Queries as decode() writes them, one behind the other. */
static float *random_queries(const struct knn_set *set, uint32_t count, bool integers)
{
    float *q = aligned_alloc(64, (size_t)count * set->stride * sizeof(float));
    for (uint32_t i = 0; i < count * set->stride; i++)
        q[i] = i % set->stride < set->dim ? random_float(integers) : 0;
    return q;
}

static void search(const struct knn_set *set, const struct knn_kernel *kernel, const float *q, uint32_t count,
                   uint32_t k, struct knn_hit *hits)
{
    struct knn_query queries[64];
    for (uint32_t i = 0; i < count; i++)
        queries[i] = (struct knn_query){.vector = q + (size_t)i * set->stride, .hits = hits + i * k, .k = k};
    knn_search(set, kernel, queries, count);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(queries[i].found, TG_MIN(k, set->rows));
}

static double reference_key(const struct knn_set *set, const float *q, uint32_t row)
{
    const float *x = set->vectors + (size_t)row * set->stride;
    double sum = 0;
    for (uint32_t i = 0; i < set->dim; i++) {
        double diff = (double)q[i] - (double)x[i];
        sum += set->metric == KNN_L2 ? diff * diff : -(double)q[i] * (double)x[i];
    }
    return sum;
}

static const enum knn_metric metrics[] = {KNN_L2, KNN_IP, KNN_COSINE};
static const uint32_t dims[] = {1, 3, 15, 16, 17, 64, 100, 384};

Test(knn_kernel, every_kernel_gives_the_same_bits_for_any_data)
{
    struct knn_hit expected[7 * 9], got[7 * 9];
    for (size_t d = 0; d < TG_ARRAY_SIZE(dims); d++) {
        for (size_t m = 0; m < TG_ARRAY_SIZE(metrics); m++) {
            struct knn_set set = random_set(203, dims[d], metrics[m], false);
            float *q = random_queries(&set, 7, false);
            search(&set, &knn_kernel_scalar, q, 7, 9, expected);
            for (const struct knn_kernel *const *k = knn_kernels; *k; k++) {
                if (!(*k)->usable())
                    continue;
                memset(got, 0xff, sizeof(got));
                search(&set, *k, q, 7, 9, got);
                cr_assert_arr_eq(got, expected, sizeof(got), "%s, %u dims, metric %zu", (*k)->name, dims[d],
                                 m);
            }
            free(q);
            knn_set_finish(&set);
        }
    }
}

Test(knn_kernel, a_query_gets_the_same_answer_alone_and_in_company)
{
    struct knn_hit alone[20], together[13 * 20];
    struct knn_set set = random_set(517, 33, KNN_L2, false);
    float *q = random_queries(&set, 13, false);
    for (const struct knn_kernel *const *k = knn_kernels; *k; k++) {
        if (!(*k)->usable())
            continue;
        for (uint32_t count = 1; count <= 13; count++) {
            search(&set, *k, q, count, 20, together);
            for (uint32_t i = 0; i < count; i++) {
                search(&set, *k, q + (size_t)i * set.stride, 1, 20, alone);
                cr_assert_arr_eq(alone, together + i * 20, sizeof(alone), "%s, %u of %u", (*k)->name, i,
                                 count);
            }
        }
    }
    free(q);
    knn_set_finish(&set);
}

/* The n-th hit must be as near as the n-th nearest of all, give or take what fp32 cannot tell apart. */
static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void expect_as_reference(const struct knn_set *set, const float *q, const struct knn_hit *hits,
                                uint32_t k)
{
    double *all = malloc(set->rows * sizeof(*all));
    for (uint32_t r = 0; r < set->rows; r++)
        all[r] = reference_key(set, q, r);
    for (uint32_t i = 0; i < k; i++)
        cr_assert_float_eq((double)hits[i].key, all[hits[i].index], 1e-5 * (1 + fabs(all[hits[i].index])));
    qsort(all, set->rows, sizeof(*all), by_value);
    for (uint32_t i = 0; i < k; i++)
        cr_assert_float_eq((double)hits[i].key, all[i], 1e-5 * (1 + fabs(all[i])), "hit %u", i);
    free(all);
}

Test(knn_kernel, hits_are_those_of_a_double_precision_reference)
{
    struct knn_hit hits[5 * 128];
    const uint32_t ks[] = {1, 2, 17, 128};
    for (size_t m = 0; m < TG_ARRAY_SIZE(metrics); m++) {
        struct knn_set set = random_set(1000, 48, metrics[m], false);
        float *q = random_queries(&set, 5, false);
        for (size_t n = 0; n < TG_ARRAY_SIZE(ks); n++) {
            search(&set, knn_kernel_best(), q, 5, ks[n], hits);
            for (uint32_t i = 0; i < 5; i++)
                expect_as_reference(&set, q + (size_t)i * set.stride, hits + i * ks[n], ks[n]);
        }
        free(q);
        knn_set_finish(&set);
    }
}

/* Small integers make many equal distances, and all sums are exact: then the whole order is known. */
Test(knn_kernel, equal_distances_are_ordered_by_index)
{
    struct knn_hit hits[4 * 100];
    struct knn_set set = random_set(400, 3, KNN_L2, true);
    float *q = random_queries(&set, 4, true);
    uint32_t ties = 0;
    search(&set, knn_kernel_best(), q, 4, 100, hits);
    for (uint32_t i = 0; i < 4; i++) {
        const struct knn_hit *h = hits + i * 100;
        uint32_t nearer = 0;
        for (uint32_t n = 1; n < 100; n++) {
            cr_assert(h[n - 1].key < h[n].key || (h[n - 1].key == h[n].key && h[n - 1].index < h[n].index));
            ties += h[n - 1].key == h[n].key;
        }
        for (uint32_t r = 0; r < set.rows; r++) {
            double key = reference_key(&set, q + (size_t)i * set.stride, r), last = (double)h[99].key;
            nearer += key < last || (key == last && r <= h[99].index);
        }
        cr_assert_eq(nearer, 100);
    }
    cr_assert_gt(ties, 50);
    free(q);
    knn_set_finish(&set);
}

Test(knn_kernel, k_up_to_all_rows_and_sets_of_few_rows)
{
    struct knn_hit hits[2 * 9];
    for (uint32_t rows = 1; rows <= 9; rows++) {
        struct knn_set set = random_set(rows, 5, KNN_IP, true);
        float *q = random_queries(&set, 2, true);
        for (const struct knn_kernel *const *k = knn_kernels; *k; k++) {
            if (!(*k)->usable())
                continue;
            search(&set, *k, q, 2, rows, hits);
            uint32_t seen = 0;
            for (uint32_t i = 0; i < rows; i++)
                seen |= 1u << hits[i].index;
            cr_assert_eq(seen, (1u << rows) - 1);
        }
        free(q);
        knn_set_finish(&set);
    }
}

Test(knn_kernel, rows_in_falling_distance_keep_the_last_ones)
{
    struct knn_set set = random_set(300, 1, KNN_L2, true);
    struct knn_hit hits[10];
    float *q = random_queries(&set, 1, true);
    q[0] = 0;
    for (uint32_t r = 0; r < 300; r++)
        set.vectors[(size_t)r * set.stride] = (float)(300 - r);
    search(&set, knn_kernel_best(), q, 1, 10, hits);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(hits[i].index, 299 - i);
    free(q);
    knn_set_finish(&set);
}

Test(knn_kernel, the_limit_keeps_sums_finite)
{
    for (size_t d = 0; d < TG_ARRAY_SIZE(dims); d++) {
        struct knn_set set = random_set(4, dims[d], KNN_L2, true);
        float *q = random_queries(&set, 1, true), limit = knn_limit(dims[d]);
        struct knn_hit hits[4];
        for (uint32_t i = 0; i < dims[d]; i++) {
            q[i] = limit;
            set.vectors[i] = -limit;
        }
        for (const struct knn_kernel *const *k = knn_kernels; *k; k++) {
            if (!(*k)->usable())
                continue;
            search(&set, *k, q, 1, 4, hits);
            cr_assert(isfinite(hits[3].key), "%s", (*k)->name);
            cr_assert_eq(hits[3].index, 0);
        }
        free(q);
        knn_set_finish(&set);
    }
}

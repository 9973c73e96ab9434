/* SPDX-License-Identifier: Apache-2.0 */
/* The search kernels, run thread by thread on the host, against the cpu's search: the same bits, ties included. */
#include <criterion/criterion.h>
#include "emulated/order.h"
#include "knn_stage.h"

TestSuite(kernel_knn, .timeout = 300);

static void expect_right(const struct trial *t, uint64_t order)
{
    struct stage s;
    emulator_order(order);
    stage_open(&s, t);
    cr_assert_eq(tg_cuda_knn_search(&s.view, &s.batch, t->splits, t->small), 0);
    for (uint32_t q = 0; q < t->queries; q++)
        stage_expect(&s, q);
    stage_close(&s);
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
        stage_open(&s, &(struct trial){.rows = 400, .dim = 16, .queries = 2, .k = 100, .splits = 2, .small = 1, .values = 1});
        for (uint32_t r = 0; r < 400; r++)
            s.set.vectors[(size_t)r * s.set.stride] = (float)(up ? r : 400 - r);
        tg_cuda_knn_pack(&s.view, s.vectors, s.set.vectors, 0, 400, NULL);
        cr_assert_eq(tg_cuda_knn_search(&s.view, &s.batch, 2, 1), 0);
        stage_expect(&s, 0);
        stage_expect(&s, 1);
        stage_close(&s);
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
    stage_open(&s, &(struct trial){.rows = 64, .dim = 4, .queries = 1, .k = 4, .splits = 2, .small = 1, .values = 9});
    cr_assert_neq(tg_cuda_knn_search(&s.view, &s.batch, 0, 1), 0);
    cr_assert_neq(tg_cuda_knn_search(&s.view, &s.batch, TG_CUDA_KNN_SPLITS_MAX + 1, 1), 0);
    cr_assert_neq(tg_cuda_knn_search(&s.view, &s.batch, 3, 1), 0, "the scratch memory is for two");
    stage_close(&s);
}

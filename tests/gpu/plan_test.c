/* SPDX-License-Identifier: Apache-2.0 */
/* The cuda device's decisions: buckets, passes, direct or copied, when to look again, how to cut a search. */
#include <criterion/criterion.h>
#include "gpu/cuda/kernels.h"
#include "gpu/cuda/plan.h"

Test(cuda_plan, a_bucket_is_the_next_power_of_two)
{
    static const uint32_t expected[][2] = {{1, 0}, {2, 1}, {3, 2}, {4, 2}, {5, 3}, {256, 8}, {257, 9}, {1 << 20, 20}};
    for (size_t i = 0; i < TG_ARRAY_SIZE(expected); i++)
        cr_assert_eq(tg_cuda_bucket(expected[i][0]), expected[i][1], "%u rows", expected[i][0]);
}

Test(cuda_plan, every_batch_fits_its_bucket_and_not_the_one_below)
{
    for (uint32_t max = 1; max < 5000; max = max * 3 / 2 + 1)
        for (uint32_t rows = 1; rows <= max; rows++) {
            uint32_t b = tg_cuda_bucket(rows);
            cr_assert(b < TG_CUDA_BUCKETS && tg_cuda_bucket_rows(b, max) >= rows);
            cr_assert(tg_cuda_bucket_rows(b, max) <= max);
            cr_assert(b == 0 || tg_cuda_bucket_rows(b - 1, max) < rows);
        }
}

Test(cuda_plan, a_pass_fits_both_buffers)
{
    cr_assert_eq(tg_cuda_pass_rows(1 << 20, 64, 128), 8192);
    cr_assert_eq(tg_cuda_pass_rows(1 << 20, 4096, 64), 256);
    cr_assert_eq(tg_cuda_pass_rows(1 << 20, (1 << 20) + 64, 64), 0, "not even one row");
    cr_assert_eq(tg_cuda_pass_rows((size_t)1 << 40, 64, 64), 1 << 20, "no more than the largest bucket");
}

Test(cuda_plan, more_segments_are_a_reason_to_let_kernels_move_the_rows)
{
    cr_assert(tg_cuda_moves_directly(1000, 1, 1000));
    cr_assert_not(tg_cuda_moves_directly(1001, 1, 1000));
    cr_assert(tg_cuda_moves_directly(2000, 2, 1000));
    cr_assert_not(tg_cuda_moves_directly(1, 1, 0), "0 means never");
}

Test(cuda_plan, the_crossover_is_before_the_first_size_at_which_copies_win)
{
    struct tg_cuda_measure m[] = {{8, 5, 9}, {16, 6, 9}, {32, 11, 10}, {64, 9, 10}};
    cr_assert_eq(tg_cuda_crossover(m, 4), 16, "one lucky round beyond it changes nothing");
    cr_assert_eq(tg_cuda_crossover(m, 2), 16);
    m[0].direct_ns = 10;
    cr_assert_eq(tg_cuda_crossover(m, 4), 0);
    cr_assert_eq(tg_cuda_crossover(m, 0), 0);
}

Test(cuda_plan, a_young_batch_is_looked_at_at_once_an_old_one_ever_more_seldom)
{
    cr_assert_eq(tg_cuda_next_look_ns(1000, 1000), 1000);
    cr_assert_eq(tg_cuda_next_look_ns(1000, 1000 + 999999), 1000 + 999999);
    cr_assert_eq(tg_cuda_next_look_ns(0, 1600000), 1700000);
    cr_assert_eq(tg_cuda_next_look_ns(0, 1000000000), 1001000000, "never later than a millisecond");
    cr_assert_eq(tg_cuda_next_look_ns(5, 3), 3, "a clock read before the start");
}

Test(cuda_plan, a_search_is_cut_into_enough_parts_but_no_crumbs)
{
    for (uint32_t rows = 1; rows < 20000000; rows = rows * 3 + 1)
        for (uint32_t capacity = 1; capacity <= 4096; capacity *= 2)
            for (uint32_t m = 1; m < 200; m = m * 2 + 1) {
                uint32_t splits = tg_cuda_knn_splits(rows, capacity, m);
                cr_assert(splits >= 1 && splits <= TG_CUDA_KNN_SPLITS_MAX);
                cr_assert(splits == 1 || (uint64_t)(splits - 1) * 1024 < rows);
            }
    cr_assert_geq(tg_cuda_knn_splits(1000000, 1, 132), 132, "a lone query keeps the whole device busy");
    cr_assert_leq(tg_cuda_knn_splits(1000000, 4096, 132), 3, "many queries do that by themselves");
}

Test(cuda_plan, tensor_cores_are_for_many_queries_over_many_rows)
{
    cr_assert(tg_cuda_knn_tensor_pays(1000000, 128, 16) && tg_cuda_knn_tensor_pays(10000000, 96, 4096));
    cr_assert_not(tg_cuda_knn_tensor_pays(1000000, 128, 8), "reading the set takes longer than the arithmetic");
    cr_assert_not(tg_cuda_knn_tensor_pays(1000, 128, 4096));
    cr_assert_not(tg_cuda_knn_tensor_pays(1000000, TG_CUDA_KNN_TENSOR_STRIDE_MAX + 16, 4096));
}

Test(cuda_plan, parts_for_tensor_cores_fill_the_device_once)
{
    for (uint32_t rows = 1; rows < 20000000; rows = rows * 3 + 1)
        for (uint32_t capacity = 1; capacity <= 4096; capacity *= 2)
            for (uint32_t m = 1; m < 200; m = m * 2 + 1) {
                uint32_t splits = tg_cuda_knn_tensor_splits(rows, capacity, m), tiles = (capacity - 1) / 128 + 1;
                cr_assert(splits >= 1 && splits <= TG_CUDA_KNN_TENSOR_SPLITS_MAX);
                cr_assert(splits == 1 || splits * tiles <= 2 * m);
                cr_assert(splits == 1 || (uint64_t)(splits - 1) * 2048 < rows);
            }
}

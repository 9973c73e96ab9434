/* SPDX-License-Identifier: Apache-2.0 */
/* knn: the kernel that defines the result; the others must give the same bits. */
#include "knn.h"

#include <math.h>

/* Fold sixteen partial sums in halves: 16 to 8 to 4 to 2 to 1. */
static float fold(float *sums)
{
    for (uint32_t half = KNN_LANES / 2; half > 0; half /= 2)
        for (uint32_t i = 0; i < half; i++)
            sums[i] += sums[i + half];
    return sums[0];
}

static float l2(const float *q, const float *x, uint32_t stride)
{
    float sums[KNN_LANES] = {0};
    for (uint32_t d = 0; d < stride; d += KNN_LANES) {
        for (uint32_t i = 0; i < KNN_LANES; i++) {
            float diff = q[d + i] - x[d + i];
            sums[i] = fmaf(diff, diff, sums[i]);
        }
    }
    return fold(sums);
}

static float dot(const float *q, const float *x, uint32_t stride)
{
    float sums[KNN_LANES] = {0};
    for (uint32_t d = 0; d < stride; d += KNN_LANES)
        for (uint32_t i = 0; i < KNN_LANES; i++)
            sums[i] = fmaf(q[d + i], x[d + i], sums[i]);
    return fold(sums);
}

static void l2_one(const float *const *queries, const float *rows, uint32_t row_count, uint32_t stride,
                   float (*keys)[KNN_TILE_ROWS])
{
    for (uint32_t r = 0; r < row_count; r++)
        keys[0][r] = l2(queries[0], rows + (size_t)r * stride, stride);
}

static void dot_one(const float *const *queries, const float *rows, uint32_t row_count, uint32_t stride,
                    float (*keys)[KNN_TILE_ROWS])
{
    for (uint32_t r = 0; r < row_count; r++)
        keys[0][r] = -dot(queries[0], rows + (size_t)r * stride, stride);
}

static void l2_four(const float *const *queries, const float *rows, uint32_t row_count, uint32_t stride,
                    float (*keys)[KNN_TILE_ROWS])
{
    for (uint32_t q = 0; q < KNN_TILE_QUERIES; q++)
        l2_one(&queries[q], rows, row_count, stride, &keys[q]);
}

static void dot_four(const float *const *queries, const float *rows, uint32_t row_count, uint32_t stride,
                     float (*keys)[KNN_TILE_ROWS])
{
    for (uint32_t q = 0; q < KNN_TILE_QUERIES; q++)
        dot_one(&queries[q], rows, row_count, stride, &keys[q]);
}

static bool always(void)
{
    return true;
}

const struct knn_kernel knn_kernel_scalar = {
    .name = "scalar",
    .usable = always,
    .floats_per_ns = 0.3f,
    .l2_one = l2_one,
    .l2_four = l2_four,
    .dot_one = dot_one,
    .dot_four = dot_four,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knn: kernels for AVX2 with FMA and for AVX-512. A tile is four sums at once, either four rows against one
 * query or one row against four queries: enough independent chains to keep the multipliers busy, and each sum
 * adds in the order knn_scalar.c prescribes. Built on x86-64 only; which of them the machine can run is asked
 * at start.
 */
#include "knn.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx2,fma")))
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 4") /* so that the sums stay in registers */

/* ---- folding --------------------------------------------------------------------------------- */

/* Eight partial sums to four. */
AVX2 INLINE __m128 fold8(__m256 v)
{
    return _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
}

/* Four times four partial sums to four sums: (0 + 2) + (1 + 3) of each. */
AVX2 INLINE __m128 fold4x4(__m128 a, __m128 b, __m128 c, __m128 d)
{
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a, b), _mm_unpackhi_ps(a, b));
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c, d), _mm_unpackhi_ps(c, d));
    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

AVX512 INLINE __m256 fold16(__m512 v)
{
    __m512d halves = _mm512_castps_pd(v);
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm256_castpd_ps(_mm512_extractf64x4_pd(halves, 1)));
}

/* ---- four sums ------------------------------------------------------------------------------- */

/* One step of a sum: squares of differences, or products. */
AVX2 INLINE __m256 step8(__m256 q, __m256 x, __m256 sum, bool dot)
{
    __m256 diff = _mm256_sub_ps(q, x);
    return dot ? _mm256_fmadd_ps(q, x, sum) : _mm256_fmadd_ps(diff, diff, sum);
}

AVX512 INLINE __m512 step16(__m512 q, __m512 x, __m512 sum, bool dot)
{
    __m512 diff = _mm512_sub_ps(q, x);
    return dot ? _mm512_fmadd_ps(q, x, sum) : _mm512_fmadd_ps(diff, diff, sum);
}

/* Sums of the pairs (q[i], x[i]). Where pairs share a vector the compiler loads it once. */
AVX2 INLINE __m128 sums_avx2(const float *const q[4], const float *const x[4], uint32_t stride, bool dot)
{
    __m256 low[4] = {0}, high[4] = {0};
    for (uint32_t d = 0; d < stride; d += KNN_LANES) {
        UNROLL
        for (int i = 0; i < 4; i++) {
            low[i] = step8(_mm256_loadu_ps(q[i] + d), _mm256_loadu_ps(x[i] + d), low[i], dot);
            high[i] = step8(_mm256_loadu_ps(q[i] + d + 8), _mm256_loadu_ps(x[i] + d + 8), high[i], dot);
        }
    }
    __m128 four[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        four[i] = fold8(_mm256_add_ps(low[i], high[i]));
    return fold4x4(four[0], four[1], four[2], four[3]);
}

AVX512 INLINE __m128 sums_avx512(const float *const q[4], const float *const x[4], uint32_t stride, bool dot)
{
    __m512 sum[4] = {0};
    for (uint32_t d = 0; d < stride; d += KNN_LANES) {
        UNROLL
        for (int i = 0; i < 4; i++)
            sum[i] = step16(_mm512_loadu_ps(q[i] + d), _mm512_loadu_ps(x[i] + d), sum[i], dot);
    }
    __m128 four[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        four[i] = fold8(fold16(sum[i]));
    return fold4x4(four[0], four[1], four[2], four[3]);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* Keys of dot products are negated: the largest product is the nearest. */
AVX2 INLINE __m128 to_keys(__m128 sums, bool dot)
{
    return dot ? _mm_xor_ps(sums, _mm_set1_ps(-0.0f)) : sums;
}

/* Rows past the end are the last row again; their keys land in the tile's spare room. */
INLINE const float *row_at(const float *rows, uint32_t r, uint32_t row_count, uint32_t stride)
{
    return rows + (size_t)TG_MIN(r, row_count - 1) * stride;
}

/* One query, four rows at a time. */
#define DEFINE_ONE(name, isa, sums, dot)                                                                     \
    isa static void name(const float *const *queries, const float *rows, uint32_t row_count,                 \
                         uint32_t stride, float(*keys)[KNN_TILE_ROWS])                                       \
    {                                                                                                        \
        const float *const q[4] = {queries[0], queries[0], queries[0], queries[0]};                          \
        for (uint32_t r = 0; r < row_count; r += 4) {                                                        \
            const float *const x[4] = {                                                                      \
                row_at(rows, r, row_count, stride), row_at(rows, r + 1, row_count, stride),                  \
                row_at(rows, r + 2, row_count, stride), row_at(rows, r + 3, row_count, stride)};             \
            _mm_storeu_ps(&keys[0][r], to_keys(sums(q, x, stride, dot), dot));                               \
        }                                                                                                    \
    }

/* Four queries, one row at a time. */
#define DEFINE_FOUR(name, isa, sums, dot)                                                                    \
    isa static void name(const float *const *queries, const float *rows, uint32_t row_count,                 \
                         uint32_t stride, float(*keys)[KNN_TILE_ROWS])                                       \
    {                                                                                                        \
        const float *const q[4] = {queries[0], queries[1], queries[2], queries[3]};                          \
        for (uint32_t r = 0; r < row_count; r++) {                                                           \
            const float *row = rows + (size_t)r * stride;                                                    \
            const float *const x[4] = {row, row, row, row};                                                  \
            float four[4];                                                                                   \
            _mm_storeu_ps(four, to_keys(sums(q, x, stride, dot), dot));                                      \
            for (int i = 0; i < 4; i++)                                                                      \
                keys[i][r] = four[i];                                                                        \
        }                                                                                                    \
    }

DEFINE_ONE(l2_one_avx2, AVX2, sums_avx2, false)
DEFINE_ONE(dot_one_avx2, AVX2, sums_avx2, true)
DEFINE_FOUR(l2_four_avx2, AVX2, sums_avx2, false)
DEFINE_FOUR(dot_four_avx2, AVX2, sums_avx2, true)
DEFINE_ONE(l2_one_avx512, AVX512, sums_avx512, false)
DEFINE_ONE(dot_one_avx512, AVX512, sums_avx512, true)
DEFINE_FOUR(l2_four_avx512, AVX512, sums_avx512, false)
DEFINE_FOUR(dot_four_avx512, AVX512, sums_avx512, true)

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f");
}

const struct knn_kernel knn_kernel_avx2 = {
    .name = "avx2",
    .usable = has_avx2,
    .floats_per_ns = 10.0f,
    .l2_one = l2_one_avx2,
    .l2_four = l2_four_avx2,
    .dot_one = dot_one_avx2,
    .dot_four = dot_four_avx2,
};

const struct knn_kernel knn_kernel_avx512 = {
    .name = "avx512",
    .usable = has_avx512,
    .floats_per_ns = 16.0f,
    .l2_one = l2_one_avx512,
    .l2_four = l2_four_avx512,
    .dot_one = dot_one_avx512,
    .dot_four = dot_four_avx512,
};

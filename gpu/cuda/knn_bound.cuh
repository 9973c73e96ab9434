/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lower bounds of keys, from products of 16-bit floats: what is known of rows and queries, and what follows from it.
 *
 * The bound (derived in docs/decisions/0012). X = x 2^e is a row scaled, X' its halves; Q, Q' the same of a query; T
 * the product Q' X' as the tensor cores sum it. Then Q X <= T + |Q| |X - X'| + (|Q - Q'| + c |Q'|) |X'|: the lengths
 * are known, so this needs two multiplications more a key. Everything else that rounds (the exact key's own sum, this
 * sum, the norms) is in the factors as well. Lengths and norms are summed in 64 bits.
 */
#ifndef TG_CUDA_KNN_BOUND_CUH
#define TG_CUDA_KNN_BOUND_CUH

#include "knn.cuh"

/* A row's: |x|^2 from below (0 where the key is a product), |X'| and |X - X'| from above. */
struct __align__(16) bound {
    float norm, length, residual, unused;
};

/* A query's: what the residual and the length are multiplied with, the sum's own factor, and |q|^2 from below. */
struct __align__(16) terms {
    float residual, length, factor, base;
};

static_assert(sizeof(struct bound) == TG_CUDA_KNN_BOUND_BYTES, "as it is allocated");

/* ---- rounding -------------------------------------------------------------------------------------------- */

/* Relative error of the exact kernel's sum, and of the lower bound of a squared distance, each twice what it can be. */
static inline __device__ double exact_slack(uint32_t stride)
{
    return (stride / CHUNK + 8) * 0x1p-23;
}

static inline __device__ double norm_slack(uint32_t stride)
{
    return 2 * exact_slack(stride) + 0x1p-19;
}

/*
 * Relative to |Q'| |X'|. Assumed of the hardware: products are exact; they and the sum so far are added four or more
 * at a time, each cut off not above 2^-22 of the largest. That makes 1.5 * 2^-22 a component; this is 2 * 2^-22.
 */
static inline __device__ double tensor_slack(uint32_t stride)
{
    return (stride + 1) * 0x1p-21;
}

/* From above, and never so small that a product with another such number underflows. */
static inline __device__ float up(double value)
{
    return (float)(value * (1 + 0x1p-20)) + 0x1p-60f;
}

/* 2^result brings @peak into [2^14, 2^15), well within the range of halves; extremes stay where they are. */
static inline __device__ int scale_exponent(float peak)
{
    int exponent;
    if (!(peak > 0))
        return 0;
    frexpf(peak, &exponent);
    exponent = 15 - exponent;
    return exponent > 60 ? 60 : exponent < -60 ? -60 : exponent;
}

/* Squares of what a vector is, of its halves, and of what they lack; the first as it is, the others scaled. */
struct squares {
    double norm, scaled, length, residual;
};

static inline __device__ __half add_component(struct squares &s, float value, float scale)
{
    const __half rounded = (__half)(value * scale);
    const double scaled = (double)value * scale, half = __half2float(rounded), lost = scaled - half;
    s.norm += (double)value * value;
    s.scaled += scaled * scaled;
    s.length += half * half;
    s.residual += lost * lost;
    return rounded;
}

static inline __device__ double sum_of_warp(double sum)
{
    for (int distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(ALL, sum, distance, 32);
    return sum;
}

static inline __device__ struct squares sums_of_warp(const struct squares &s)
{
    return {sum_of_warp(s.norm), sum_of_warp(s.scaled), sum_of_warp(s.length), sum_of_warp(s.residual)};
}

static inline __device__ float peak_of_warp(float peak)
{
    for (int distance = 16; distance > 0; distance /= 2)
        peak = fmaxf(peak, __shfl_xor_sync(ALL, peak, distance, 32));
    return peak;
}

/* ---- bounds and proofs ----------------------------------------------------------------------------------- */

static inline __device__ struct terms terms_of(const struct squares &s, const struct tg_cuda_knn &set, int exponents)
{
    const double exact = exact_slack(set.stride), tensor = tensor_slack(set.stride), length = sqrt(s.scaled);
    struct terms t = {up(length * (1 + exact)), up(sqrt(s.residual) + tensor * sqrt(s.length) + exact * length),
                      ldexpf(set.dot ? 1 : 2, -exponents),
                      set.dot ? 0 : (float)(s.norm * (1 - norm_slack(set.stride)))};
    if (!(s.norm < 1e38)) /* not from a task, whose numbers are checked: such a query is never proven */
        t.base = NAN;
    return t;
}

static inline __device__ float lower_bound(const struct terms &q, const struct bound &x, float sum)
{
    return fmaf(-q.factor, fmaf(q.residual, x.residual, fmaf(q.length, x.length, sum)), x.norm);
}

/* Rows kept for a query: k, and some more, so that the last is worse than the k-th by more than the error. */
static inline __host__ __device__ uint32_t kept(uint32_t k)
{
    return k > 0 ? k + k / 2 + 16 : 0;
}

/* The bound of every row that is not among @n candidates: that of the last, or none if nothing was left out. */
static inline __device__ float bound_of_others(const struct terms &t, const hit *candidates, uint32_t n, uint32_t keep)
{
    return n < keep ? INFINITY : t.base + candidates[n - 1].key;
}

/*
 * Is every other row farther away than the last of the answer? By more than what underflow can do to either number,
 * for which all other errors leave no room; where the two are as small as that there is no proof.
 */
static inline __device__ bool proves(const struct terms &t, float others, const hit *answer, uint32_t n)
{
    return t.base == t.base && (n == 0 || others - 0x1p-100f > answer[n - 1].key);
}

#endif

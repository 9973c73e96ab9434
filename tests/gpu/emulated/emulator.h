/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of CUDA C++ as our kernels use, on the host: threads of a block are fibers that yield at barriers, blocks
 * run one after the other. So the kernels' own source runs under sanitizers on any machine. The order in which
 * threads run between barriers can be changed: a result that depends on it is a race.
 */
#ifndef TG_TEST_EMULATOR_H
#define TG_TEST_EMULATOR_H

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <tuple>

#include "cuda_runtime_api.h"

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
struct alignas(16) float4 {
    float x, y, z, w;
};

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
#define TG_OUT_OF_LINE
/* Arguments are taken when a kernel is launched, as CUDA does: the kernel may run later. */
#define TG_LAUNCH(kernel, grid, block, stream, ...)                                                          \
    (emulator_launch(stream, dim3(grid), (block),                                                            \
                     [arguments = std::make_tuple(__VA_ARGS__)] {                                            \
                         std::apply([](auto... argument) { kernel(argument...); }, arguments);               \
                     }),                                                                                     \
     (int)cudaGetLastError())

/* ---- the thread that runs -------------------------------------------------------------------------------- */

struct emulated_thread {
    dim3 thread, block, block_size, grid;
};
extern const emulated_thread *emulated;
#define threadIdx (emulated->thread)
#define blockIdx (emulated->block)
#define blockDim (emulated->block_size)
#define gridDim (emulated->grid)

/** On the emulated runtime's stream, or at once without it (@stream NULL). Returns a cudaError_t. */
int emulator_launch(void *stream, dim3 grid, unsigned threads, std::function<void()> kernel);
void emulator_run(dim3 grid, unsigned threads, const std::function<void()> &kernel);
void emulator_block_barrier();
/** Every call of the runtime begins here: the error it is to return, if any. */
cudaError_t emulator_called();
/** So many things more than before are to be given back. */
void emulator_keep(int64_t more);

/* A kernel and its arguments, which are taken here, from pointers to them. */
template <typename... A> std::function<void()> *emulator_bind(void (*kernel)(A...), void **arguments)
{
    std::tuple<A...> values{*(A *)*arguments++...};
    return new std::function<void()>([kernel, values] { std::apply(kernel, values); });
}
/** Give @value to the warp and get everybody's: the 32 lanes' values in order, to be read before the next exchange.
 * Lanes that have ended give 0. */
const uint64_t *emulator_exchange(uint64_t value);
/** See gpu/cuda/mma.cuh. */
void emulator_mma(float *c, const uint32_t *a, const uint2 &b);
#define TG_MMA emulator_mma

static inline void __syncthreads()
{
    emulator_block_barrier();
}

static inline int __syncthreads_or(int vote)
{
    static int votes;
    if (threadIdx.x == 0)
        votes = 0;
    emulator_block_barrier();
    votes |= vote;
    emulator_block_barrier();
    int all = votes;
    emulator_block_barrier(); /* nobody begins the next vote before all have read this one */
    return all != 0;
}

static inline void __syncwarp()
{
    emulator_exchange(0);
}

static inline void __threadfence_system() {}

static inline uint32_t atomicAdd(uint32_t *at, uint32_t n)
{
    uint32_t before = *at;
    *at += n;
    return before;
}

static inline uint32_t atomicMax(uint32_t *at, uint32_t n)
{
    uint32_t before = *at;
    *at = n > before ? n : before;
    return before;
}

/* ---- within a warp --------------------------------------------------------------------------------------- */

template <typename T> static inline T emulator_shuffle(T value, unsigned from)
{
    static_assert(sizeof(T) == 4 || sizeof(T) == 8, "words only");
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(T));
    memcpy(&value, &emulator_exchange(bits)[from % 32], sizeof(T));
    return value;
}

template <typename T> static inline T __shfl_sync(unsigned, T value, int from, int)
{
    return emulator_shuffle(value, (unsigned)from);
}

template <typename T> static inline T __shfl_xor_sync(unsigned, T value, int mask, int)
{
    return emulator_shuffle(value, threadIdx.x % 32 ^ (unsigned)mask);
}

template <typename T> static inline T __shfl_down_sync(unsigned, T value, unsigned distance, int width)
{
    unsigned lane = threadIdx.x % 32, place = lane % (unsigned)width;
    return emulator_shuffle(value, place + distance < (unsigned)width ? lane + distance : lane);
}

static inline uint32_t __ballot_sync(unsigned, bool vote)
{
    const uint64_t *all = emulator_exchange(vote);
    uint32_t votes = 0;
    for (int i = 0; i < 32; i++)
        votes |= (uint32_t)(all[i] & 1) << i;
    return votes;
}

static inline int __popc(uint32_t bits)
{
    return __builtin_popcount(bits);
}

static inline int __ffs(int bits)
{
    return __builtin_ffs(bits);
}

/* ---- numbers --------------------------------------------------------------------------------------------- */

static inline float4 make_float4(float x, float y, float z, float w)
{
    return {x, y, z, w};
}

static inline float __uint_as_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline uint32_t __float_as_uint(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

/* Written from the format's definition, not from what the program does. */
struct __half {
    uint16_t bits = 0;
    __half() = default;
    explicit __half(float value)
    {
        bits = std::signbit(value) ? 0x8000 : 0;
        float magnitude = std::fabs(value);
        int exponent;
        if (magnitude == 0)
            return;
        std::frexp(magnitude, &exponent);
        int scale = exponent - 1 < -14 ? -14 : exponent - 1;
        float steps = std::nearbyint(std::ldexp(magnitude, 10 - scale)); /* 1024 to 2048, below that: subnormal */
        if (scale > 15 || (scale == 15 && steps >= 2048))
            bits |= 0x7c00;
        else
            bits = (uint16_t)(bits | ((unsigned)(scale + 14) * 1024 + (unsigned)steps));
    }
};

static inline __half __ushort_as_half(unsigned short bits)
{
    __half h;
    h.bits = bits;
    return h;
}

static inline float __half2float(__half h)
{
    int exponent = h.bits >> 10 & 31, fraction = h.bits & 1023;
    float magnitude = exponent == 31  ? INFINITY
                      : exponent == 0 ? std::ldexp((float)fraction, -24)
                                      : std::ldexp((float)(fraction + 1024), exponent - 25);
    return h.bits & 0x8000 ? -magnitude : magnitude;
}

#endif

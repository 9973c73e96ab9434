/* SPDX-License-Identifier: Apache-2.0 */
/* What the tensor search uses besides: products of matrices by a warp, and copies that run beside the threads. */
#include <deque>
#include <vector>

#include "cuda_pipeline.h"
#include "emulator.h"
#include "order.h"

namespace {

/* ---- products -------------------------------------------------------------------------------------------- */

enum emulated_sums way;

/* What a lane brings along; mma.cuh says which elements these are. */
struct fragments {
    const uint32_t *a;
    uint2 b;
};

float half_of(uint32_t pair, unsigned high)
{
    static std::vector<float> values;
    for (unsigned bits = 0; values.size() < 65536; bits++)
        values.push_back(__half2float(__ushort_as_half((unsigned short)bits)));
    return values[high ? pair >> 16 : pair & 0xffff];
}

float element_of_a(const fragments *const *all, unsigned row, unsigned k)
{
    const fragments *f = all[row % 8 * 4 + k % 8 / 2];
    return half_of(f->a[row / 8 + k / 8 * 2], k % 2);
}

float element_of_b(const fragments *const *all, unsigned k, unsigned column)
{
    const fragments *f = all[column * 4 + k % 8 / 2];
    return half_of(k < 8 ? f->b.x : f->b.y, k % 2);
}

/* Four products and the sum so far, each cut off at 2^-22 of the largest, and all of them downwards. */
float cut_sum(const double *products, float sum)
{
    for (unsigned k = 0; k < 16; k += 4) {
        double terms[5] = {sum, products[k], products[k + 1], products[k + 2], products[k + 3]}, largest = 0, total = 0;
        for (double term : terms)
            largest = std::fmax(largest, std::fabs(term));
        if (largest == 0)
            continue;
        const double quantum = std::ldexp(1, std::ilogb(largest) - 22);
        for (double term : terms)
            total += std::floor(term / quantum) * quantum;
        sum = (float)total;
    }
    return sum;
}

float add_products(const double *products, float sum)
{
    if (way == EMULATED_CUT)
        return cut_sum(products, sum);
    for (unsigned k = 0; k < 16; k++)
        sum += (float)products[way == EMULATED_BACKWARDS ? 15 - k : k];
    return sum;
}

/* ---- copies ---------------------------------------------------------------------------------------------- */

struct copy {
    void *to;
    const void *from;
    size_t bytes, zeros;
};

struct thread_copies {
    std::vector<copy> open;
    std::deque<std::vector<copy>> groups;
};

thread_copies copies[1024];

} // namespace

extern "C" void emulator_sums(enum emulated_sums how)
{
    way = how;
}

void emulator_mma(float *c, const uint32_t *a, const uint2 &b)
{
    const fragments mine = {a, b};
    const uint64_t *given = emulator_exchange((uint64_t)(uintptr_t)&mine);
    const fragments *all[32];
    for (unsigned i = 0; i < 32; i++)
        all[i] = (const fragments *)(uintptr_t)given[i];
    const unsigned lane = threadIdx.x % 32;
    for (unsigned i = 0; i < 4; i++) {
        double products[16];
        for (unsigned k = 0; k < 16; k++)
            products[k] = (double)element_of_a(all, lane / 4 + i / 2 * 8, k) * element_of_b(all, k, lane % 4 * 2 + i % 2);
        c[i] = add_products(products, c[i]);
    }
    __syncwarp(); /* the others read from this stack */
}

void __pipeline_memcpy_async(void *to, const void *from, size_t bytes, size_t zeros)
{
    if ((bytes != 4 && bytes != 8 && bytes != 16) || (uintptr_t)to % bytes || (uintptr_t)from % bytes)
        abort();
    copies[threadIdx.x].open.push_back({to, from, bytes, zeros});
}

void __pipeline_commit()
{
    thread_copies &t = copies[threadIdx.x];
    t.groups.push_back(std::move(t.open));
    t.open.clear();
}

void __pipeline_wait_prior(size_t groups)
{
    thread_copies &t = copies[threadIdx.x];
    for (; t.groups.size() > groups; t.groups.pop_front())
        for (const copy &c : t.groups.front()) {
            memcpy(c.to, c.from, c.bytes - c.zeros);
            memset((char *)c.to + c.bytes - c.zeros, 0, c.zeros);
        }
}

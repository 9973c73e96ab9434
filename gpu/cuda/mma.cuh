/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One product of small matrices on the tensor cores of a warp: c[16][8] += a[16][16] * b[16][8], 16-bit floats in,
 * 32-bit sums. With g = lane / 4 and t = lane % 4, a lane has of
 *   a  rows g and g + 8: a[0] (g) and a[1] (g + 8) components 2 t, 2 t + 1; a[2] and a[3] components 2 t + 8, 2 t + 9
 *   b  column g: b.x components 2 t, 2 t + 1; b.y components 2 t + 8, 2 t + 9
 *   c  columns 2 t and 2 t + 1 of row g: c[0], c[1]; of row g + 8: c[2], c[3]
 * The tests bring their own TG_MMA.
 */
#ifndef TG_CUDA_MMA_CUH
#define TG_CUDA_MMA_CUH

#include <stdint.h>

#include "launch.cuh"

#ifndef TG_MMA
static inline __device__ void tg_mma(float *c, const uint32_t *a, const uint2 &b)
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b.x), "r"(b.y));
#else /* the same in halves: compute capability 7.5 has no larger one */
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b.x));
    asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[2]), "r"(a[3]), "r"(b.y));
#endif
}
#define TG_MMA tg_mma
#endif

#endif

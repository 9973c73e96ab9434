/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both searches for nearest neighbours share: the layout of vectors, the exact key, lists of hits and how they
 * are merged.
 *
 * Keys are summed exactly as the cpu kernels do it (16 partial sums of fused multiply-adds, folded in halves), so
 * both devices give the same bits. A quad of threads shares a pair of query and row: thread t has the sums t, t + 4,
 * t + 8 and t + 12. Chunks of 16 components are stored in that order, so that what a thread needs of a chunk lies
 * together: component t + 4 j is at place 4 t + j.
 */
#ifndef TG_CUDA_KNN_CUH
#define TG_CUDA_KNN_CUH

#include "launch.cuh"

#define CHUNK TG_CUDA_KNN_CHUNK
#define WARPS (TG_THREADS / 32)
#define ALL 0xffffffffu
#define NOBODY 0xffffffffu
/* No list of a thread's share: lists / 32 rounded up. */
#define LISTS_PER_LANE (TG_CUDA_KNN_SPLITS_MAX / 32)

typedef struct tg_cuda_knn_hit hit;

static_assert(TG_CUDA_KNN_SPLITS_MAX % 32 == 0, "lists are dealt to the lanes of a warp");
static_assert(sizeof(hit) == 8, "as the runner writes them");

static inline __device__ uint32_t place(uint32_t component)
{
    return (component & ~15u) + (component & 3) * 4 + (component >> 2 & 3);
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

/* One chunk of a row to shared memory, as floats: four values a thread. */
static inline __device__ float4 load_four(const float *from)
{
    return *(const float4 *)from;
}

static inline __device__ float4 load_four(const __half *from)
{
    const uint2 bits = *(const uint2 *)from;
    return make_float4(__half2float(__ushort_as_half((unsigned short)(bits.x & 0xffff))),
                       __half2float(__ushort_as_half((unsigned short)(bits.x >> 16))),
                       __half2float(__ushort_as_half((unsigned short)(bits.y & 0xffff))),
                       __half2float(__ushort_as_half((unsigned short)(bits.y >> 16))));
}

template <bool DOT> static inline __device__ float step(float q, float x, float sum)
{
    const float d = q - x;
    return DOT ? fmaf(q, x, sum) : fmaf(d, d, sum);
}

template <bool DOT> static inline __device__ void add_four(const float4 &q, const float4 &x, float *sums)
{
    sums[0] = step<DOT>(q.x, x.x, sums[0]);
    sums[1] = step<DOT>(q.y, x.y, sums[1]);
    sums[2] = step<DOT>(q.z, x.z, sums[2]);
    sums[3] = step<DOT>(q.w, x.w, sums[3]);
}

/* 16 sums to 8, 4, 2 and 1: the first two folds are the thread's own, the others pass between threads of the quad. */
static inline __device__ float fold(const float *sums)
{
    float s = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    s += __shfl_down_sync(ALL, s, 2, 4);
    s += __shfl_down_sync(ALL, s, 1, 4);
    return s; /* the quad's first thread has it */
}

static inline __device__ const float *query_row(const struct tg_cuda_batch &b, uint32_t query)
{
    return (const float *)((const char *)b.in + (uint64_t)query * b.in_stride);
}

/* ---- wishes and lists ------------------------------------------------------------------------------------- */

/* What a query asks for. Nothing a task sends can make k larger than the list, but a kernel trusts nobody. */
struct wish {
    uint32_t k, group;
};

static inline __device__ struct wish wish_of(const struct tg_cuda_row *row, uint32_t k_room)
{
    const uint32_t k = TG_CUDA_KNN_K(row->param);
    return {k < k_room ? k : k_room, TG_CUDA_KNN_GROUP(row->param)};
}

static inline __device__ bool before(const hit &a, const hit &b)
{
    if (a.index == NOBODY || b.index == NOBODY)
        return a.index != NOBODY;
    return a.key < b.key || (a.key == b.key && a.index < b.index);
}

/* A warp sorts @n hits, a power of two, with nobody last: bitonic, so in place and without a branch on the data. */
static inline __device__ void sort_hits(hit *hits, uint32_t n)
{
    for (uint32_t run = 2; run <= n; run *= 2) {
        for (uint32_t distance = run / 2; distance > 0; distance /= 2) {
            for (uint32_t i = threadIdx.x % 32; i < n / 2; i += 32) {
                const uint32_t at = 2 * i - (i & (distance - 1));
                const hit a = hits[at], b = hits[at + distance];
                if ((at & run) == 0 ? before(b, a) : before(a, b)) {
                    hits[at] = b;
                    hits[at + distance] = a;
                }
            }
            __syncwarp();
        }
    }
}

/* The warp's first hit, the same in every lane. */
static inline __device__ hit first_of_warp(hit mine)
{
    for (int distance = 16; distance > 0; distance /= 2) {
        const hit other = {__shfl_xor_sync(ALL, mine.key, distance, 32),
                           __shfl_xor_sync(ALL, mine.index, distance, 32)};
        if (before(other, mine))
            mine = other;
    }
    return mine;
}

/* The lists of one query that a lane has: their heads, and where they go on. */
struct heads {
    hit head[LISTS_PER_LANE];
    uint32_t next[LISTS_PER_LANE];
    uint32_t count;
};

static inline __device__ hit nearest_head(const struct heads &h)
{
    hit best = {0, NOBODY};
    for (uint32_t i = 0; i < h.count; i++)
        if (before(h.head[i], best))
            best = h.head[i];
    return best;
}

/* Sorted lists of one query: list i begins at first + i * step and has room for `room` hits. */
struct lists {
    const hit *first;
    uint64_t step;
    uint32_t room, count;
};

static inline __device__ struct heads heads_of(const struct lists &l, uint32_t k)
{
    struct heads h;
    h.count = 0;
    for (uint32_t i = threadIdx.x % 32; i < l.count; i += 32, h.count++) {
        h.head[h.count] = k > 0 ? l.first[i * l.step] : hit{0, NOBODY};
        h.next[h.count] = 1;
    }
    return h;
}

/*
 * The @k nearest of all lists, by one warp. Whoever has the nearest head gives it away and looks at the next of that
 * list. Returns how many there are.
 */
static inline __device__ uint32_t merge_lists(const struct lists &l, uint32_t k, hit *out)
{
    const uint32_t lane = threadIdx.x % 32;
    struct heads h = heads_of(l, k);
    uint32_t n = 0;
    for (; n < k; n++) {
        const hit best = first_of_warp(nearest_head(h));
        if (best.index == NOBODY)
            break;
        if (lane == 0)
            out[n] = best;
        for (uint32_t i = 0; i < h.count; i++) {
            if (h.head[i].index != best.index)
                continue;
            h.head[i] = h.next[i] < l.room ? l.first[(lane + i * 32) * l.step + h.next[i]] : hit{0, NOBODY};
            h.next[i]++;
        }
    }
    return n;
}

/* Hits that an output row has room for. */
static inline uint32_t k_room_of(const struct tg_cuda_batch *b)
{
    const uint32_t room = b->out_stride / (uint32_t)sizeof(hit);
    return room < TG_CUDA_KNN_K_MAX ? room : TG_CUDA_KNN_K_MAX;
}

/* ---- knn.cu for knn_tensor.cu ---------------------------------------------------------------------------- */

/** The exact search for the *@count queries (in device memory) whose numbers are in @chosen. */
int knn_search_rest(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, const uint32_t *count,
                    const uint32_t *chosen, void *lists);
/** Device memory for its lists. */
size_t knn_rest_bytes(uint32_t capacity, uint32_t k_room, uint32_t multiprocessors);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact nearest neighbours. A block takes a tile of queries and a part of the set; it walks over the part in tiles
 * of rows, computes all keys of a tile and keeps the k best of each query in shared memory. A second kernel merges
 * the lists of the parts.
 *
 * Keys are summed exactly as the cpu kernels do it (16 partial sums of fused multiply-adds, folded in halves), so
 * with 32-bit storage both devices give the same bits. A quad of threads shares a pair of query and row: thread t
 * has the sums t, t + 4, t + 8 and t + 12. Chunks of 16 components are stored in that order, so that what a thread
 * needs of a chunk lies together: component t + 4 j is at place 4 t + j.
 */
#include "launch.cuh"

#define CHUNK TG_CUDA_KNN_CHUNK
#define QUADS (TG_THREADS / 4)
#define PER_THREAD 4 /* queries, and rows, of one quad */
#define WARPS (TG_THREADS / 32)
#define ALL 0xffffffffu
#define NOBODY 0xffffffffu
/* No list of a thread's share: splits / 32 rounded up. */
#define LISTS_PER_LANE (TG_CUDA_KNN_SPLITS_MAX / 32)

typedef struct tg_cuda_knn_hit hit;

static_assert(TG_CUDA_KNN_SPLITS_MAX % 32 == 0, "lists are dealt to the lanes of a warp");
static_assert(sizeof(hit) == 8, "as the runner writes them");

static __device__ uint32_t place(uint32_t component)
{
    return (component & ~15u) + (component & 3) * 4 + (component >> 2 & 3);
}

/* ---- the resident set ------------------------------------------------------------------------------------ */

template <typename T> static __global__ void pack(T *to, const float *from, uint64_t values, uint32_t stride)
{
    for (uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < values; i += gridDim.x * blockDim.x) {
        const uint64_t row = i / stride;
        to[row * stride + place((uint32_t)(i % stride))] = (T)from[i];
    }
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

/* One chunk of a row to shared memory, as floats: four values a thread. */
static __device__ float4 load_four(const float *from)
{
    return *(const float4 *)from;
}

static __device__ float4 load_four(const __half *from)
{
    const uint2 bits = *(const uint2 *)from;
    return make_float4(__half2float(__ushort_as_half((unsigned short)(bits.x & 0xffff))),
                       __half2float(__ushort_as_half((unsigned short)(bits.x >> 16))),
                       __half2float(__ushort_as_half((unsigned short)(bits.y & 0xffff))),
                       __half2float(__ushort_as_half((unsigned short)(bits.y >> 16))));
}

template <bool DOT> static __device__ float step(float q, float x, float sum)
{
    const float d = q - x;
    return DOT ? fmaf(q, x, sum) : fmaf(d, d, sum);
}

template <bool DOT> static __device__ void add_four(const float4 &q, const float4 &x, float *sums)
{
    sums[0] = step<DOT>(q.x, x.x, sums[0]);
    sums[1] = step<DOT>(q.y, x.y, sums[1]);
    sums[2] = step<DOT>(q.z, x.z, sums[2]);
    sums[3] = step<DOT>(q.w, x.w, sums[3]);
}

/* 16 sums to 8, 4, 2 and 1: the first two folds are the thread's own, the others pass between threads of the quad. */
static __device__ float fold(const float *sums)
{
    float s = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    s += __shfl_down_sync(ALL, s, 2, 4);
    s += __shfl_down_sync(ALL, s, 1, 4);
    return s; /* the quad's first thread has it */
}

/* Queries of a tile and rows of a tile are both made of quads: QUADS_Q times QUADS / QUADS_Q of them. */
template <int QUADS_Q> struct tile {
    static constexpr int quads_r = QUADS / QUADS_Q;
    static constexpr int queries = QUADS_Q * PER_THREAD;
    static constexpr int rows = quads_r * PER_THREAD;
};

/* What a block keeps. A list is sorted, nearest first, equal keys by index. */
template <int QUADS_Q> struct shared_state {
    float4 q[tile<QUADS_Q>::queries * CHUNK / 4];
    float4 x[tile<QUADS_Q>::rows * CHUNK / 4];
    float keys[tile<QUADS_Q>::queries][tile<QUADS_Q>::rows];
    hit lists[tile<QUADS_Q>::queries][TG_CUDA_KNN_K_MAX];
    uint32_t found[tile<QUADS_Q>::queries];
};

static_assert(sizeof(struct shared_state<8>) <= 48 * 1024, "static shared memory on every device");
static_assert(sizeof(struct shared_state<1>) <= 48 * 1024, "static shared memory on every device");

/* A block's work: queries [query, query_end) against rows [row, row_end). */
struct part {
    const char *in;
    uint32_t in_stride;
    uint32_t query, query_end;
    uint32_t row, row_end;
};

/* One chunk of the tile's queries; those behind the last are zeros. */
template <int QUADS_Q>
static __device__ void load_queries(struct shared_state<QUADS_Q> &s, const struct part &p, uint32_t chunk)
{
    for (uint32_t i = threadIdx.x; i < (uint32_t)tile<QUADS_Q>::queries * CHUNK; i += TG_THREADS) {
        const uint32_t query = p.query + i / CHUNK, c = i % CHUNK;
        float value = 0;
        if (query < p.query_end)
            value = ((const float *)(p.in + (uint64_t)query * p.in_stride))[chunk + c];
        ((float *)s.q)[(i / CHUNK) * CHUNK + place(c)] = value;
    }
}

template <typename T, int QUADS_Q>
static __device__ void load_rows(struct shared_state<QUADS_Q> &s, const struct part &p, const T *vectors,
                                 uint32_t stride, uint32_t row, uint32_t chunk)
{
    for (uint32_t i = threadIdx.x; i < (uint32_t)tile<QUADS_Q>::rows * CHUNK / 4; i += TG_THREADS) {
        const uint32_t r = row + i / (CHUNK / 4), four = i % (CHUNK / 4);
        s.x[i] = r < p.row_end ? load_four(vectors + (uint64_t)r * stride + chunk + four * 4) : make_float4(0, 0, 0, 0);
    }
}

/* Keys of one tile of rows, all queries of the block. */
template <typename T, bool DOT, int QUADS_Q>
static __device__ void compute_keys(struct shared_state<QUADS_Q> &s, const struct part &p, const T *vectors,
                                    uint32_t stride, uint32_t row)
{
    constexpr int quads_r = tile<QUADS_Q>::quads_r;
    const uint32_t t = threadIdx.x % 4, quad = threadIdx.x / 4, quad_r = quad % quads_r, quad_q = quad / quads_r;
    float sums[PER_THREAD][PER_THREAD][4] = {};
    for (uint32_t chunk = 0; chunk < stride; chunk += CHUNK) {
        load_queries<QUADS_Q>(s, p, chunk);
        load_rows<T, QUADS_Q>(s, p, vectors, stride, row, chunk);
        __syncthreads();
        float4 x[PER_THREAD];
#pragma unroll
        for (int j = 0; j < PER_THREAD; j++)
            x[j] = s.x[(quad_r + j * quads_r) * (CHUNK / 4) + t];
#pragma unroll
        for (int i = 0; i < PER_THREAD; i++) {
            const float4 q = s.q[(quad_q * PER_THREAD + i) * (CHUNK / 4) + t];
#pragma unroll
            for (int j = 0; j < PER_THREAD; j++)
                add_four<DOT>(q, x[j], sums[i][j]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < PER_THREAD; i++) {
#pragma unroll
        for (int j = 0; j < PER_THREAD; j++) {
            const float sum = fold(sums[i][j]);
            if (t == 0)
                s.keys[quad_q * PER_THREAD + i][quad_r + j * quads_r] = DOT ? -sum : sum;
        }
    }
}

/* ---- the k best ------------------------------------------------------------------------------------------ */

/*
 * A warp puts one hit into a sorted list. Rows come in ascending order, so an equal key that is in already stays
 * in front. Entries move up by one, the uppermost 32 first: all are read before any is written.
 */
static __device__ void insert(hit *list, uint32_t *found, uint32_t k, float key, uint32_t index)
{
    const uint32_t lane = threadIdx.x % 32, have = *found;
    if (have == k && !(key < list[k - 1].key))
        return;
    uint32_t at = 0;
    for (uint32_t base = 0; base < have; base += 32) {
        const bool before = base + lane < have && list[base + lane].key <= key;
        at += __popc(__ballot_sync(ALL, before));
    }
    const uint32_t last = have < k ? have : k - 1; /* full: the last one drops out */
    for (uint32_t base = (last + 31) / 32 * 32; base > at / 32 * 32; base -= 32) {
        const uint32_t i = base - 32 + lane;
        const bool moves = i >= at && i < last;
        hit moved = {};
        if (moves)
            moved = list[i];
        __syncwarp();
        if (moves)
            list[i + 1] = moved;
        __syncwarp();
    }
    __syncwarp(); /* all have read `found`, which they may have done without any barrier since */
    if (lane == 0) {
        list[at] = {key, index};
        *found = last + 1;
    }
    __syncwarp();
}

/* What a query asks for. Nothing a task sends can make k larger than the list, but a kernel trusts nobody. */
struct wish {
    uint32_t k, group;
};

static __device__ struct wish wish_of(const struct tg_cuda_row *row, uint32_t k_room)
{
    const uint32_t k = TG_CUDA_KNN_K(row->param);
    return {k < k_room ? k : k_room, TG_CUDA_KNN_GROUP(row->param)};
}

static __device__ bool nearer(const hit *list, uint32_t have, uint32_t k, float key)
{
    return have < k || key < list[k - 1].key;
}

/* Each warp goes over the new keys of its queries, 32 at a time. */
template <int QUADS_Q>
static __device__ void keep_best(struct shared_state<QUADS_Q> &s, const struct part &p, const uint32_t *groups,
                                 const struct tg_cuda_row *wishes, uint32_t k_room, uint32_t row)
{
    const uint32_t lane = threadIdx.x % 32;
    for (uint32_t q = threadIdx.x / 32; q < (uint32_t)tile<QUADS_Q>::queries && p.query + q < p.query_end; q += WARPS) {
        const struct wish w = wish_of(&wishes[p.query + q], k_room);
        for (uint32_t base = 0; w.k > 0 && base < (uint32_t)tile<QUADS_Q>::rows && row + base < p.row_end; base += 32) {
            const uint32_t index = row + base + lane;
            const float key = s.keys[q][base + lane];
            bool wanted = index < p.row_end && nearer(s.lists[q], s.found[q], w.k, key);
            if (wanted && w.group)
                wanted = groups && groups[index] == w.group;
            for (uint32_t left = __ballot_sync(ALL, wanted); left; left &= left - 1) {
                const int from = __ffs((int)left) - 1;
                insert(s.lists[q], &s.found[q], w.k, __shfl_sync(ALL, key, from, 32), row + base + (uint32_t)from);
            }
        }
    }
}

/* The block's lists, filled up with nobody: list of query q of part s is at (s * capacity + q) * k_room. */
template <int QUADS_Q>
static __device__ void store_lists(const struct shared_state<QUADS_Q> &s, const struct part &p, hit *lists,
                                   uint32_t k_room)
{
    for (uint32_t i = threadIdx.x; i < (uint32_t)tile<QUADS_Q>::queries * k_room; i += TG_THREADS) {
        const uint32_t q = i / k_room, n = i % k_room;
        if (p.query + q < p.query_end) {
            hit h = {0, NOBODY};
            if (n < s.found[q])
                h = s.lists[q][n];
            lists[(uint64_t)(p.query + q) * k_room + n] = h;
        }
    }
}

template <typename T, bool DOT, int QUADS_Q>
static __global__ void __launch_bounds__(TG_THREADS)
    search(struct tg_cuda_knn set, struct tg_cuda_batch b, hit *lists, uint32_t k_room, uint32_t rows_per_split)
{
    __shared__ struct shared_state<QUADS_Q> s;
    const uint32_t split = blockIdx.x, count = *b.count;
    struct part p = {(const char *)b.in, b.in_stride, blockIdx.y * (uint32_t)tile<QUADS_Q>::queries, count, 0, 0};
    if (p.query >= count)
        return; /* the whole block */
    p.row = split * rows_per_split;
    p.row_end = set.rows - p.row < rows_per_split ? set.rows : p.row + rows_per_split;
    for (uint32_t q = threadIdx.x; q < (uint32_t)tile<QUADS_Q>::queries; q += TG_THREADS)
        s.found[q] = 0;
    __syncthreads();
    for (uint32_t row = p.row; row < p.row_end; row += tile<QUADS_Q>::rows) {
        compute_keys<T, DOT, QUADS_Q>(s, p, (const T *)set.vectors, set.stride, row);
        __syncthreads();
        keep_best<QUADS_Q>(s, p, set.groups, b.rows, k_room, row);
        __syncthreads();
    }
    store_lists<QUADS_Q>(s, p, lists + (uint64_t)split * b.capacity * k_room, k_room);
}

/* ---- merging --------------------------------------------------------------------------------------------- */

static __device__ bool before(const hit &a, const hit &b)
{
    if (a.index == NOBODY || b.index == NOBODY)
        return a.index != NOBODY;
    return a.key < b.key || (a.key == b.key && a.index < b.index);
}

/* The warp's first hit, the same in every lane. */
static __device__ hit first_of_warp(hit mine)
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

static __device__ hit nearest_head(const struct heads &h)
{
    hit best = {0, NOBODY};
    for (uint32_t i = 0; i < h.count; i++)
        if (before(h.head[i], best))
            best = h.head[i];
    return best;
}

/* A warp for each query. Whoever has the nearest head gives it away and looks at the next of that list. */
static __global__ void __launch_bounds__(TG_THREADS)
    merge(struct tg_cuda_batch b, const hit *lists, uint32_t k_room, uint32_t splits)
{
    const uint32_t lane = threadIdx.x % 32, query = blockIdx.x * WARPS + threadIdx.x / 32;
    if (query >= *b.count)
        return; /* the whole warp */
    const struct wish w = wish_of(&b.rows[query], k_room);
    const uint64_t list_step = (uint64_t)b.capacity * k_room;
    const hit *mine = lists + (uint64_t)query * k_room;
    struct heads h;
    h.count = 0;
    for (uint32_t split = lane; split < splits; split += 32, h.count++) {
        h.head[h.count] = w.k > 0 ? mine[split * list_step] : hit{0, NOBODY};
        h.next[h.count] = 1;
    }
    hit *out = (hit *)((char *)b.out + (uint64_t)query * b.out_stride);
    uint32_t n = 0;
    for (; n < w.k; n++) {
        const hit best = first_of_warp(nearest_head(h));
        if (best.index == NOBODY)
            break;
        if (lane == 0)
            out[n] = best;
        for (uint32_t i = 0; i < h.count; i++) {
            if (h.head[i].index != best.index)
                continue;
            h.head[i] = h.next[i] < k_room ? mine[(lane + i * 32) * list_step + h.next[i]] : hit{0, NOBODY};
            h.next[i]++;
        }
    }
    if (lane == 0)
        b.results[query].out_len = n * (uint32_t)sizeof(hit);
}

/* ---- launching ------------------------------------------------------------------------------------------- */

extern "C" int tg_cuda_knn_pack(const struct tg_cuda_knn *set, void *vectors, const float *from, uint32_t first,
                                uint32_t count, void *stream)
{
    const uint64_t values = (uint64_t)count * set->stride, at = (uint64_t)first * set->stride;
    const unsigned blocks = tg_blocks(values, 4096);
    return set->half ? TG_LAUNCH(pack<__half>, blocks, TG_THREADS, stream, (__half *)vectors + at, from, values,
                                 set->stride)
                     : TG_LAUNCH(pack<float>, blocks, TG_THREADS, stream, (float *)vectors + at, from, values,
                                 set->stride);
}

template <typename T, bool DOT, int QUADS_Q>
static int launch_search(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, uint32_t splits,
                         uint32_t k_room)
{
    const uint32_t tiles = (set->rows + tile<QUADS_Q>::rows - 1) / tile<QUADS_Q>::rows;
    const uint32_t rows_per_split = (tiles + splits - 1) / splits * tile<QUADS_Q>::rows;
    const dim3 grid((set->rows + rows_per_split - 1) / rows_per_split,
                    (b->capacity + tile<QUADS_Q>::queries - 1) / tile<QUADS_Q>::queries);
    int rc = TG_LAUNCH((search<T, DOT, QUADS_Q>), grid, TG_THREADS, b->stream, *set, *b, (hit *)b->scratch, k_room,
                       rows_per_split);
    if (rc != 0)
        return rc;
    return TG_LAUNCH(merge, (b->capacity + WARPS - 1) / WARPS, TG_THREADS, b->stream, *b, (const hit *)b->scratch,
                     k_room, grid.x);
}

template <typename T, bool DOT>
static int choose_tile(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, uint32_t splits, uint32_t k_room,
                       uint32_t small)
{
    return small ? launch_search<T, DOT, 1>(set, b, splits, k_room)
                 : launch_search<T, DOT, 8>(set, b, splits, k_room);
}

template <typename T>
static int choose_key(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, uint32_t splits, uint32_t k_room,
                      uint32_t small)
{
    return set->dot ? choose_tile<T, true>(set, b, splits, k_room, small)
                    : choose_tile<T, false>(set, b, splits, k_room, small);
}

extern "C" int tg_cuda_knn_search(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, uint32_t splits,
                                  uint32_t small)
{
    uint32_t k_room = b->out_stride / (uint32_t)sizeof(hit);
    if (k_room > TG_CUDA_KNN_K_MAX)
        k_room = TG_CUDA_KNN_K_MAX;
    if (splits == 0 || splits > TG_CUDA_KNN_SPLITS_MAX || b->capacity == 0 || set->rows == 0 ||
        b->scratch_bytes < (uint64_t)splits * b->capacity * k_room * sizeof(hit))
        return (int)cudaErrorInvalidValue;
    return set->half ? choose_key<__half>(set, b, splits, k_room, small)
                     : choose_key<float>(set, b, splits, k_room, small);
}

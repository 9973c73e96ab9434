/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact nearest neighbours. A block takes a tile of queries and a part of the set; it walks over the part in tiles
 * of rows, computes all keys of a tile and keeps the k best of each query in shared memory. A second kernel merges
 * the lists of the parts. How many parts there are is decided on the device, by the number of queries that came.
 */
#include "knn.cuh"

#define QUADS (TG_THREADS / 4)
#define PER_THREAD 4 /* queries, and rows, of one quad */

/* ---- the resident set ------------------------------------------------------------------------------------ */

template <typename T> static __global__ void pack(T *to, const float *from, uint64_t values, uint32_t stride)
{
    for (uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < values; i += gridDim.x * blockDim.x) {
        const uint64_t row = i / stride;
        to[row * stride + place((uint32_t)(i % stride))] = (T)from[i];
    }
}

/* ---- keys ------------------------------------------------------------------------------------------------ */

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

/* The queries to search for: the first *count of the batch, or those whose numbers are in @chosen. */
struct asked {
    const uint32_t *count, *chosen;
};

static __device__ uint32_t query_of(const struct asked &a, uint32_t i)
{
    return a.chosen ? a.chosen[i] : i;
}

/* A block's work: queries [query, query_end) of those asked for, against rows [row, row_end). */
struct part {
    struct asked asked;
    uint32_t query, query_end;
    uint32_t row, row_end;
};

/* What a grid has to give away: blocks, room for lists, at most so many parts of the set. */
struct deal {
    uint32_t blocks, lists, splits_max;
    uint32_t tile_queries, tile_rows;
};

/* Into how many parts of how many rows the set is cut for @count queries. There are blocks for at least one part. */
struct cut {
    uint32_t splits, rows;
};

static __device__ struct cut cut_of(const struct deal &d, uint32_t rows, uint32_t count)
{
    const uint32_t tiles = (rows + d.tile_rows - 1) / d.tile_rows;
    const uint32_t by_blocks = d.blocks / ((count + d.tile_queries - 1) / d.tile_queries), by_lists = d.lists / count;
    uint32_t splits = by_blocks < by_lists ? by_blocks : by_lists;
    splits = splits < d.splits_max ? splits : d.splits_max;
    const uint32_t part = (tiles + splits - 1) / splits * d.tile_rows;
    return {(rows + part - 1) / part, part};
}

/* One chunk of the tile's queries; those behind the last are zeros. */
template <int QUADS_Q>
static __device__ void load_queries(struct shared_state<QUADS_Q> &s, const struct part &p,
                                    const struct tg_cuda_batch &b, uint32_t chunk)
{
    for (uint32_t i = threadIdx.x; i < (uint32_t)tile<QUADS_Q>::queries * CHUNK; i += TG_THREADS) {
        const uint32_t query = p.query + i / CHUNK, c = i % CHUNK;
        float value = 0;
        if (query < p.query_end)
            value = query_row(b, query_of(p.asked, query))[chunk + c];
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
static __device__ void compute_keys(struct shared_state<QUADS_Q> &s, const struct part &p,
                                    const struct tg_cuda_batch &b, const T *vectors, uint32_t stride, uint32_t row)
{
    constexpr int quads_r = tile<QUADS_Q>::quads_r;
    const uint32_t t = threadIdx.x % 4, quad = threadIdx.x / 4, quad_r = quad % quads_r, quad_q = quad / quads_r;
    float sums[PER_THREAD][PER_THREAD][4] = {};
    for (uint32_t chunk = 0; chunk < stride; chunk += CHUNK) {
        load_queries<QUADS_Q>(s, p, b, chunk);
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
        const struct wish w = wish_of(&wishes[query_of(p.asked, p.query + q)], k_room);
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

/* The block's lists, filled up with nobody: list of query q of part s is at (s * count + q) * k_room. */
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
    search(struct tg_cuda_knn set, struct tg_cuda_batch b, struct asked asked, hit *lists, uint32_t k_room,
           struct deal deal)
{
    __shared__ struct shared_state<QUADS_Q> s;
    const uint32_t count = *asked.count;
    if (count == 0)
        return; /* the whole grid */
    const struct cut cut = cut_of(deal, set.rows, count);
    const uint32_t split = blockIdx.x % cut.splits, query = blockIdx.x / cut.splits * (uint32_t)tile<QUADS_Q>::queries;
    if (query >= count)
        return; /* the whole block */
    struct part p = {asked, query, count, split * cut.rows, 0};
    p.row_end = set.rows - p.row < cut.rows ? set.rows : p.row + cut.rows;
    for (uint32_t q = threadIdx.x; q < (uint32_t)tile<QUADS_Q>::queries; q += TG_THREADS)
        s.found[q] = 0;
    __syncthreads();
    for (uint32_t row = p.row; row < p.row_end; row += tile<QUADS_Q>::rows) {
        compute_keys<T, DOT, QUADS_Q>(s, p, b, (const T *)set.vectors, set.stride, row);
        __syncthreads();
        keep_best<QUADS_Q>(s, p, set.groups, b.rows, k_room, row);
        __syncthreads();
    }
    store_lists<QUADS_Q>(s, p, lists + (uint64_t)split * count * k_room, k_room);
}

/* A warp for each query. */
static __global__ void __launch_bounds__(TG_THREADS)
    merge(struct tg_cuda_batch b, struct asked asked, const hit *lists, uint32_t k_room, struct deal deal,
          uint32_t rows)
{
    const uint32_t i = blockIdx.x * WARPS + threadIdx.x / 32, count = *asked.count;
    if (i >= count)
        return; /* the whole warp */
    const uint32_t query = query_of(asked, i);
    const struct wish w = wish_of(&b.rows[query], k_room);
    const struct lists l = {lists + (uint64_t)i * k_room, (uint64_t)count * k_room, k_room,
                            cut_of(deal, rows, count).splits};
    const uint32_t n = merge_lists(l, w.k, (hit *)((char *)b.out + (uint64_t)query * b.out_stride));
    if (threadIdx.x % 32 == 0)
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

/* Both kernels of one search. */
struct order {
    const struct tg_cuda_knn *set;
    const struct tg_cuda_batch *b;
    struct asked asked;
    hit *lists;
    uint32_t k_room;
    struct deal deal;
};

template <typename T, bool DOT, int QUADS_Q> static int launch_search(struct order o)
{
    o.deal.tile_queries = tile<QUADS_Q>::queries;
    o.deal.tile_rows = tile<QUADS_Q>::rows;
    int rc = TG_LAUNCH((search<T, DOT, QUADS_Q>), o.deal.blocks, TG_THREADS, o.b->stream, *o.set, *o.b, o.asked,
                       o.lists, o.k_room, o.deal);
    if (rc != 0)
        return rc;
    return TG_LAUNCH(merge, (o.b->capacity + WARPS - 1) / WARPS, TG_THREADS, o.b->stream, *o.b, o.asked,
                     (const hit *)o.lists, o.k_room, o.deal, o.set->rows);
}

template <typename T, bool DOT> static int choose_tile(const struct order &o, uint32_t small)
{
    return small ? launch_search<T, DOT, 1>(o) : launch_search<T, DOT, 8>(o);
}

template <typename T> static int choose_key(const struct order &o, uint32_t small)
{
    return o.set->dot ? choose_tile<T, true>(o, small) : choose_tile<T, false>(o, small);
}

static int choose(const struct order &o, uint32_t small)
{
    return o.set->half ? choose_key<__half>(o, small) : choose_key<float>(o, small);
}

static uint32_t splits_max(uint32_t rows, uint32_t splits)
{
    const uint32_t most = (rows - 1) / TG_CUDA_KNN_PART_ROWS + 1;
    const uint32_t more = most > splits ? most : splits;
    return more < TG_CUDA_KNN_SPLITS_MAX ? more : TG_CUDA_KNN_SPLITS_MAX;
}

extern "C" int tg_cuda_knn_search(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, uint32_t splits,
                                  uint32_t small)
{
    const uint32_t k_room = k_room_of(b), queries = small ? tile<1>::queries : tile<8>::queries;
    if (splits == 0 || splits > TG_CUDA_KNN_SPLITS_MAX || b->capacity == 0 || set->rows == 0 ||
        b->scratch_bytes < (uint64_t)splits * b->capacity * k_room * sizeof(hit))
        return (int)cudaErrorInvalidValue;
    const struct deal deal = {splits * ((b->capacity + queries - 1) / queries), splits * b->capacity,
                              splits_max(set->rows, splits), 0, 0};
    return choose({set, b, {b->count, nullptr}, (hit *)b->scratch, k_room, deal}, small);
}

/* Few are left as a rule, so the blocks are as many as keep the device busy with one tile of queries. */
static uint32_t rest_blocks(uint32_t capacity, uint32_t multiprocessors)
{
    const uint32_t tiles = (capacity + tile<8>::queries - 1) / tile<8>::queries;
    return tiles > 2 * multiprocessors ? tiles : 2 * multiprocessors;
}

size_t knn_rest_bytes(uint32_t capacity, uint32_t k_room, uint32_t multiprocessors)
{
    return (size_t)rest_blocks(capacity, multiprocessors) * tile<8>::queries * k_room * sizeof(hit);
}

int knn_search_rest(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, const uint32_t *count,
                    const uint32_t *chosen, void *lists)
{
    const uint32_t blocks = rest_blocks(b->capacity, b->multiprocessors);
    const struct deal deal = {blocks, blocks * tile<8>::queries, splits_max(set->rows, 1), 0, 0};
    return choose({set, b, {count, chosen}, (hit *)lists, k_room_of(b), deal}, 0);
}

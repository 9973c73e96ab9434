/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact nearest neighbours with the help of tensor cores, for many queries at once.
 *   prepare    queries to scaled 16-bit floats, and what is lost by that
 *   shortlist  a lower bound of every key from one product of matrices; the rows with the least bounds are kept
 *   settle     exact keys of the rows kept, and the proof that no other row is as near
 *   knn.cu     searches for the queries without proof
 */
#include <cuda_pipeline.h>

#include "knn_bound.cuh"
#include "mma.cuh"

#define TILE TG_CUDA_KNN_TENSOR_TILE
#define STEP 32           /* components that are loaded at a time */
#define PIECES (STEP / 8) /* of 16 bytes: a row's share of a step */
#define WARP_QUERIES 32
#define WARP_ROWS 64
#define QUERY_WARPS (TILE / WARP_QUERIES)
#define ROW_WARPS (TILE / WARP_ROWS)
#define FRAGMENT 8 /* rows of one product */

static_assert(QUERY_WARPS * ROW_WARPS == WARPS, "a block's tile is its warps'");
static_assert(WARP_QUERIES == 32, "a lane looks after a query's list");

/* ---- the resident set ------------------------------------------------------------------------------------ */

static __global__ void find_peak(const float *vectors, uint64_t values, uint32_t *peak)
{
    float mine = 0;
    for (uint64_t i = blockIdx.x * blockDim.x + threadIdx.x; i < values; i += gridDim.x * blockDim.x)
        mine = fmaxf(mine, fabsf(vectors[i]));
    mine = peak_of_warp(mine);
    if (threadIdx.x % 32 == 0)
        atomicMax(peak, __float_as_uint(mine)); /* bits of numbers that are not negative are in their order */
}

static inline __device__ float value_of(float value)
{
    return value;
}

static inline __device__ float value_of(__half value)
{
    return __half2float(value);
}

/* A warp for each row. With 16-bit storage the peak is 0, the scale 1, and the halves are the vectors. */
template <typename T>
static __global__ void measure(struct tg_cuda_knn set, struct tg_cuda_knn_tensor tensor)
{
    const float scale = ldexpf(1, scale_exponent(__uint_as_float(*tensor.peak)));
    for (uint32_t row = blockIdx.x * WARPS + threadIdx.x / 32; row < set.rows; row += gridDim.x * WARPS) {
        struct squares s = {};
        for (uint32_t i = threadIdx.x % 32; i < set.stride; i += 32) {
            const uint64_t at = (uint64_t)row * set.stride + i;
            const __half rounded = add_component(s, value_of(((const T *)set.vectors)[at]), scale);
            if (sizeof(T) == sizeof(float))
                ((__half *)tensor.halves)[at] = rounded;
        }
        s = sums_of_warp(s);
        if (threadIdx.x % 32 == 0)
            ((struct bound *)tensor.bounds)[row] = {
                set.dot ? 0 : (float)(s.norm * (1 - norm_slack(set.stride))), up(sqrt(s.length)),
                up(sqrt(s.residual)), 0};
    }
}

/* ---- scratch memory -------------------------------------------------------------------------------------- */

/* What passes between the kernels of a batch. */
struct work {
    uint32_t *left;     /* queries without proof */
    uint32_t *unproven; /* their numbers */
    __half *queries;
    struct terms *terms;
    hit *candidates; /* `room` a query */
    hit *lists;      /* list l of query q at (l * capacity + q) * room; afterwards those of the exact search */
    uint32_t room;   /* hits of a list: a power of two */
};

/* A list has room for as many again as come between two times that it is sorted: two fragments at the least. */
static uint32_t list_room(uint32_t k_room)
{
    uint32_t room = 64;
    while (room < kept(k_room) + 2 * FRAGMENT)
        room *= 2;
    return room;
}

static size_t padded(size_t bytes)
{
    return (bytes + 255) / 256 * 256;
}

/* Cuts @at in pieces, or only says how many bytes they have together. */
static size_t lay_out(struct work *w, char *at, const struct tg_cuda_knn *set, uint32_t k_room, uint32_t capacity,
                      uint32_t splits, uint32_t multiprocessors)
{
    const uint32_t room = list_room(k_room);
    const size_t mine = (size_t)splits * ROW_WARPS * capacity * room * sizeof(hit);
    const size_t rest = knn_rest_bytes(capacity, k_room, multiprocessors);
    const size_t sizes[] = {sizeof(uint32_t),
                            capacity * sizeof(uint32_t),
                            (size_t)capacity * set->stride * sizeof(__half),
                            capacity * sizeof(struct terms),
                            (size_t)capacity * room * sizeof(hit),
                            mine > rest ? mine : rest};
    size_t places[7] = {0};
    for (int i = 0; i < 6; i++)
        places[i + 1] = places[i] + padded(sizes[i]);
    if (w)
        *w = {(uint32_t *)at, (uint32_t *)(at + places[1]), (__half *)(at + places[2]),
              (struct terms *)(at + places[3]), (hit *)(at + places[4]), (hit *)(at + places[5]), room};
    return places[6];
}

/* ---- prepare --------------------------------------------------------------------------------------------- */

/* A warp for each query. */
static __global__ void __launch_bounds__(TG_THREADS)
    prepare(struct tg_cuda_knn set, struct tg_cuda_knn_tensor tensor, struct tg_cuda_batch b, struct work w)
{
    const uint32_t lane = threadIdx.x % 32, query = blockIdx.x * WARPS + threadIdx.x / 32;
    if (blockIdx.x == 0 && threadIdx.x == 0)
        *w.left = 0;
    if (query >= *b.count)
        return; /* the whole warp */
    const float *from = query_row(b, query);
    float peak = 0;
    for (uint32_t i = lane; i < set.stride; i += 32)
        peak = fmaxf(peak, fabsf(from[i]));
    const int exponent = scale_exponent(peak_of_warp(peak));
    struct squares s = {};
    for (uint32_t i = lane; i < set.stride; i += 32)
        w.queries[(uint64_t)query * set.stride + place(i)] = add_component(s, from[i], ldexpf(1, exponent));
    s = sums_of_warp(s);
    if (lane == 0)
        w.terms[query] = terms_of(s, set, exponent + scale_exponent(__uint_as_float(*tensor.peak)));
}

/* ---- shortlist: products --------------------------------------------------------------------------------- */

/* What a block keeps. Two buffers, so that a step is loaded while the one before is multiplied. */
struct shared_state {
    uint4 queries[2][TILE * PIECES], rows[2][TILE * PIECES];
    struct terms terms[TILE];
    uint32_t keep[TILE], group[TILE];
    float limit[ROW_WARPS][TILE];    /* what is not below it is not kept */
    uint32_t found[ROW_WARPS][TILE]; /* hits in the list */
};

static_assert(sizeof(struct shared_state) <= 48 * 1024, "static shared memory on every device");

/* Where a piece lies: every other pair of rows has its two chunks swapped, so that a warp reads all banks at once. */
static inline __device__ uint32_t place_of_piece(uint32_t row, uint32_t piece)
{
    return row * PIECES + (piece ^ (row & 2));
}

/* A step of rows [first, end) and zeros for what is beyond them or the stride. */
static inline __device__ void load_step(uint4 *to, const __half *from, uint32_t stride, uint32_t first, uint32_t end,
                                        uint32_t component)
{
    for (uint32_t i = threadIdx.x; i < TILE * PIECES; i += TG_THREADS) {
        const uint32_t row = i / PIECES, piece = i % PIECES, at = component + piece * 8;
        const bool there = first + row < end && at < stride;
        __pipeline_memcpy_async(&to[place_of_piece(row, piece)],
                                there ? from + (uint64_t)(first + row) * stride + at : from, 16, there ? 0 : 16);
    }
}

/*
 * What a lane multiplies of a chunk lies together: four components at 4 t are its 2 t, 2 t + 1, 2 t + 8 and 2 t + 9.
 * In which order components are summed does not matter, as long as it is the same for queries and rows.
 */
static inline __device__ uint2 load_pair(const uint4 *tile, uint32_t row, uint32_t chunk)
{
    return ((const uint2 *)&tile[place_of_piece(row, chunk * 2)])[threadIdx.x % 4];
}

typedef float sums[WARP_QUERIES / 16][WARP_ROWS / FRAGMENT][4];

static inline __device__ void multiply(const uint4 *queries, const uint4 *rows, sums sum)
{
    const uint32_t g = threadIdx.x % 32 / 4;
#pragma unroll
    for (uint32_t chunk = 0; chunk < STEP / CHUNK; chunk++) {
        uint32_t a[WARP_QUERIES / 16][4];
#pragma unroll
        for (uint32_t i = 0; i < WARP_QUERIES / 16; i++) {
            const uint2 low = load_pair(queries, i * 16 + g, chunk), high = load_pair(queries, i * 16 + 8 + g, chunk);
            a[i][0] = low.x;
            a[i][1] = high.x;
            a[i][2] = low.y;
            a[i][3] = high.y;
        }
#pragma unroll
        for (uint32_t j = 0; j < WARP_ROWS / FRAGMENT; j++) {
            const uint2 b = load_pair(rows, j * FRAGMENT + g, chunk);
#pragma unroll
            for (uint32_t i = 0; i < WARP_QUERIES / 16; i++)
                TG_MMA(sum[i][j], a[i], b);
        }
    }
}

/* ---- shortlist: lists ------------------------------------------------------------------------------------ */

/* A warp's part of the tile, and its lists: that of query q at lists + q * room. */
struct share {
    uint32_t query, row; /* its first within the tile */
    uint32_t half;       /* which list of the part */
    hit *lists;
    uint32_t room, row_end;
};

/* Sorts a list and keeps the best of it. From then on rows that are no better than the last of them are left out. */
static inline __device__ void shorten(struct shared_state &s, const struct share &p, uint32_t q)
{
    hit *list = p.lists + (uint64_t)q * p.room;
    const uint32_t have = s.found[p.half][p.query + q], keep = s.keep[p.query + q];
    for (uint32_t i = have + threadIdx.x % 32; i < p.room; i += 32)
        list[i] = {0, NOBODY};
    __syncwarp();
    sort_hits(list, p.room);
    if (threadIdx.x % 32 == 0 && have >= keep) {
        s.found[p.half][p.query + q] = keep;
        s.limit[p.half][p.query + q] = keep > 0 ? list[keep - 1].key : -INFINITY;
    }
    __syncwarp();
}

/* Four queries of a lane against two rows: what its sums of one fragment are. */
struct keys {
    float of[4][2];
};

static inline __device__ uint32_t query_of_lane(uint32_t i)
{
    return i * 8 + threadIdx.x % 32 / 4;
}

static inline __device__ void load_limits(const struct shared_state &s, const struct share &p, float *limit)
{
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
        limit[i] = s.limit[p.half][p.query + query_of_lane(i)];
}

/* Not below the limit is not the same as at or above it: what is not a number is kept. */
static inline __device__ bool wanted(float key, float limit, uint32_t row, uint32_t row_end)
{
    return row < row_end && !(key >= limit);
}

static inline __device__ void add_hit(struct shared_state &s, const struct share &p, const uint32_t *groups, uint32_t q,
                                      float key, uint32_t row)
{
    const uint32_t group = s.group[p.query + q];
    if (group == 0 || (groups && groups[row] == group))
        p.lists[(uint64_t)q * p.room + atomicAdd(&s.found[p.half][p.query + q], 1u)] = {key, row};
}

/*
 * A fragment adds at most FRAGMENT hits to a list, for which there is room. A function of its own, since it is needed
 * at many places and seldom; its arguments are copies, so that the caller's stay in registers.
 */
static TG_OUT_OF_LINE __device__ void add_hits(struct shared_state &s, const struct share p, const uint32_t *groups,
                                               const struct keys keys, uint32_t row)
{
    float limit[4];
    load_limits(s, p, limit);
#pragma unroll
    for (uint32_t i = 0; i < 4; i++) {
#pragma unroll
        for (uint32_t r = 0; r < 2; r++)
            if (wanted(keys.of[i][r], limit[i], row + r, p.row_end))
                add_hit(s, p, groups, query_of_lane(i), keys.of[i][r], row + r);
    }
    __syncwarp();
    const bool full = s.found[p.half][p.query + threadIdx.x % 32] > p.room - FRAGMENT;
    for (uint32_t left = __ballot_sync(ALL, full); left; left &= left - 1)
        shorten(s, p, (uint32_t)__ffs((int)left) - 1);
}

/* Sums of a tile of rows to bounds, fragment by fragment; @row is the first of the warp's. */
static inline __device__ void keep_least(struct shared_state &s, const struct share &p, const struct bound *bounds,
                                         const uint32_t *groups, const sums sum, uint32_t row)
{
    struct terms q[4];
    float limit[4];
#pragma unroll
    for (uint32_t i = 0; i < 4; i++)
        q[i] = s.terms[p.query + query_of_lane(i)];
    load_limits(s, p, limit);
#pragma unroll
    for (uint32_t j = 0; j < WARP_ROWS / FRAGMENT; j++) {
        const uint32_t first = row + j * FRAGMENT + threadIdx.x % 4 * 2;
        struct keys keys;
        bool any = false;
#pragma unroll
        for (uint32_t r = 0; r < 2; r++) {
            const struct bound x = bounds[first + r < p.row_end ? first + r : p.row_end - 1];
#pragma unroll
            for (uint32_t i = 0; i < 4; i++) {
                keys.of[i][r] = lower_bound(q[i], x, sum[i / 2][j][i % 2 * 2 + r]);
                any |= wanted(keys.of[i][r], limit[i], first + r, p.row_end);
            }
        }
        if (__ballot_sync(ALL, any)) {
            add_hits(s, p, groups, keys, first);
            load_limits(s, p, limit);
        }
    }
}

/* ---- shortlist ------------------------------------------------------------------------------------------- */

static inline __device__ void begin_lists(struct shared_state &s, const struct tg_cuda_batch &b, const struct work &w,
                                          uint32_t k_room, uint32_t query, uint32_t count)
{
    for (uint32_t i = threadIdx.x; i < TILE; i += TG_THREADS) {
        struct wish wish = {0, 0};
        if (query + i < count)
            wish = wish_of(&b.rows[query + i], k_room);
        s.terms[i] = wish.k > 0 ? w.terms[query + i] : terms{0, 0, 0, 0};
        s.keep[i] = kept(wish.k);
        s.group[i] = wish.group;
        for (uint32_t half = 0; half < ROW_WARPS; half++) {
            s.limit[half][i] = wish.k > 0 ? INFINITY : -INFINITY;
            s.found[half][i] = 0;
        }
    }
}

static inline __device__ void end_lists(struct shared_state &s, const struct share &p, uint32_t query, uint32_t count)
{
    for (uint32_t q = 0; q < WARP_QUERIES && query + p.query + q < count; q++)
        shorten(s, p, q);
}

/* A step of the walk over a part: which tile of rows, and from which component on. */
struct position {
    uint32_t row, component;
};

static inline __device__ struct position next_position(const struct position &at, uint32_t stride)
{
    return at.component + STEP < stride ? position{at.row, at.component + STEP} : position{at.row + TILE, 0};
}

static inline __device__ void clear(sums sum)
{
#pragma unroll
    for (uint32_t i = 0; i < WARP_QUERIES / 16; i++) {
#pragma unroll
        for (uint32_t j = 0; j < WARP_ROWS / FRAGMENT; j++)
            sum[i][j][0] = sum[i][j][1] = sum[i][j][2] = sum[i][j][3] = 0;
    }
}

/* What the block loads in a step: its queries, so that they need not all fit into shared memory, and rows. */
struct source {
    const __half *queries, *rows;
    uint32_t stride, query, query_end, row_end;
};

static inline __device__ void load_both(struct shared_state &s, uint32_t buffer, const struct source &from,
                                        const struct position &at)
{
    load_step(s.queries[buffer], from.queries, from.stride, from.query, from.query_end, at.component);
    load_step(s.rows[buffer], from.rows, from.stride, at.row, from.row_end, at.component);
    __pipeline_commit();
}

static inline __device__ struct share share_of(const struct work &w, const struct tg_cuda_batch &b, uint32_t query,
                                               uint32_t row_end)
{
    const uint32_t warp = threadIdx.x / 32, half = warp / QUERY_WARPS, first = warp % QUERY_WARPS * WARP_QUERIES;
    const uint64_t list = (uint64_t)(blockIdx.x * ROW_WARPS + half) * b.capacity + query + first;
    return {first, half * WARP_ROWS, half, w.lists + list * w.room, w.room, row_end};
}

/* Block (x, y) has part x of the set and the y-th tile of queries. */
static __global__ void __launch_bounds__(TG_THREADS, 2)
    shortlist(struct tg_cuda_knn set, struct tg_cuda_knn_tensor tensor, struct tg_cuda_batch b, struct work w,
              uint32_t k_room, uint32_t rows_per_split)
{
    __shared__ struct shared_state s;
    const uint32_t count = *b.count, query = blockIdx.y * TILE, first = blockIdx.x * rows_per_split;
    if (query >= count)
        return; /* the whole block */
    const uint32_t row_end = set.rows - first < rows_per_split ? set.rows : first + rows_per_split;
    const struct source from = {w.queries, (const __half *)tensor.halves, set.stride, query, count, row_end};
    const struct share p = share_of(w, b, query, row_end);
    const bool works = query + p.query < count; /* the whole warp; what it loads is for the others too */
    struct position at = {first, 0};
    sums sum;
    clear(sum);
    begin_lists(s, b, w, k_room, query, count);
    load_both(s, 0, from, at);
    for (uint32_t buffer = 0; at.row < row_end; buffer ^= 1) {
        const struct position next = next_position(at, set.stride);
        __pipeline_wait_prior(0);
        __syncthreads(); /* this step is there, and nobody reads the other buffer any more */
        if (next.row < row_end)
            load_both(s, buffer ^ 1, from, next);
        if (works)
            multiply(&s.queries[buffer][p.query * PIECES], &s.rows[buffer][p.row * PIECES], sum);
        if (works && next.component == 0) {
            keep_least(s, p, (const struct bound *)tensor.bounds, set.groups, sum, at.row + p.row);
            clear(sum);
        }
        at = next;
    }
    end_lists(s, p, query, count);
}

/* ---- settle ---------------------------------------------------------------------------------------------- */

/* By a quad of threads, whose first gets it: the same sum as in knn.cu. */
template <typename T, bool DOT>
static inline __device__ float exact_key(const float *query, const T *row, uint32_t stride)
{
    const uint32_t t = threadIdx.x % 4;
    float partial[4] = {};
    for (uint32_t chunk = 0; chunk < stride; chunk += CHUNK) {
        const float *q = query + chunk + t;
        add_four<DOT>(make_float4(q[0], q[4], q[8], q[12]), load_four(row + chunk + t * 4), partial);
    }
    const float sum = fold(partial);
    return DOT ? -sum : sum;
}

/* The candidates' bounds become keys. All quads go the same way; those behind the last look at the first once more. */
template <typename T, bool DOT>
static inline __device__ void make_exact(const struct tg_cuda_knn &set, const float *query, hit *candidates, uint32_t n)
{
    for (uint32_t first = 0; first < n; first += 8) {
        const uint32_t i = first + threadIdx.x % 32 / 4;
        const T *row = (const T *)set.vectors + (uint64_t)candidates[i < n ? i : 0].index * set.stride;
        const float key = exact_key<T, DOT>(query, row, set.stride);
        if (threadIdx.x % 4 == 0 && i < n)
            candidates[i].key = key;
    }
}

static inline __device__ void answer(const struct tg_cuda_batch &b, uint32_t query, const hit *hits, uint32_t n)
{
    hit *out = (hit *)((char *)b.out + (uint64_t)query * b.out_stride);
    for (uint32_t i = threadIdx.x % 32; i < n; i += 32)
        out[i] = hits[i];
    if (threadIdx.x % 32 == 0)
        b.results[query].out_len = n * (uint32_t)sizeof(hit);
}

/* A warp for each query. */
template <typename T, bool DOT>
static __global__ void __launch_bounds__(TG_THREADS)
    settle(struct tg_cuda_knn set, struct tg_cuda_batch b, struct work w, uint32_t k_room, uint32_t list_count)
{
    const uint32_t lane = threadIdx.x % 32, query = blockIdx.x * WARPS + threadIdx.x / 32;
    if (query >= *b.count)
        return; /* the whole warp */
    const struct wish wish = wish_of(&b.rows[query], k_room);
    const struct lists l = {w.lists + (uint64_t)query * w.room, (uint64_t)b.capacity * w.room, kept(wish.k),
                            list_count};
    const struct terms t = w.terms[query];
    hit *candidates = w.candidates + (uint64_t)query * w.room;
    const uint32_t n = merge_lists(l, kept(wish.k), candidates), found = n < wish.k ? n : wish.k;
    __syncwarp();
    const float others = bound_of_others(t, candidates, n, kept(wish.k));
    __syncwarp(); /* read before it is overwritten */
    make_exact<T, DOT>(set, query_row(b, query), candidates, n);
    for (uint32_t i = n + lane; i < w.room; i += 32)
        candidates[i] = {0, NOBODY};
    __syncwarp();
    sort_hits(candidates, w.room);
    if (proves(t, others, candidates, found))
        answer(b, query, candidates, found);
    else if (lane == 0)
        w.unproven[atomicAdd(w.left, 1u)] = query;
}

/* ---- launching ------------------------------------------------------------------------------------------- */

extern "C" int tg_cuda_knn_tensor_prepare(const struct tg_cuda_knn *set, const struct tg_cuda_knn_tensor *tensor,
                                          void *stream)
{
    const uint64_t values = (uint64_t)set->rows * set->stride;
    const unsigned blocks = tg_blocks((uint64_t)set->rows * 32, 4096);
    if (set->half)
        return TG_LAUNCH(measure<__half>, blocks, TG_THREADS, stream, *set, *tensor);
    int rc = TG_LAUNCH(find_peak, tg_blocks(values, 4096), TG_THREADS, stream, (const float *)set->vectors, values,
                       tensor->peak);
    return rc == 0 ? TG_LAUNCH(measure<float>, blocks, TG_THREADS, stream, *set, *tensor) : rc;
}

extern "C" size_t tg_cuda_knn_tensor_scratch(const struct tg_cuda_knn *set, uint32_t k_room, uint32_t capacity,
                                             uint32_t splits, uint32_t multiprocessors)
{
    return lay_out(nullptr, nullptr, set, k_room, capacity, splits, multiprocessors);
}

template <typename T, bool DOT>
static int launch_settle(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, const struct work &w,
                         uint32_t list_count)
{
    return TG_LAUNCH((settle<T, DOT>), (b->capacity + WARPS - 1) / WARPS, TG_THREADS, b->stream, *set, *b, w,
                     k_room_of(b), list_count);
}

template <typename T>
static int choose_key(const struct tg_cuda_knn *set, const struct tg_cuda_batch *b, const struct work &w,
                      uint32_t list_count)
{
    return set->dot ? launch_settle<T, true>(set, b, w, list_count) : launch_settle<T, false>(set, b, w, list_count);
}

static int launch_all(const struct tg_cuda_knn *set, const struct tg_cuda_knn_tensor *tensor,
                      const struct tg_cuda_batch *b, const struct work &w, uint32_t splits)
{
    const uint32_t tiles = (set->rows + TILE - 1) / TILE, rows_per_split = (tiles + splits - 1) / splits * TILE;
    const dim3 grid((set->rows + rows_per_split - 1) / rows_per_split, (b->capacity + TILE - 1) / TILE);
    const uint32_t list_count = grid.x * ROW_WARPS;
    int rc = TG_LAUNCH(prepare, (b->capacity + WARPS - 1) / WARPS, TG_THREADS, b->stream, *set, *tensor, *b, w);
    if (rc == 0)
        rc = TG_LAUNCH(shortlist, grid, TG_THREADS, b->stream, *set, *tensor, *b, w, k_room_of(b), rows_per_split);
    if (rc == 0)
        rc = set->half ? choose_key<__half>(set, b, w, list_count) : choose_key<float>(set, b, w, list_count);
    return rc == 0 ? knn_search_rest(set, b, w.left, w.unproven, w.lists) : rc;
}

extern "C" int tg_cuda_knn_tensor_search(const struct tg_cuda_knn *set, const struct tg_cuda_knn_tensor *tensor,
                                         const struct tg_cuda_batch *b, uint32_t splits)
{
    struct work w;
    if (splits == 0 || splits > TG_CUDA_KNN_TENSOR_SPLITS_MAX || b->capacity == 0 || set->rows == 0 ||
        set->stride > TG_CUDA_KNN_TENSOR_STRIDE_MAX ||
        b->scratch_bytes < lay_out(nullptr, nullptr, set, k_room_of(b), b->capacity, splits, b->multiprocessors))
        return (int)cudaErrorInvalidValue;
    lay_out(&w, (char *)b->scratch, set, k_room_of(b), b->capacity, splits, b->multiprocessors);
    return launch_all(set, tensor, b, w, splits);
}

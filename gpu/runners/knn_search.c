/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knn: the search. A tile of rows is held in the nearest cache while all queries of a slice pass over it, so
 * the set is streamed from memory once for a whole slice, not once a query.
 */
#include "knn.h"

#define TILE_BYTES (24u << 10) /* most of a first-level cache of 32 KiB */
#define CACHED_BYTES (1u << 20)  /* a smaller set stays in the second-level cache from search to search */
#define FETCH_BYTES (4u << 10)   /* on their way from memory while as much is computed */

const struct knn_kernel *const knn_kernels[] = {
#if defined(__x86_64__)
    &knn_kernel_avx512,
    &knn_kernel_avx2,
#endif
    &knn_kernel_scalar,
    NULL,
};

const struct knn_kernel *knn_kernel_best(void)
{
    const struct knn_kernel *const *k = knn_kernels;
    while (!(*k)->usable())
        k++;
    return *k;
}

/*
 * Rows come in ascending order, so a key equal to one that is in already goes behind it and the smaller index
 * wins by itself. The list is short (k <= 128, a kilobyte), so shifting costs no more than sifting a heap,
 * and the list is sorted when the search ends. Few rows get here: about k * ln(rows / k) of a set in random
 * order.
 */
static void insert(struct knn_query *q, float key, uint32_t index)
{
    uint32_t low = 0, high = q->found;
    while (low < high) {
        uint32_t mid = (low + high) / 2;
        if (q->hits[mid].key <= key)
            low = mid + 1;
        else
            high = mid;
    }
    uint32_t kept = q->found < q->k ? q->found++ : q->k - 1; /* full: the last one drops out */
    memmove(&q->hits[low + 1], &q->hits[low], (kept - low) * sizeof(*q->hits));
    q->hits[low] = (struct knn_hit){key, index};
}

static void keep_best(struct knn_query *q, const float *keys, uint32_t count, uint32_t first)
{
    for (uint32_t i = 0; i < count; i++)
        if (q->found < q->k || keys[i] < q->hits[q->k - 1].key)
            insert(q, keys[i], first + i);
}

/* The same for rows of one group only; @groups begins with the tile's first row. */
static void keep_best_of_group(struct knn_query *q, const float *keys, const uint32_t *groups, uint32_t count,
                               uint32_t first)
{
    for (uint32_t i = 0; i < count; i++)
        if (groups[i] == q->group && (q->found < q->k || keys[i] < q->hits[q->k - 1].key))
            insert(q, keys[i], first + i);
}

static void fetch(const float *from, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += 64)
        __builtin_prefetch((const char *)from + at); /* behind the end of the set it does nothing */
}

/* Keys of a tile that comes from memory: some rows at a time, and the next ones are asked for meanwhile. */
static void compute_fetching(const struct knn_set *set, knn_keys_fn *compute, const float *const *vectors,
                             uint32_t first, uint32_t rows, float (*keys)[KNN_TILE_ROWS])
{
    size_t row_bytes = set->stride * sizeof(float);
    uint32_t step = TG_MAX((uint32_t)(FETCH_BYTES / row_bytes) & ~3u, 4u);
    for (uint32_t r = 0; r < rows; r += step) {
        const float *at = set->vectors + (size_t)(first + r) * set->stride;
        fetch(at + (size_t)step * set->stride, step * row_bytes);
        compute(vectors, at, TG_MIN(step, rows - r), set->stride, (float(*)[KNN_TILE_ROWS]) & keys[0][r]);
    }
}

/* Up to four queries against one tile of rows. @from_memory: nobody has touched it lately. */
static void search_tile(const struct knn_set *set, const struct knn_kernel *kernel, struct knn_query *queries,
                        uint32_t count, uint32_t first, uint32_t rows, bool from_memory)
{
    float keys[KNN_TILE_QUERIES][KNN_TILE_ROWS];
    const float *vectors[KNN_TILE_QUERIES];
    for (uint32_t i = 0; i < KNN_TILE_QUERIES; i++) /* two or three are filled up with the last */
        vectors[i] = queries[TG_MIN(i, count - 1)].vector;
    bool dot = set->metric != KNN_L2;
    knn_keys_fn *one = dot ? kernel->dot_one : kernel->l2_one;
    knn_keys_fn *four = dot ? kernel->dot_four : kernel->l2_four;
    knn_keys_fn *compute = count == 1 ? one : four;
    if (count == 1 && from_memory) /* four keep the multipliers busy for longer than a row is on its way */
        compute_fetching(set, compute, vectors, first, rows, keys);
    else
        compute(vectors, set->vectors + (size_t)first * set->stride, rows, set->stride, keys);
    for (uint32_t i = 0; i < count; i++) {
        if (queries[i].group == KNN_GROUP_ALL)
            keep_best(&queries[i], keys[i], rows, first);
        else
            keep_best_of_group(&queries[i], keys[i], set->groups + first, rows, first);
    }
}

/* Rows of which a tile may consist without leaving the nearest cache. */
static uint32_t tile_rows(const struct knn_set *set)
{
    uint32_t fit = TILE_BYTES / (set->stride * (uint32_t)sizeof(float)) & ~3u;
    return TG_MAX(4, TG_MIN(KNN_TILE_ROWS, fit));
}

void knn_search(const struct knn_set *set, const struct knn_kernel *kernel, struct knn_query *queries,
                uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        queries[i].found = 0;
    uint32_t tile = tile_rows(set);
    bool cached = (size_t)set->rows * set->stride * sizeof(float) < CACHED_BYTES;
    for (uint32_t first = 0; first < set->rows; first += tile) {
        uint32_t rows = TG_MIN(tile, set->rows - first);
        for (uint32_t i = 0; i < count; i += KNN_TILE_QUERIES)
            search_tile(set, kernel, &queries[i], TG_MIN(KNN_TILE_QUERIES, count - i), first, rows, !cached && i == 0);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* knn: the resident set, laid out for the kernels. */
#include "knn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE (2u << 20)

void knn_table_finish(struct knn_table *t)
{
    free(t->values);
    free(t->labels);
    *t = (struct knn_table){0};
}

/*
 * With every component at most L in magnitude a difference is at most 2 L, and dim squares of it stay below
 * FLT_MAX; so no distance becomes infinite and no sum of products becomes NaN. The margin covers the
 * rounding.
 */
float knn_limit(uint32_t dim)
{
    return (float)(0.499 * sqrt((double)FLT_MAX / dim));
}

void knn_normalise(float *v, uint32_t dim)
{
    double squares = 0;
    for (uint32_t i = 0; i < dim; i++)
        squares += (double)v[i] * (double)v[i];
    if (squares == 0)
        return;
    double scale = 1 / sqrt(squares);
    for (uint32_t i = 0; i < dim; i++)
        v[i] = (float)((double)v[i] * scale);
}

/* Rounded once, here, so that every device computes with the same values. */
static int round_row(const struct knn_set *set, uint32_t row, float *values, struct tg_error *err)
{
    for (uint32_t i = 0; i < set->dim; i++) {
        values[i] = knn_half_round(values[i]);
        if (isinf(values[i])) {
            tg_error_set(err, "storage", "row %u, column %u: beyond 65504, which 16-bit floats do not reach",
                         set->first_row + row, i);
            return -EINVAL;
        }
    }
    return 0;
}

static int copy_row(struct knn_set *set, uint32_t row, const float *from, struct tg_error *err)
{
    float *to = set->vectors + (size_t)row * set->stride;
    for (uint32_t i = 0; i < set->dim; i++) {
        if (fabsf(from[i]) > set->limit) {
            tg_error_set(err, "data", "row %u, column %u: beyond %g, where distances overflow",
                         set->first_row + row, i, (double)set->limit);
            return -EINVAL;
        }
        to[i] = from[i];
    }
    memset(to + set->dim, 0, (set->stride - set->dim) * sizeof(float));
    if (set->metric == KNN_COSINE)
        knn_normalise(to, set->dim);
    return set->half ? round_row(set, row, to, err) : 0;
}

/* A large set in huge pages, if the system gives them: one lone search reads all of it, and waits for translations else. */
static float *allocate_vectors(size_t bytes)
{
    if (bytes < HUGE_PAGE)
        return aligned_alloc(64, bytes);
    size_t whole = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *vectors = aligned_alloc(HUGE_PAGE, whole);
    if (vectors)
        madvise(vectors, whole, MADV_HUGEPAGE);
    return vectors;
}

static int allocate(struct knn_set *set, bool labels, struct tg_error *err)
{
    size_t bytes = (size_t)set->rows * set->stride * sizeof(float);
    set->vectors = allocate_vectors(bytes);
    set->labels = labels ? calloc(set->rows, sizeof(*set->labels)) : NULL;
    if (set->vectors && (set->labels || !labels))
        return 0;
    tg_error_set(err, "data", "out of memory for %zu bytes", bytes);
    return -ENOMEM;
}

/* ---- groups: rows with the same label -------------------------------------------------------------------- */

static int compare_labels(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

uint32_t knn_set_group(const struct knn_set *set, int64_t label)
{
    uint32_t low = 0, high = set->group_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (set->group_labels[mid] < label)
            low = mid + 1;
        else
            high = mid;
    }
    return low < set->group_count && set->group_labels[low] == label ? low + 1 : KNN_GROUP_NONE;
}

static int make_groups(struct knn_set *set, struct tg_error *err)
{
    set->groups = calloc(set->rows, sizeof(*set->groups));
    set->group_labels = calloc(set->rows, sizeof(*set->group_labels));
    if (!set->groups || !set->group_labels) {
        tg_error_set(err, "labels", "out of memory");
        return -ENOMEM;
    }
    memcpy(set->group_labels, set->labels, set->rows * sizeof(*set->labels));
    qsort(set->group_labels, set->rows, sizeof(*set->group_labels), compare_labels);
    for (uint32_t i = 0; i < set->rows; i++)
        if (set->group_count == 0 || set->group_labels[i] != set->group_labels[set->group_count - 1])
            set->group_labels[set->group_count++] = set->group_labels[i];
    for (uint32_t i = 0; i < set->rows; i++)
        set->groups[i] = knn_set_group(set, set->labels[i]);
    return 0;
}

/* ---- the set --------------------------------------------------------------------------------------------- */

int knn_set_init(struct knn_set *out, const struct knn_table *t, const struct knn_set_options *o,
                 struct tg_error *err)
{
    const uint32_t first = o->first;
    struct knn_set set = {
        .metric = o->metric,
        .half = o->half,
        .rows = o->last - first + 1,
        .dim = t->dim,
        .stride = (t->dim + KNN_LANES - 1) / KNN_LANES * KNN_LANES,
        .first_row = first,
        .limit = knn_limit(t->dim),
    };
    int rc = allocate(&set, t->labels != NULL, err);
    for (uint32_t r = 0; rc == 0 && r < set.rows; r++) {
        rc = copy_row(&set, r, t->values + (size_t)(first + r) * t->dim, err);
        if (set.labels)
            set.labels[r] = t->labels[first + r];
    }
    if (rc == 0 && set.labels)
        rc = make_groups(&set, err);
    if (rc == 0)
        *out = set;
    else
        knn_set_finish(&set);
    return rc;
}

void knn_set_finish(struct knn_set *set)
{
    free(set->vectors);
    free(set->labels);
    free(set->groups);
    free(set->group_labels);
    set->vectors = NULL;
    set->labels = NULL;
    set->groups = NULL;
    set->group_labels = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* knn: the resident set, laid out for the kernels. */
#include "knn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

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
    return 0;
}

static int allocate(struct knn_set *set, bool labels, struct tg_error *err)
{
    size_t bytes = (size_t)set->rows * set->stride * sizeof(float);
    set->vectors = aligned_alloc(64, bytes);
    set->labels = labels ? calloc(set->rows, sizeof(*set->labels)) : NULL;
    if (set->vectors && (set->labels || !labels))
        return 0;
    tg_error_set(err, "data", "out of memory for %zu bytes", bytes);
    return -ENOMEM;
}

int knn_set_init(struct knn_set *out, const struct knn_table *t, uint32_t first, uint32_t last,
                 enum knn_metric metric, struct tg_error *err)
{
    struct knn_set set = {
        .metric = metric,
        .rows = last - first + 1,
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
    set->vectors = NULL;
    set->labels = NULL;
}

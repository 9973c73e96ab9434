/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: data files of the knn runner. The first byte chooses the parser, the rest is the file. A table
 * that is accepted must hold what it says: every value is read, and only finite ones may be there.
 */
#include "gpu/runners/knn.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy that ends where the file ends, with the NUL the CSV parser is promised. */
static char *copy_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        abort();
    memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

static void check(struct knn_table *t, bool labels)
{
    int64_t sum = 0;
    for (size_t i = 0; i < (size_t)t->rows * t->dim; i++)
        if (!isfinite(t->values[i]))
            abort();
    for (uint32_t r = 0; labels && r < t->rows; r++)
        sum ^= t->labels[r];
    struct knn_set set;
    struct knn_set_options o = {
        .last = t->rows - 1, .metric = sum & 1 ? KNN_COSINE : KNN_L2, .half = sum & 2};
    struct tg_error err;
    if (t->dim > 0 && knn_set_init(&set, t, &o, &err) == 0)
        knn_set_finish(&set);
    knn_table_finish(t);
}

static void fuzz_csv(const uint8_t *data, size_t size, bool labels)
{
    struct knn_table t = {0};
    struct tg_error err;
    char *text = copy_of(data, size);
    if (knn_csv_parse(text, size, labels, &t, &err) == 0)
        check(&t, labels);
    free(text);
}

/* Without the NUL, so that the sanitizer sees a byte too many. */
static void fuzz_npy(const uint8_t *data, size_t size)
{
    struct knn_table t = {0};
    struct tg_error err;
    int64_t *labels = NULL;
    if (knn_npy_parse((const char *)data, size, &t, &err) == 0)
        check(&t, false);
    if (knn_npy_labels((const char *)data, size, 3, &labels, &err) == 0)
        free(labels);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 3 == 2)
        fuzz_npy(data + 1, size - 1);
    else
        fuzz_csv(data + 1, size - 1, data[0] % 3);
    return 0;
}

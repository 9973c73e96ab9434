/* SPDX-License-Identifier: Apache-2.0 */
/* knn: options, the data they name, and batches of queries. knn.h says where the rest is. */
#include "knn.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "builtin.h"

#define SLICE 64 /* queries that pass over a tile of the set together */
#define BATCH_MAX 256 /* on the cpu; more would only make the first of a batch wait for the last */

enum {
    OPTION_DATA,
    OPTION_LABELS,
    OPTION_ROWS,
    OPTION_METRIC,
    OPTION_STORAGE,
    OPTION_K_MAX,
    OPTION_VECTORS_MAX,
    OPTION_TENSOR
};

static const struct tg_option knn_options[] = {
    [OPTION_DATA] = {"data", TG_OPTION_STRING, NULL, 0, 0, NULL,
                     "path of a .npy, .csv or .csv.gz file, builtin:digits, or random:ROWSxDIM to measure with"},
    [OPTION_LABELS] =
        {"labels", TG_OPTION_STRING, "auto", 0, 0, NULL,
         "last: the last column of a CSV file; none; or path of a .npy or .csv file; auto: last for "
         "builtin:digits, else none"},
    [OPTION_ROWS] = {"rows", TG_OPTION_STRING, "all", 0, 0, NULL,
                     "resident rows: all, or A-B counted from 1"},
    [OPTION_METRIC] = {"metric", TG_OPTION_CHOICE, "l2", 0, 0, "l2|ip|cosine", "what near means"},
    [OPTION_STORAGE] = {"storage", TG_OPTION_CHOICE, "fp32", 0, 0, "fp32|fp16",
                        "fp16 rounds the vectors to 16-bit floats: half the memory on a GPU"},
    [OPTION_K_MAX] = {"k_max", TG_OPTION_INTEGER, "128", 1, KNN_K_MAX, NULL,
                      "most neighbours a task may ask for"},
    [OPTION_VECTORS_MAX] = {"vectors_max", TG_OPTION_INTEGER, "64", 1, KNN_VECTORS_MAX, NULL,
                            "most vectors of one task"},
    [OPTION_TENSOR] = {"tensor", TG_OPTION_CHOICE, "auto", 0, 0, "auto|off",
                       "auto: a GPU uses its tensor cores for many queries at once; the answers are the same"},
};

/* ---- create ---------------------------------------------------------------------------------- */

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return n >= m && strcmp(s + n - m, end) == 0;
}

static bool is_digits(const char *data)
{
    return strcmp(data, "builtin:digits") == 0;
}

static int check_data_name(const char *data, struct tg_error *err)
{
    if (is_digits(data) || knn_is_random(data) || ends_with(data, ".npy") || ends_with(data, ".csv") || ends_with(data, ".csv.gz"))
        return 0;
    tg_error_set(err, "data", "\"%.120s\" must end in .npy, .csv or .csv.gz, or be builtin:digits", data);
    return -EINVAL;
}

/* Labels in a file of their own: integers, one for each row of the table. */
static int labels_from_csv(const struct knn_text *text, struct knn_table *t, struct tg_error *err)
{
    struct knn_table column = {0};
    int rc = knn_csv_parse(text->bytes, text->len, true, &column, err);
    if (rc == 0 && (column.dim != 0 || column.rows != t->rows)) {
        tg_error_set(err, NULL, "must be one column of %u integers, is %u of %u", t->rows, column.dim + 1,
                     column.rows);
        rc = -EINVAL;
    }
    if (rc == 0) {
        t->labels = column.labels;
        column.labels = NULL;
    }
    knn_table_finish(&column);
    return rc;
}

static int read_labels(const char *path, struct knn_table *t, struct tg_error *err)
{
    struct knn_text text = {0};
    int rc = knn_file_read(path, &text, err);
    if (rc == 0)
        rc = ends_with(path, ".npy") ? knn_npy_labels(text.bytes, text.len, t->rows, &t->labels, err)
                                     : labels_from_csv(&text, t, err);
    free(text.bytes);
    if (rc)
        memcpy(err->field, "labels", sizeof("labels"));
    return rc;
}

/* The file's table, without labels of another file. */
static int read_data(const char *data, bool label_last, struct knn_table *t, struct tg_error *err)
{
    struct knn_text text = {0};
    if (knn_is_random(data))
        return knn_random_table(data, t, err);
    int rc = is_digits(data) ? knn_unzip(knn_digits_gz, knn_digits_gz_len, &text, err)
                             : knn_file_read(data, &text, err);
    if (rc == 0)
        rc = ends_with(data, ".npy") ? knn_npy_parse(text.bytes, text.len, t, err)
                                     : knn_csv_parse(text.bytes, text.len, label_last, t, err);
    free(text.bytes);
    if (rc == 0 && t->dim == 0) {
        tg_error_set(err, "data", "holds nothing but labels");
        rc = -EINVAL;
    }
    return rc;
}

static int read_table(const char *data, const char *labels, struct knn_table *t, struct tg_error *err)
{
    bool last = strcmp(labels, "last") == 0 || (strcmp(labels, "auto") == 0 && is_digits(data));
    bool other_file = !last && strcmp(labels, "auto") != 0 && strcmp(labels, "none") != 0;
    if (last && (ends_with(data, ".npy") || knn_is_random(data))) {
        tg_error_set(err, "labels", "\"last\" is for CSV files; name a .npy or .csv file of labels");
        return -EINVAL;
    }
    int rc = check_data_name(data, err);
    if (rc == 0)
        rc = read_data(data, last, t, err);
    return rc == 0 && other_file ? read_labels(labels, t, err) : rc;
}

/* "all" or "A-B", from 1 and both included; to numbers from 0. */
static int parse_rows(const char *text, uint32_t rows, uint32_t *first, uint32_t *last, struct tg_error *err)
{
    uint32_t a = 1, b = rows;
    char rest;
    bool digits_first = isdigit((unsigned char)text[0]);
    if (strcmp(text, "all") != 0 &&
        (!digits_first || sscanf(text, "%9" SCNu32 "-%9" SCNu32 "%c", &a, &b, &rest) != 2)) {
        tg_error_set(err, "rows", "\"%.40s\" must be all or A-B, like 1-1000", text);
        return -EINVAL;
    }
    if (a < 1 || a > b || b > rows) {
        tg_error_set(err, "rows", "\"%.40s\" must lie within the data's rows, 1-%u", text, rows);
        return -EINVAL;
    }
    *first = a - 1;
    *last = b - 1;
    return 0;
}

static enum knn_metric parse_metric(const char *name)
{
    return strcmp(name, "l2") == 0 ? KNN_L2 : strcmp(name, "ip") == 0 ? KNN_IP : KNN_COSINE;
}

static int load(struct knn *knn, const union tg_value *values, struct tg_error *err)
{
    struct knn_table t = {0};
    struct knn_set_options o = {
        .metric = parse_metric(values[OPTION_METRIC].string),
        .half = strcmp(values[OPTION_STORAGE].string, "fp16") == 0,
    };
    int rc = read_table(values[OPTION_DATA].string, values[OPTION_LABELS].string, &t, err);
    if (rc == 0)
        rc = parse_rows(values[OPTION_ROWS].string, t.rows, &o.first, &o.last, err);
    if (rc == 0)
        rc = knn_set_init(&knn->set, &t, &o, err);
    knn_table_finish(&t);
    return rc;
}

static int knn_create(const struct tg_host *host, const union tg_value *values, void **self,
                      struct tg_error *err)
{
    struct knn *knn = calloc(1, sizeof(*knn));
    if (!knn) {
        tg_error_set(err, NULL, "out of memory");
        return -ENOMEM;
    }
    int rc = load(knn, values, err);
    if (rc) {
        free(knn);
        return rc;
    }
    knn->kernel = knn_kernel_best();
    knn->k_max = TG_MIN((uint32_t)values[OPTION_K_MAX].integer, knn->set.rows);
    knn->vectors_max = (uint32_t)values[OPTION_VECTORS_MAX].integer;
    knn->tensor = strcmp(values[OPTION_TENSOR].string, "auto") == 0;
    host->log(TG_LOG_INFO, "knn: %u vectors of %u, %s, kernel %s", knn->set.rows, knn->set.dim,
              values[OPTION_METRIC].string, knn->kernel->name);
    *self = knn;
    return 0;
}

static void knn_destroy(void *self)
{
    struct knn *knn = self;
    knn_set_finish(&knn->set);
    free(knn);
}

/* ---- batches --------------------------------------------------------------------------------- */

static uint32_t estimate_row_ns(const struct knn *knn)
{
    double floats = (double)knn->set.rows * knn->set.stride;
    double ns = floats / (double)knn->kernel->floats_per_ns;
    return ns < 1 ? 1 : ns > 4e9 ? 4000000000u : (uint32_t)ns;
}

static void knn_shape(void *self, struct tg_shape *shape)
{
    const struct knn *knn = self;
    *shape = (struct tg_shape){
        .size_classes = 1,
        .in_bytes = {knn->set.stride * (uint32_t)sizeof(float)},
        .out_bytes = {knn->k_max * (uint32_t)sizeof(struct knn_hit)},
        .rows_per_task_max = knn->vectors_max,
        .max_batch = BATCH_MAX,
        .row_ns = estimate_row_ns(knn),
    };
}

/* Queries gathered from the batch's segments until a slice is full. */
struct slice {
    const struct knn *knn;
    struct knn_query queries[SLICE];
    struct tg_row *rows[SLICE];
    uint32_t count;
};

static void flush(struct slice *s)
{
    knn_search(&s->knn->set, s->knn->kernel, s->queries, s->count);
    for (uint32_t i = 0; i < s->count; i++)
        s->rows[i]->out_len = s->queries[i].found * (uint32_t)sizeof(struct knn_hit);
    s->count = 0;
}

static void add_segment(struct slice *s, const struct tg_segment *segment, uint32_t in_stride,
                        uint32_t out_stride)
{
    for (uint32_t i = 0; i < segment->count; i++) {
        struct tg_row *row = &segment->rows[i];
        s->rows[s->count] = row;
        s->queries[s->count++] = (struct knn_query){
            .vector = (const float *)((const char *)segment->in + (size_t)i * in_stride),
            .hits = (struct knn_hit *)((char *)segment->out + (size_t)i * out_stride),
            .k = (uint32_t)(row->param & KNN_PARAM_K),
            .group = (uint32_t)(row->param >> KNN_PARAM_GROUP_SHIFT),
        };
        if (s->count == SLICE)
            flush(s);
    }
}

static int knn_run_batch(void *self, struct tg_batch *batch)
{
    struct slice s = {.knn = self, .count = 0};
    for (uint32_t i = 0; i < batch->segment_count; i++)
        add_segment(&s, &batch->segments[i], batch->in_stride, batch->out_stride);
    flush(&s);
    return 0;
}

const struct tg_runner tg_runner_knn = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "knn",
    .doc = "exact nearest neighbours over a resident set of vectors",
    .intent = "urn:iicp:intent:x.taskgate:knn:v1",
    .options = knn_options,
    .option_count = TG_ARRAY_SIZE(knn_options),
    .create = knn_create,
    .destroy = knn_destroy,
    .shape = knn_shape,
    .decode = knn_decode,
    .run_batch = knn_run_batch,
    .encode = knn_encode,
    .cuda = &tg_runner_cuda_knn,
};

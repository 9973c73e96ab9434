/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knn, exact nearest neighbours over a resident set: the parts and how they meet.
 *   knn.c         the runner's table, options, batches
 *   knn_decode.c  payload to query rows, hits to JSON
 *   knn_set.c     the resident set, from a table of numbers
 *   knn_file.c    reading and unpacking files
 *   knn_csv.c, knn_npy.c  tables from bytes
 *   knn_random.c  tables of random numbers
 *   knn_half.c    values as 16-bit floats keep them
 *   knn_search.c  blocks of the set against blocks of queries, keeping the k best
 *   knn_scalar.c, knn_x86.c  distances of a few queries to a block of rows
 */
#ifndef TG_RUNNERS_KNN_H
#define TG_RUNNERS_KNN_H

#include "tg/runner.h"

#define KNN_K_MAX 128
#define KNN_VECTORS_MAX 256
#define KNN_DIM_MAX (1u << 20)
#define KNN_LANES 16 /* floats summed side by side; vectors are padded to a multiple of it */

enum knn_metric { KNN_L2, KNN_IP, KNN_COSINE };

/* ---- tables of numbers ----------------------------------------------------------------------- */

/* A table as read from a file: `values` row by row, and a label for each row if there are any. */
struct knn_table {
    uint32_t rows, dim;
    float *values;
    int64_t *labels;
};

void knn_table_finish(struct knn_table *t);

/* A whole file in memory, one NUL behind it that `len` does not count. */
struct knn_text {
    char *bytes;
    size_t len;
};

/** Read @path, unpacking gzip. Returns 0 or negative errno with @err set. Free with free(text->bytes). */
int knn_file_read(const char *path, struct knn_text *text, struct tg_error *err);
/** Unpack gzip from memory. */
int knn_unzip(const void *gz, size_t len, struct knn_text *text, struct tg_error *err);

/**
 * Comma-separated numbers, one row a line, no header.
 * @text         ends with a NUL that @len does not count
 * @label_last   the last column is an integer label; a file of labels alone gives a table of dim 0
 * Returns 0, -EINVAL with line and column in @err, or -ENOMEM.
 */
int knn_csv_parse(const char *text, size_t len, bool label_last, struct knn_table *table,
                  struct tg_error *err);

/** NumPy's format 1.0 and 2.0: a two-dimensional, C-ordered array of little-endian numbers. */
int knn_npy_parse(const char *bytes, size_t len, struct knn_table *table, struct tg_error *err);
/** The same for one dimension of integers: a label for each of @rows. */
int knn_npy_labels(const char *bytes, size_t len, uint32_t rows, int64_t **labels, struct tg_error *err);

/** Is it "random:..."? */
bool knn_is_random(const char *data);
/** "random:ROWSxDIM": so many random numbers, the same on every machine. */
int knn_random_table(const char *data, struct knn_table *table, struct tg_error *err);

/* ---- the resident set ------------------------------------------------------------------------ */

/* What stays in memory: rows of `stride` floats, zero behind `dim`; for cosine each row has length one. */
struct knn_set {
    enum knn_metric metric;
    uint32_t rows, dim, stride;
    uint32_t first_row; /* number of row 0 in the file */
    float limit;        /* values beyond could overflow a sum of squares */
    bool half;          /* values are such that 16-bit floats hold them: a GPU stores them so */
    float *vectors;     /* aligned to 64 bytes */
    int64_t *labels;    /* or NULL */
    uint32_t *groups;   /* by row: place of its label among group_labels, from 1; NULL without labels */
    int64_t *group_labels; /* each label once, ascending */
    uint32_t group_count;
};

/** Largest magnitude of a component for which no distance between two vectors of @dim overflows. */
float knn_limit(uint32_t dim);
/** Scale to length one; a vector of zeros stays. */
void knn_normalise(float *v, uint32_t dim);
/* Which rows of a table become resident, and how. */
struct knn_set_options {
    uint32_t first, last; /* rows counted from 0, both included */
    enum knn_metric metric;
    bool half;
};

int knn_set_init(struct knn_set *set, const struct knn_table *t, const struct knn_set_options *o,
                 struct tg_error *err);
void knn_set_finish(struct knn_set *set);
/** The group of rows with this label; KNN_GROUP_NONE if there are none. */
uint32_t knn_set_group(const struct knn_set *set, int64_t label);

#define KNN_GROUP_ALL 0u
#define KNN_GROUP_NONE UINT32_MAX

/** The nearest value that a 16-bit float has, even on a tie; infinite if it is beyond the largest, 65504. */
float knn_half_round(float value);

/* ---- searching ------------------------------------------------------------------------------- */

#define KNN_TILE_QUERIES 4
#define KNN_TILE_ROWS 64 /* multiple of 4 */

/*
 * Keys of @row_count rows of the set for one or four queries: the smaller, the nearer. keys[q][row].
 * Every kernel adds in the same order (KNN_LANES partial sums of fused multiply-adds, folded in halves), so
 * they agree to the last bit and a result does not depend on the machine, the batch or the query's place in
 * it.
 */
typedef void knn_keys_fn(const float *const *queries, const float *rows, uint32_t row_count, uint32_t stride,
                         float (*keys)[KNN_TILE_ROWS]);

struct knn_kernel {
    const char *name;
    bool (*usable)(void);
    float floats_per_ns;             /* rough speed, for the estimate of a row's cost */
    knn_keys_fn *l2_one, *l2_four;   /* squared distance */
    knn_keys_fn *dot_one, *dot_four; /* the negated inner product */
};

/* Best first; the last one is usable everywhere. Ends with NULL. */
extern const struct knn_kernel *const knn_kernels[];
extern const struct knn_kernel knn_kernel_scalar, knn_kernel_avx2, knn_kernel_avx512;

const struct knn_kernel *knn_kernel_best(void);

/* An output row: hits in order, nearest first; equal keys by index. */
struct knn_hit {
    float key;
    uint32_t index;
};

struct knn_query {
    const float *vector;
    struct knn_hit *hits; /* room for k */
    uint32_t k, found;
    uint32_t group; /* rows that count; KNN_GROUP_ALL */
};

/** Fill in the hits of all queries. Reads the set once for every KNN_QUERIES_MAX of them. */
void knn_search(const struct knn_set *set, const struct knn_kernel *kernel, struct knn_query *queries,
                uint32_t count);

/* ---- the runner ------------------------------------------------------------------------------ */

struct knn {
    struct knn_set set;
    const struct knn_kernel *kernel;
    uint32_t k_max; /* at most the resident rows */
    uint32_t vectors_max;
    bool tensor; /* a GPU may use its tensor cores */
};

/* row->param of a query */
#define KNN_PARAM_K 0xffu
#define KNN_PARAM_MANY 0x100u /* the payload had "vectors": answer with a list */
#define KNN_PARAM_GROUP_SHIFT 32

enum tg_status knn_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                          struct tg_error *err);
void knn_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w);

/* The data set in the program: 1,797 digits of 64 pixels and a label (runners/data/README.md). */
extern const unsigned char knn_digits_gz[];
extern const size_t knn_digits_gz_len;

#endif

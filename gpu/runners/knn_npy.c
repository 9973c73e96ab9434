/* SPDX-License-Identifier: Apache-2.0 */
/*
 * knn: NumPy's .npy files, formats 1.0 and 2.0 (numpy.lib.format): six magic bytes, version, length of the
 * header, a Python dict as text, the array's bytes. The header is checked word by word and every size before
 * it is used.
 */
#include "knn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct npy {
    char kind; /* f, i, u */
    uint32_t item_bytes;
    uint32_t dims;
    uint64_t shape[2];
    const unsigned char *items;
};

static int complain(struct tg_error *err, const char *what)
{
    tg_error_set(err, "data", "npy: %s", what);
    return -EINVAL;
}

/* ---- the header ------------------------------------------------------------------------------ */

/* The text that follows 'key': in the header, or NULL. */
static const char *find_value(const char *header, const char *key)
{
    const char *at = strstr(header, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ' ')
        at++;
    if (*at != ':')
        return NULL;
    do
        at++;
    while (*at == ' ');
    return at;
}

/* '<f4', '|u1' and the like: little-endian or of one byte. */
static int read_descr(const char *at, struct npy *n, struct tg_error *err)
{
    static const char known[][6] = {"<f4'", "<f8'", "|i1'", "|u1'", "<i2'",
                                    "<u2'", "<i4'", "<u4'", "<i8'", "<u8'"};
    for (size_t i = 0; at && *at == '\'' && i < TG_ARRAY_SIZE(known); i++) {
        if (strncmp(at + 1, known[i], 4) == 0) {
            n->kind = known[i][1];
            n->item_bytes = (uint32_t)(known[i][2] - '0');
            return 0;
        }
    }
    return complain(err, "descr must be little-endian f4, f8 or an integer type");
}

/* "(1797, 64)", "(1797,)" */
static int read_shape(const char *at, struct npy *n, struct tg_error *err)
{
    if (!at || *at++ != '(')
        return complain(err, "the header has no shape");
    for (n->dims = 0; n->dims < 2 && *at >= '0' && *at <= '9'; n->dims++) {
        char *end;
        errno = 0;
        n->shape[n->dims] = strtoull(at, &end, 10);
        if (errno || n->shape[n->dims] > UINT32_MAX)
            return complain(err, "the shape is out of range");
        at = end;
        if (*at == ',')
            at++;
        while (*at == ' ')
            at++;
    }
    return *at == ')' ? 0 : complain(err, "the array must have one or two dimensions");
}

static int read_header(const char *header, struct npy *n, struct tg_error *err)
{
    const char *order = find_value(header, "'fortran_order'");
    int rc = read_descr(find_value(header, "'descr'"), n, err);
    if (rc == 0 && (!order || strncmp(order, "False", 5) != 0))
        rc = complain(err, "the array must be in C order");
    return rc ? rc : read_shape(find_value(header, "'shape'"), n, err);
}

static uint32_t little_endian(const unsigned char *p, uint32_t bytes)
{
    uint32_t v = 0;
    for (uint32_t i = bytes; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

/* Splits the file; the header is copied since it is not terminated. */
static int open_npy(const char *bytes, size_t len, struct npy *n, struct tg_error *err)
{
    const unsigned char *p = (const unsigned char *)bytes;
    if (len < 12 || memcmp(p, "\x93NUMPY", 6) != 0)
        return complain(err, "this is no .npy file");
    if ((p[6] != 1 && p[6] != 2) || p[7] != 0)
        return complain(err, "only formats 1.0 and 2.0 are read");
    uint32_t length_bytes = p[6] == 1 ? 2 : 4;
    size_t header_bytes = little_endian(p + 8, length_bytes), start = 8 + length_bytes;
    if (header_bytes > len - start || header_bytes > 65535)
        return complain(err, "the header is longer than the file or than 65535 bytes");
    char *header = strndup(bytes + start, header_bytes);
    if (!header) {
        tg_error_set(err, "data", "out of memory");
        return -ENOMEM;
    }
    int rc = read_header(header, n, err);
    free(header);
    n->items = p + start + header_bytes;
    size_t rest = len - start - header_bytes;
    uint64_t items = rc             ? 0
                     : n->dims == 0 ? 0
                                    : n->shape[0] * (n->dims == 2 ? n->shape[1] : 1); /* 32 x 32 bits */
    if (rc == 0 && items != rest / n->item_bytes)
        rc = complain(err, "the file does not hold as many items as its shape says");
    if (rc == 0 && rest % n->item_bytes)
        rc = complain(err, "the file ends within an item");
    return rc;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* Items are not aligned and little-endian, as is every machine we run on. */
#define READ(type, p)                                                                                        \
    __extension__({                                                                                          \
        type v_;                                                                                             \
        memcpy(&v_, (p), sizeof(v_));                                                                        \
        v_;                                                                                                  \
    })

static int64_t read_signed(const unsigned char *p, uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return READ(int8_t, p);
    case 2:
        return READ(int16_t, p);
    case 4:
        return READ(int32_t, p);
    default:
        return READ(int64_t, p);
    }
}

static uint64_t read_unsigned(const unsigned char *p, uint32_t bytes)
{
    switch (bytes) {
    case 1:
        return *p;
    case 2:
        return READ(uint16_t, p);
    case 4:
        return READ(uint32_t, p);
    default:
        return READ(uint64_t, p);
    }
}

static double read_item(const struct npy *n, size_t i)
{
    const unsigned char *p = n->items + i * n->item_bytes;
    if (n->kind == 'f')
        return n->item_bytes == 4 ? (double)READ(float, p) : READ(double, p);
    return n->kind == 'i' ? (double)read_signed(p, n->item_bytes) : (double)read_unsigned(p, n->item_bytes);
}

static int copy_values(const struct npy *n, float *values, struct tg_error *err)
{
    size_t items = n->shape[0] * n->shape[1];
    for (size_t i = 0; i < items; i++) {
        double v = read_item(n, i);
        if (!isfinite(v) || fabs(v) > (double)FLT_MAX) {
            tg_error_set(err, "data", "npy: row %zu, column %zu is not finite as a 32-bit float",
                         i / n->shape[1], i % n->shape[1]);
            return -EINVAL;
        }
        values[i] = (float)v;
    }
    return 0;
}

int knn_npy_parse(const char *bytes, size_t len, struct knn_table *table, struct tg_error *err)
{
    struct npy n = {0};
    int rc = open_npy(bytes, len, &n, err);
    if (rc)
        return rc;
    if (n.dims != 2 || n.shape[0] == 0 || n.shape[1] == 0 || n.shape[1] > KNN_DIM_MAX)
        return complain(err, "the array must have rows and columns");
    float *values = calloc(n.shape[0] * n.shape[1], sizeof(*values));
    if (!values) {
        tg_error_set(err, "data", "out of memory");
        return -ENOMEM;
    }
    rc = copy_values(&n, values, err);
    if (rc == 0)
        *table = (struct knn_table){(uint32_t)n.shape[0], (uint32_t)n.shape[1], values, NULL};
    else
        free(values);
    return rc;
}

static int copy_labels(const struct npy *n, int64_t *labels, struct tg_error *err)
{
    for (size_t i = 0; i < n->shape[0]; i++) {
        const unsigned char *p = n->items + i * n->item_bytes;
        uint64_t u = n->kind == 'u' ? read_unsigned(p, n->item_bytes) : 0;
        if (u > INT64_MAX) {
            tg_error_set(err, "labels", "npy: label %zu is out of range", i);
            return -EINVAL;
        }
        labels[i] = n->kind == 'u' ? (int64_t)u : read_signed(p, n->item_bytes);
    }
    return 0;
}

int knn_npy_labels(const char *bytes, size_t len, uint32_t rows, int64_t **labels, struct tg_error *err)
{
    struct npy n = {0};
    int rc = open_npy(bytes, len, &n, err);
    if (rc)
        return rc;
    if (n.dims != 1 || n.kind == 'f' || n.shape[0] != rows) {
        tg_error_set(err, "labels", "npy: must be one dimension of %u integers", rows);
        return -EINVAL;
    }
    int64_t *copy = calloc(rows, sizeof(*copy));
    if (!copy) {
        tg_error_set(err, "labels", "out of memory");
        return -ENOMEM;
    }
    rc = copy_labels(&n, copy, err);
    if (rc == 0)
        *labels = copy;
    else
        free(copy);
    return rc;
}

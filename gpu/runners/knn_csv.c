/* SPDX-License-Identifier: Apache-2.0 */
/* knn: comma-separated numbers. Strict: a stray word in a data file must not become a zero. */
#include "knn.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* What is read so far. */
struct csv {
    const char *at, *end;
    bool label_last;
    uint32_t line, column; /* counted from 1 */
    uint32_t columns;      /* of the first line, 0 before it ends */
    struct knn_table t;
    size_t used, capacity; /* values */
    uint32_t row_capacity; /* labels */
    double *cells;         /* the line being read */
    uint32_t cell_capacity;
    struct tg_error *err;
};

static int complain(struct csv *c, const char *what)
{
    tg_error_set(c->err, "data", "line %u, column %u: %s", c->line, c->column, what);
    return -EINVAL;
}

static int out_of_memory(struct csv *c)
{
    tg_error_set(c->err, "data", "out of memory at line %u", c->line);
    return -ENOMEM;
}

/* Twice the room of @p when it is used up. */
static bool grow(void *p, size_t used, size_t *capacity, size_t item)
{
    if (used < *capacity)
        return true;
    size_t more = *capacity ? *capacity * 2 : 1024;
    void *bigger = more > SIZE_MAX / item ? NULL : realloc(*(void **)p, more * item);
    if (!bigger)
        return false;
    *(void **)p = bigger;
    *capacity = more;
    return true;
}

static void skip_blanks(struct csv *c)
{
    while (*c->at == ' ' || *c->at == '\t')
        c->at++;
}

/* strtod() also takes hexadecimal, "inf" and "nan", and skips line ends: none of that is a cell. */
static int read_cell(struct csv *c, double *value)
{
    skip_blanks(c);
    const char *digits = c->at + (*c->at == '-' || *c->at == '+');
    bool number = (*digits >= '0' && *digits <= '9') || *digits == '.';
    char *end = NULL;
    if (number && digits[1] != 'x' && digits[1] != 'X')
        *value = strtod(c->at, &end);
    if (!end || end == c->at)
        return complain(c, "not a number");
    if (!isfinite(*value) || fabs(*value) > (double)FLT_MAX)
        return complain(c, "beyond the range of a 32-bit float");
    c->at = end;
    skip_blanks(c);
    return 0;
}

static bool at_line_end(const struct csv *c)
{
    return c->at == c->end || *c->at == '\n' || (*c->at == '\r' && (c->at[1] == '\n' || c->at + 1 == c->end));
}

static int add_cell(struct csv *c, double value)
{
    size_t capacity = c->cell_capacity;
    if (c->column > KNN_DIM_MAX)
        return complain(c, "too many columns");
    if (!grow(&c->cells, c->column - 1, &capacity, sizeof(*c->cells)))
        return out_of_memory(c);
    c->cell_capacity = (uint32_t)capacity;
    c->cells[c->column - 1] = value;
    return 0;
}

static int read_cells(struct csv *c)
{
    for (c->column = 1;; c->column++) {
        double value = 0;
        int rc = read_cell(c, &value);
        if (rc == 0)
            rc = add_cell(c, value);
        if (rc)
            return rc;
        if (at_line_end(c))
            return 0;
        if (*c->at != ',')
            return complain(c, "expected a comma or the end of the line");
        c->at++;
    }
}

static int add_label(struct csv *c, double label)
{
    size_t capacity = c->row_capacity;
    if (label != trunc(label) || fabs(label) > 9007199254740992.0) /* 2^53: every integer up to it is exact */
        return complain(c, "a label must be an integer");
    if (!grow(&c->t.labels, c->t.rows, &capacity, sizeof(*c->t.labels)))
        return out_of_memory(c);
    c->row_capacity = (uint32_t)TG_MIN(capacity, UINT32_MAX);
    c->t.labels[c->t.rows] = (int64_t)label;
    return 0;
}

static int add_row(struct csv *c)
{
    for (uint32_t i = 0; i < c->t.dim; i++) {
        if (!grow(&c->t.values, c->used, &c->capacity, sizeof(*c->t.values)))
            return out_of_memory(c);
        c->t.values[c->used++] = (float)c->cells[i];
    }
    int rc = c->label_last ? add_label(c, c->cells[c->t.dim]) : 0;
    c->t.rows++;
    return rc;
}

/* The first line says how wide the table is. */
static int check_width(struct csv *c)
{
    if (c->columns == 0) {
        c->columns = c->column;
        c->t.dim = c->columns - c->label_last;
        return 0;
    }
    if (c->column == c->columns)
        return 0;
    tg_error_set(c->err, "data", "line %u has %u columns, the first line has %u", c->line, c->column,
                 c->columns);
    return -EINVAL;
}

static int read_line(struct csv *c)
{
    int rc = read_cells(c);
    if (rc == 0)
        rc = check_width(c);
    if (rc == 0)
        rc = add_row(c);
    if (c->at < c->end && *c->at == '\r')
        c->at++;
    if (c->at < c->end && *c->at == '\n')
        c->at++;
    return rc;
}

int knn_csv_parse(const char *text, size_t len, bool label_last, struct knn_table *table,
                  struct tg_error *err)
{
    struct csv c = {.at = text, .end = text + len, .label_last = label_last, .line = 1, .err = err};
    int rc = 0;
    for (; rc == 0 && c.at < c.end; c.line++)
        rc = c.t.rows == UINT32_MAX ? complain(&c, "too many lines") : read_line(&c);
    if (rc == 0 && c.t.rows == 0) {
        tg_error_set(err, "data", "the file is empty");
        rc = -EINVAL;
    }
    free(c.cells);
    if (rc == 0)
        *table = c.t;
    else
        knn_table_finish(&c.t);
    return rc;
}

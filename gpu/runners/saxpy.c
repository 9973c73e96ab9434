/* SPDX-License-Identifier: Apache-2.0 */
/*
 * saxpy: z = a x + y. Next to no arithmetic for twelve bytes moved per number: it shows how much of a device's
 * memory bandwidth is left for tasks.
 */
#include "saxpy.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "builtin.h"

#define N_MAX 65536

static saxpy_fn *best(void);

static const struct tg_option saxpy_options[] = {
    {"n", TG_OPTION_INTEGER, "256", 1, N_MAX, NULL, "numbers in x and in y"},
};

static int saxpy_create(const struct tg_host *host, const union tg_value *values, void **self, struct tg_error *err)
{
    struct saxpy *s = malloc(sizeof(*s));
    if (!s) {
        tg_error_set(err, NULL, "out of memory");
        return -ENOMEM;
    }
    s->n = (uint32_t)values[0].integer;
    s->compute = best();
    *self = s;
    return 0;
}

static void saxpy_destroy(void *self)
{
    free(self);
}

static uint32_t in_bytes(const struct saxpy *s)
{
    return 2 * saxpy_padded(s->n) * (uint32_t)sizeof(float);
}

static void saxpy_shape(void *self, struct tg_shape *shape)
{
    const struct saxpy *s = self;
    *shape = (struct tg_shape){
        .size_classes = 1,
        .in_bytes = {in_bytes(s)},
        .out_bytes = {saxpy_padded(s->n) * (uint32_t)sizeof(float)},
        .rows_per_task_max = 1,
        .max_batch = 1024,
        .row_ns = s->n / 8 + 10,
    };
}

/* ---- decode ---------------------------------------------------------------------------------------------- */

static enum tg_status no_number(const struct tg_json_node *node, const char *field, struct tg_error *err)
{
    if (!node)
        tg_error_set(err, field, "is missing");
    else if (tg_json_is_number(node))
        tg_error_set(err, field, "is too large for a 32-bit float");
    else
        tg_error_set(err, field, "must be a number, not %s", runner_kind(node));
    return TG_INVALID;
}

static enum tg_status decode_number(const struct tg_json_node *node, const char *field, float *to,
                                    struct tg_error *err)
{
    double value = node && tg_json_is_number(node) ? tg_json_number(node) : HUGE_VAL;
    if (TG_UNLIKELY(fabs(value) > (double)FLT_MAX))
        return no_number(node, field, err);
    *to = (float)value;
    return TG_OK;
}

static enum tg_status check_array(const struct saxpy *s, const struct tg_json_node *node, const char *field,
                                  struct tg_error *err)
{
    if (node && node->type == TG_JSON_ARRAY && tg_json_count(node) == s->n)
        return TG_OK;
    if (!node)
        tg_error_set(err, field, "is missing");
    else if (node->type != TG_JSON_ARRAY)
        tg_error_set(err, field, "must be an array of %u numbers, not %s", s->n, runner_kind(node));
    else
        tg_error_set(err, field, "expected %u numbers, got %u", s->n, tg_json_count(node));
    return TG_INVALID;
}

static enum tg_status decode_array(const struct saxpy *s, const struct tg_json_node *array, const char *name,
                                   float *to, struct tg_error *err)
{
    const struct tg_json_node *node = tg_json_first(array);
    for (uint32_t i = 0; i < s->n; i++, node = tg_json_next(node)) {
        if (decode_number(node, name, &to[i], err) != TG_OK) {
            snprintf(err->field, sizeof(err->field), "%s[%" PRIu32 "]", name, i);
            return TG_INVALID;
        }
    }
    memset(to + s->n, 0, (saxpy_padded(s->n) - s->n) * sizeof(float));
    return TG_OK;
}

static enum tg_status saxpy_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                                   struct tg_error *err)
{
    const struct saxpy *s = self;
    float a;
    uint32_t bits;
    if (!req->payload || req->payload->type != TG_JSON_OBJECT) {
        tg_error_set(err, "payload", req->payload ? "must be an object" : "is missing");
        return TG_INVALID;
    }
    const struct tg_json_node *x = tg_json_get(req->doc, req->payload, TG_STR("x"));
    const struct tg_json_node *y = tg_json_get(req->doc, req->payload, TG_STR("y"));
    enum tg_status rc = decode_number(tg_json_get(req->doc, req->payload, TG_STR("a")), "payload.a", &a, err);
    if (rc != TG_OK || (rc = check_array(s, x, "payload.x", err)) != TG_OK ||
        (rc = check_array(s, y, "payload.y", err)) != TG_OK || (rc = tg_rows_claim(rows, 1, in_bytes(s))) != TG_OK)
        return rc;
    memcpy(&bits, &a, sizeof(bits));
    tg_rows_row(rows, 0)->param = bits;
    float *in = tg_rows_in(rows, 0);
    rc = decode_array(s, x, "payload.x", in, err);
    return rc == TG_OK ? decode_array(s, y, "payload.y", in + saxpy_padded(s->n), err) : rc;
}

/* ---- compute, encode ------------------------------------------------------------------------------------- */

/* Fused, as a GPU does it, so both give the same bits. Without the instruction each number costs a call. */
static inline __attribute__((always_inline)) void compute(uint32_t n, float a, const float *x, const float *y,
                                                          float *out)
{
    for (uint32_t i = 0; i < n; i++)
        out[i] = fmaf(a, x[i], y[i]);
}

static void compute_anywhere(uint32_t n, float a, const float *x, const float *y, float *out)
{
    compute(n, a, x, y, out);
}

#if defined(__x86_64__)
static __attribute__((target("avx2,fma"))) void compute_avx2(uint32_t n, float a, const float *x, const float *y,
                                                             float *out)
{
    compute(n, a, x, y, out);
}

static saxpy_fn *best(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? compute_avx2 : compute_anywhere;
}
#else
static saxpy_fn *best(void)
{
    return compute_anywhere;
}
#endif

static void compute_row(const struct saxpy *s, const struct tg_row *row, const float *in, float *out)
{
    uint32_t bits = (uint32_t)row->param;
    float a;
    memcpy(&a, &bits, sizeof(a));
    s->compute(s->n, a, in, in + saxpy_padded(s->n), out);
}

static int saxpy_run_batch(void *self, struct tg_batch *batch)
{
    const struct saxpy *s = self;
    for (uint32_t g = 0; g < batch->segment_count; g++) {
        const struct tg_segment *segment = &batch->segments[g];
        for (uint32_t i = 0; i < segment->count; i++) {
            compute_row(s, &segment->rows[i], (const float *)((const char *)segment->in + (size_t)i * batch->in_stride),
                        (float *)((char *)segment->out + (size_t)i * batch->out_stride));
            segment->rows[i].out_len = s->n * (uint32_t)sizeof(float);
        }
    }
    return 0;
}

/* A sum beyond the largest float is infinite, which JSON cannot say. */
static void write_number(float value, struct tg_json_writer *w)
{
    if (isfinite(value))
        tg_json_write_f32(w, value);
    else
        tg_json_write_null(w);
}

static void saxpy_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    const struct saxpy *s = self;
    const float *z = tg_rows_out(rows, 0);
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "z");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < s->n; i++)
        write_number(z[i], w);
    tg_json_write_end_array(w);
    tg_json_write_end_object(w);
}

const struct tg_runner tg_runner_saxpy = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "saxpy",
    .doc = "z = a x + y, number by number",
    .intent = "urn:iicp:intent:x.taskgate:saxpy:v1",
    .options = saxpy_options,
    .option_count = TG_ARRAY_SIZE(saxpy_options),
    .create = saxpy_create,
    .destroy = saxpy_destroy,
    .shape = saxpy_shape,
    .decode = saxpy_decode,
    .run_batch = saxpy_run_batch,
    .encode = saxpy_encode,
    .cuda = &tg_runner_cuda_saxpy,
};

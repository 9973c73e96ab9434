/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner in one file: payload {"x": [numbers], "a": number} gives {"y": [a * x + b]}, with b from the
 * configuration. docs/runners.md walks through it. It includes tg/runner.h and nothing else of the gateway,
 * and links to nothing: what it calls is found in the program that loads it.
 */
#include "tg/runner.h"

#include <math.h>
#include <stdlib.h>

/* An instance: what create() made of the options. Read-only from then on, since several threads share it. */
struct scale {
    float b;
    uint32_t length_max;
};

/* A row begins with its factor; the numbers follow. Their count is in_len's to say. */
struct input {
    float a;
    float x[];
};

enum { OPTION_B, OPTION_LENGTH_MAX };

static const struct tg_option options[] = {
    [OPTION_B] = {"b", TG_OPTION_NUMBER, "0", -1e6, 1e6, NULL, "added to every product"},
    [OPTION_LENGTH_MAX] = {"length_max", TG_OPTION_INTEGER, "1024", 1, 65536, NULL,
                           "most numbers of one task"},
};

static int create(const struct tg_host *host, const union tg_value *values, void **self, struct tg_error *err)
{
    struct scale *s = malloc(sizeof(*s));
    if (!s) {
        tg_error_set(err, NULL, "out of memory");
        return -ENOMEM;
    }
    s->b = (float)values[OPTION_B].number;
    s->length_max = (uint32_t)values[OPTION_LENGTH_MAX].integer;
    *self = s;
    return 0;
}

static void destroy(void *self)
{
    free(self);
}

/* Two sizes, so that a short task does not pay for a long one's row. */
static void shape(void *self, struct tg_shape *shape)
{
    const struct scale *s = self;
    uint32_t bytes = (uint32_t)sizeof(struct input) + s->length_max * (uint32_t)sizeof(float);
    *shape = (struct tg_shape){
        .size_classes = bytes > 256 ? 2 : 1,
        .in_bytes = {bytes > 256 ? 256 : bytes, bytes},
        .out_bytes = {bytes > 256 ? 256 : bytes, bytes},
        .rows_per_task_max = 1,
        .max_batch = 256,
        .row_ns = 100,
    };
}

static enum tg_status invalid(struct tg_error *err, const char *field, const char *what)
{
    tg_error_set(err, field, "%s", what);
    return TG_INVALID;
}

/* The values a float can hold, so that no answer becomes infinite unseen. */
static bool read_number(const struct tg_json_node *node, float *value)
{
    if (!tg_json_is_number(node) || fabs(tg_json_number(node)) > 1e15)
        return false;
    *value = (float)tg_json_number(node);
    return true;
}

/* Check everything that can be checked before claiming: then most bad tasks cost no row. */
static enum tg_status decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                             struct tg_error *err)
{
    const struct scale *s = self;
    const struct tg_json_node *x = req->payload ? tg_json_get(req->doc, req->payload, TG_STR("x")) : NULL;
    const struct tg_json_node *a = req->payload ? tg_json_get(req->doc, req->payload, TG_STR("a")) : NULL;
    float factor = 1;
    if (!x || x->type != TG_JSON_ARRAY || tg_json_count(x) < 1 || tg_json_count(x) > s->length_max)
        return invalid(err, "payload.x", "must be an array of numbers, not empty and not over length_max");
    if (a && !read_number(a, &factor))
        return invalid(err, "payload.a", "must be a number up to 1e15");
    uint32_t bytes = (uint32_t)sizeof(struct input) + tg_json_count(x) * (uint32_t)sizeof(float);
    enum tg_status status = tg_rows_claim(rows, 1, bytes);
    if (status != TG_OK)
        return status;
    struct input *in = tg_rows_in(rows, 0);
    float *to = in->x;
    in->a = factor;
    TG_JSON_FOREACH(node, x)
    {
        if (!read_number(node, to++))
            return invalid(err, "payload.x", "every element must be a number up to 1e15");
    }
    return TG_OK;
}

/* One row. Where its numbers end is in the row's header, which is host memory. */
static void run_row(const struct scale *s, const struct input *in, float *out, struct tg_row *row)
{
    uint32_t n = (row->in_len - (uint32_t)sizeof(*in)) / (uint32_t)sizeof(float);
    for (uint32_t i = 0; i < n; i++)
        out[i] = in->a * in->x[i] + s->b;
    row->out_len = n * (uint32_t)sizeof(float);
}

static int run_batch(void *self, struct tg_batch *batch)
{
    for (uint32_t g = 0; g < batch->segment_count; g++) {
        const struct tg_segment *segment = &batch->segments[g];
        for (uint32_t i = 0; i < segment->count; i++)
            run_row(self, (const struct input *)((const char *)segment->in + (size_t)i * batch->in_stride),
                    (float *)((char *)segment->out + (size_t)i * batch->out_stride), &segment->rows[i]);
    }
    return 0;
}

static void encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    const float *y = tg_rows_out(rows, 0);
    uint32_t n = tg_rows_row(rows, 0)->out_len / (uint32_t)sizeof(float);
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "y");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < n; i++)
        tg_json_write_f32(w, y[i]);
    tg_json_write_end_array(w);
    tg_json_write_end_object(w);
}

static const struct tg_runner runner = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "scale",
    .doc = "multiplies numbers and adds a constant",
    .intent = "urn:iicp:intent:x.taskgate:scale:v1",
    .options = options,
    .option_count = TG_ARRAY_SIZE(options),
    .create = create,
    .destroy = destroy,
    .shape = shape,
    .decode = decode,
    .run_batch = run_batch,
    .encode = encode,
};

TG_API tg_runner_entry_fn tg_runner_entry;

const struct tg_runner *tg_runner_entry(void)
{
    return &runner;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * noop: answers after a set time without keeping a thread busy. It measures everything but the computing, and
 * stands in for a slow device: a batch takes as long as its longest row, so with max_batch = 1 rows of
 * different length do not hold one another.
 */
#include "builtin.h"

#include <stdlib.h>

#define SLEEP_MS_MAX 300000

struct noop {
    const struct tg_host *host;
    int64_t sleep_ms;
};

static const struct tg_option noop_options[] = {
    {"sleep_ms", TG_OPTION_INTEGER, "0", 0, SLEEP_MS_MAX, NULL,
     "time a task takes unless its payload says otherwise"},
};

static int noop_create(const struct tg_host *host, const union tg_value *values, void **self,
                       struct tg_error *err)
{
    struct noop *n = malloc(sizeof(*n));
    if (!n) {
        tg_error_set(err, NULL, "out of memory");
        return -ENOMEM;
    }
    *n = (struct noop){.host = host, .sleep_ms = values[0].integer};
    *self = n;
    return 0;
}

static void noop_destroy(void *self)
{
    free(self);
}

static void noop_shape(void *self, struct tg_shape *shape)
{
    *shape = (struct tg_shape){
        .size_classes = 1,
        .in_bytes = {8},
        .out_bytes = {8},
        .rows_per_task_max = 1,
        .max_batch = 256,
    };
}

/* The time travels in row->param; the row's bytes are not used. */
static enum tg_status noop_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                                  struct tg_error *err)
{
    const struct noop *n = self;
    int64_t sleep_ms = n->sleep_ms;
    if (req->payload && req->payload->type != TG_JSON_OBJECT) {
        tg_error_set(err, "payload", "must be an object, not %s", runner_kind(req->payload));
        return TG_INVALID;
    }
    if (req->payload) {
        const struct tg_json_node *given = tg_json_get(req->doc, req->payload, TG_STR("sleep_ms"));
        enum tg_status s = runner_integer(given, "payload.sleep_ms", 0, SLEEP_MS_MAX, &sleep_ms, err);
        if (s != TG_OK)
            return s;
    }
    enum tg_status s = tg_rows_claim(rows, 1, 0);
    if (s == TG_OK)
        tg_rows_row(rows, 0)->param = (uint64_t)sleep_ms;
    return s;
}

static int noop_run_batch(void *self, struct tg_batch *batch)
{
    const struct noop *n = self;
    uint64_t longest_ms = 0;
    for (uint32_t s = 0; s < batch->segment_count; s++) {
        const struct tg_segment *segment = &batch->segments[s];
        for (uint32_t i = 0; i < segment->count; i++) {
            longest_ms = TG_MAX(longest_ms, segment->rows[i].param);
            segment->rows[i].out_len = 0;
        }
    }
    batch->ready_ns = longest_ms ? n->host->now_ns() + longest_ms * 1000000 : 0;
    return 0;
}

static void noop_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "slept_ms");
    tg_json_write_u64(w, tg_rows_row(rows, 0)->param);
    tg_json_write_end_object(w);
}

const struct tg_runner tg_runner_noop = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "noop",
    .doc = "answers after a set time and computes nothing",
    .intent = "urn:iicp:intent:x.taskgate:noop:v1",
    .options = noop_options,
    .option_count = TG_ARRAY_SIZE(noop_options),
    .create = noop_create,
    .destroy = noop_destroy,
    .shape = noop_shape,
    .decode = noop_decode,
    .run_batch = noop_run_batch,
    .encode = noop_encode,
};

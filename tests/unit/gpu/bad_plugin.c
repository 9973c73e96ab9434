/* SPDX-License-Identifier: Apache-2.0 */
/* A plugin that is fine but for one thing: the build names it with -DBAD=... */
#include "tg/runner.h"

#include <signal.h>
#include <stdlib.h>

enum bad {
    NOTHING,
    ABI,
    FUNCTION,
    NEIGHBOUR,
    ORDER,
    CRASH,
    LEAK,
    TEXT,
    OUTPUT,
    STATUS,
    ROWS,
    BUFFER,
    STALE,
    FULL
};

static int create(const struct tg_host *host, const union tg_value *values, void **self, struct tg_error *err)
{
    *self = calloc(1, sizeof(uint32_t));
    return *self ? 0 : -ENOMEM;
}

static void destroy(void *self)
{
    free(self);
}

static void shape(void *self, struct tg_shape *shape)
{
    *shape = (struct tg_shape){
        .size_classes = 1, .in_bytes = {64}, .out_bytes = {64}, .rows_per_task_max = 1, .max_batch = 16};
}

static enum tg_status decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                             struct tg_error *err)
{
    if (req->payload->type != TG_JSON_OBJECT) {
        tg_error_set(err, "payload", "%s", BAD == STATUS ? "" : "must be an object");
        return TG_INVALID;
    }
    enum tg_status s = tg_rows_claim(rows, BAD == ROWS ? 2 : 1, 8);
    if (s == TG_CAPACITY && BAD == FULL)
        return TG_INTERNAL;
    if (s != TG_OK)
        return s;
    memset(tg_rows_in(rows, 0), 3, BAD == NEIGHBOUR ? rows->lane->in_stride + 1 : 8);
    static char *volatile kept; /* volatile, or the compiler sees that nobody wants it */
    if (BAD == LEAK)
        kept = malloc(100);
    return kept == (char *)1 ? TG_INTERNAL : TG_OK;
}

static int run_batch(void *self, struct tg_batch *b)
{
    uint32_t *count = self;
    for (uint32_t s = 0; s < b->segment_count; s++) {
        for (uint32_t i = 0; i < b->segments[s].count; i++) {
            unsigned char *out = (unsigned char *)b->segments[s].out + (size_t)i * b->out_stride;
            if (BAD != STALE)
                out[0] = BAD == ORDER ? (unsigned char)__atomic_fetch_add(count, 1, __ATOMIC_RELAXED) : 7;
            b->segments[s].rows[i].out_len = 1;
            if (BAD == OUTPUT)
                memset(out + b->out_stride - 1, 9, 2);
        }
    }
    if (BAD == CRASH)
        raise(SIGSEGV);
    return 0;
}

static void encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    const unsigned char *out = tg_rows_out(rows, 0);
    if (BAD == BUFFER && w->len + 3 > w->cap)
        memset(w->buf + w->len, '1', 3);
    if (BAD == TEXT)
        tg_json_write_raw(w, TG_STR("{\"unfinished\":"));
    else
        tg_json_write_u64(w, 100u + out[0]);
}

static const struct tg_runner runner = {
    .abi = BAD == ABI ? TG_RUNNER_ABI + 1 : TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "bad",
    .doc = "has one fault",
    .intent = "urn:x:bad",
    .create = create,
    .destroy = destroy,
    .shape = shape,
    .decode = decode,
    .run_batch = run_batch,
    .encode = BAD == FUNCTION ? NULL : encode,
};

TG_API tg_runner_entry_fn tg_runner_entry;

const struct tg_runner *tg_runner_entry(void)
{
    return &runner;
}

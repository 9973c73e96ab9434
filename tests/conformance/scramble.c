/* SPDX-License-Identifier: Apache-2.0 */
/* The runner that devices are tested with. */
#include <errno.h>
#include <sched.h>
#include <string.h>
#include "scramble.h"

uint32_t scramble_row(uint32_t multiplier, const uint8_t *in, uint32_t in_len, uint8_t *out)
{
    uint64_t sum = 0xcbf29ce484222325u ^ in_len;

    for (uint32_t i = 0; i < in_len; i++)
        sum = (sum ^ in[i]) * 0x100000001b3u + multiplier;
    memcpy(out, &sum, sizeof(sum));
    for (uint32_t i = 0; i < in_len; i++)
        out[sizeof(sum) + i] = (uint8_t)(in[i] * multiplier + i);
    return (uint32_t)sizeof(sum) + in_len;
}

static void wait_at_gate(struct scramble *s)
{
    atomic_fetch_add_explicit(&s->waiting, 1, memory_order_relaxed);
    while (!atomic_load_explicit(&s->gate, memory_order_acquire)) /* pairs with the test's release */
        sched_yield();
    atomic_fetch_sub_explicit(&s->waiting, 1, memory_order_relaxed);
}

static int one_row(struct scramble *s, struct tg_batch *batch, struct tg_row *row, const void *in, void *out)
{
    if (row->param & SCRAMBLE_WAIT)
        wait_at_gate(s);
    if (row->param & SCRAMBLE_READY)
        batch->ready_ns = TG_MAX(batch->ready_ns, row->deadline_ns);
    if (row->param & SCRAMBLE_REFUSE) {
        row->status = TG_INVALID;
        row->out_len = 0;
    } else {
        row->out_len = scramble_row((uint32_t)row->param, in, row->in_len, out);
    }
    return row->param & SCRAMBLE_FAIL ? -EILSEQ : row->param & SCRAMBLE_POSITIVE ? 1 : 0;
}

static int segment(struct scramble *s, struct tg_batch *batch, const struct tg_segment *g)
{
    int rc = 0;

    TG_ASSERT(g->count > 0); /* a runner may count on that */
    for (uint32_t r = 0; r < g->count && rc == 0; r++)
        rc = one_row(s, batch, &g->rows[r], (const char *)g->in + (size_t)r * batch->in_stride,
                     (char *)g->out + (size_t)r * batch->out_stride);
    return rc;
}

static int run_batch(void *self, struct tg_batch *batch)
{
    struct scramble *s = self;
    uint32_t rows = 0;
    int rc = 0;

    atomic_fetch_add_explicit(&s->calls, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < batch->segment_count && rc == 0; i++) {
        rc = segment(s, batch, &batch->segments[i]);
        rows += batch->segments[i].count;
    }
    TG_ASSERT(rc != 0 || rows == batch->count);
    atomic_fetch_add_explicit(&s->rows, rows, memory_order_relaxed);
    return rc;
}

static void shape(void *self, struct tg_shape *shape)
{
    *shape = (struct tg_shape){
        .size_classes = 1,
        .in_bytes = {SCRAMBLE_IN_STRIDE},
        .out_bytes = {SCRAMBLE_OUT_STRIDE},
        .rows_per_task_max = 1,
        .max_batch = 1024,
        .row_ns = ((struct scramble *)self)->row_ns,
    };
}

static int warm_up(void *self)
{
    struct scramble *s = self;

    atomic_fetch_add_explicit(&s->warm_ups, 1, memory_order_relaxed);
    return s->warm_up_result;
}

const struct tg_runner scramble_runner = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_runner),
    .type = "scramble",
    .doc = "mixes bytes, for tests",
    .intent = "urn:iicp:intent:x.taskgate:scramble:v1",
    .shape = shape,
    .run_batch = run_batch,
    .warm_up = warm_up,
    .cuda = &scramble_cuda,
};

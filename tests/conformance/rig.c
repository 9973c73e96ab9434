/* SPDX-License-Identifier: Apache-2.0 */
/* A device on the bench. */
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include "rig.h"

const struct variant variants[] = {
#define VARIANT(name, backend, spec, threads, computes) {#name, backend, spec, threads, computes, .kernels = VARIANT_KERNELS},
#include VARIANTS
#undef VARIANT
};
const size_t variant_count = TG_ARRAY_SIZE(variants);

static __attribute__((format(printf, 2, 3))) void quiet(enum tg_log_level level, const char *format, ...)
{
}

const struct tg_host rig_host = {
    .abi = TG_RUNNER_ABI,
    .size = sizeof(struct tg_host),
    .log = quiet,
    .now_ns = test_now_ns,
};

/* ---- life cycle ---------------------------------------------------------------------------------------- */

int rig_open_only(struct rig *rig, const struct variant *v)
{
    *rig = (struct rig){.backend = tg_backend_find(v->backend), .seed = 88172645463325252u};
    TG_ASSERT(rig->backend);
    rig->kernels = v->kernels;
    size_t bytes = tg_doorbell_bytes(1);
    rig->doorbell = tg_doorbell_init(aligned_alloc(TG_CACHE_SEPARATION, bytes), 1, -1);
    struct tg_device_options o = {
        .host = &rig_host,
        .streams = RIG_STREAMS,
        .threads = v->threads,
        .doorbell = rig->doorbell,
        .spec = v->spec,
    };
    return rig->backend->open(&o, &rig->device, &rig->why);
}

void rig_open(struct rig *rig, const struct variant *v, uint32_t row_ns, uint32_t lane_rows)
{
    TG_ASSERT(rig_open_only(rig, v) == 0);
    rig->self.row_ns = row_ns;
    test_lane_open(&rig->lane, lane_rows, SCRAMBLE_IN_STRIDE, SCRAMBLE_OUT_STRIDE);
    TG_ASSERT(rig->backend->attach(rig->device, rig->lane.arena.base, rig->lane.arena.size) == 0);
    TG_ASSERT(rig->backend->load(rig->device, &scramble_runner, &rig->self, &rig->why) == 0);
}

void rig_close(struct rig *rig)
{
    if (rig->device)
        rig->backend->close(rig->device);
    if (rig->lane.lane)
        test_lane_close(&rig->lane);
    free(rig->doorbell);
}

/* ---- a batch ------------------------------------------------------------------------------------------- */

static void fill_row(struct rig *rig, uint32_t cursor)
{
    struct tg_row *row = tg_lane_row(rig->lane.lane, cursor);
    uint8_t *in = tg_lane_in(rig->lane.lane, cursor);

    for (uint32_t i = 0; i < SCRAMBLE_IN_STRIDE; i++)
        in[i] = (uint8_t)test_random(&rig->seed, 256);
    row->task = cursor;
    row->in_len = test_random(&rig->seed, SCRAMBLE_IN_STRIDE + 1);
    row->param = test_random(&rig->seed, UINT32_MAX);
    row->deadline_ns = UINT64_MAX;
}

struct rig_job *rig_prepare(struct rig *rig, uint32_t stream, uint32_t n)
{
    struct rig_job *j = &rig->jobs[stream];
    struct tg_lane *lane = rig->lane.lane;

    j->first = test_rows_take(lane, n);
    j->count = n;
    for (uint32_t i = 0; i < n; i++)
        fill_row(rig, j->first + i);
    test_rows_start(lane, j->first, n, test_now_ns());
    j->job = (struct tg_job){.runner = &scramble_runner, .self = &rig->self, .stream = stream};
    j->job.batch = (struct tg_batch){
        .count = n,
        .segment_count = test_rows_segments(lane, j->first, n, j->segments),
        .in_stride = lane->in_stride,
        .out_stride = lane->out_stride,
        .segments = j->segments,
    };
    return j;
}

/* One after the other in two: the first segment that has two rows or more gives its first row away. */
static bool split_one(struct rig_job *j, uint32_t in_stride, uint32_t out_stride)
{
    uint32_t n = j->job.batch.segment_count, i = 0;

    while (i < n && j->segments[i].count < 2)
        i++;
    if (i == n)
        return false;
    memmove(&j->segments[i + 1], &j->segments[i], (n - i) * sizeof(j->segments[0]));
    struct tg_segment *head = &j->segments[i], *rest = head + 1;
    head->count = 1;
    rest->count--;
    rest->rows++;
    rest->in = (const char *)rest->in + in_stride;
    rest->out = (char *)rest->out + out_stride;
    j->job.batch.segment_count++;
    return true;
}

void rig_cut(struct rig *rig, struct rig_job *j, uint32_t pieces)
{
    TG_ASSERT(pieces <= RIG_SEGMENTS);
    while (j->job.batch.segment_count < pieces &&
           split_one(j, rig->lane.lane->in_stride, rig->lane.lane->out_stride))
        ;
}

struct tg_row *rig_row(struct rig *rig, struct rig_job *j, uint32_t i)
{
    return tg_lane_row(rig->lane.lane, j->first + i);
}

int rig_submit(struct rig *rig, struct rig_job *j)
{
    int rc = rig->backend->submit(rig->device, &j->job);

    j->running = rc == 0;
    return rc;
}

bool rig_poll(struct rig *rig, struct rig_job *j)
{
    uint64_t wake_ns = UINT64_MAX;
    int rc = rig->backend->poll(rig->device, j->job.stream, test_now_ns(), &wake_ns);

    TG_ASSERT(rc == 0 || rc == -EAGAIN);
    j->running = rc != 0;
    return rc == 0;
}

void rig_finish(struct rig *rig, struct rig_job *j)
{
    while (!rig_poll(rig, j))
        sched_yield();
}

void rig_retire(struct rig *rig, struct rig_job *j)
{
    for (uint32_t i = 0; i < j->count; i++)
        memset(tg_lane_out(rig->lane.lane, j->first + i), TEST_CANARY, SCRAMBLE_OUT_STRIDE);
    test_rows_retire(rig->lane.lane, j->first, j->count);
}

/* ---- was it right? ------------------------------------------------------------------------------------- */

static bool row_is_right(struct rig *rig, uint32_t cursor)
{
    const struct tg_row *row = tg_lane_row(rig->lane.lane, cursor);
    uint8_t expected[SCRAMBLE_OUT_STRIDE];

    memset(expected, TEST_CANARY, sizeof(expected)); /* nothing behind out_len is written */
    uint32_t out_len =
        scramble_row((uint32_t)row->param, tg_lane_in(rig->lane.lane, cursor), row->in_len, expected);
    uint32_t compared = rig->kernels ? out_len : (uint32_t)sizeof(expected); /* whole rows are copied back */
    return row->task == cursor && row->status == TG_OK && row->out_len == out_len &&
           memcmp(tg_lane_out(rig->lane.lane, cursor), expected, compared) == 0;
}

uint32_t rig_wrong_rows(struct rig *rig, struct rig_job *j)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < j->count; i++)
        wrong += !row_is_right(rig, j->first + i);
    return wrong;
}

bool rig_canaries_alive(struct rig *rig, const struct rig_job *j)
{
    struct tg_lane *lane = rig->lane.lane;

    for (uint32_t i = j->count; i <= lane->mask; i++) {
        const uint8_t *out = tg_lane_out(lane, j->first + i);
        for (uint32_t b = 0; b < SCRAMBLE_OUT_STRIDE; b++)
            if (out[b] != TEST_CANARY)
                return false;
    }
    return true;
}

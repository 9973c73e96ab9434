/* SPDX-License-Identifier: Apache-2.0 */
/* Both ends of an executor's lanes. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "executor_rig.h"
#include "gpu/executor.h"
#include "tests/support/rows.h"

struct rig rig;

/* ---- the runner: out = 3 * in + 1 ------------------------------------------------------------------ */

static void mirror_shape(void *self, struct tg_shape *shape)
{
    *shape = (struct tg_shape){
        .size_classes = 1, .in_bytes = {64}, .out_bytes = {64}, .rows_per_task_max = 1, .max_batch = 64};
}

static int mirror_run(void *self, struct tg_batch *b)
{
    for (uint32_t s = 0; s < b->segment_count; s++)
        for (uint32_t r = 0; r < b->segments[s].count; r++) {
            const char *in = (const char *)b->segments[s].in + (size_t)r * b->in_stride;
            char *out = (char *)b->segments[s].out + (size_t)r * b->out_stride;
            uint64_t word;
            memcpy(&word, in, sizeof(word));
            word = 3 * word + 1;
            memcpy(out, &word, sizeof(word));
            b->segments[s].rows[r].out_len = sizeof(word);
        }
    return 0;
}

static const struct tg_runner mirror = {.abi = TG_RUNNER_ABI,
                                        .size = sizeof(mirror),
                                        .type = "mirror",
                                        .shape = mirror_shape,
                                        .run_batch = mirror_run};

/* ---- the host -------------------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 3))) void keep_log(enum tg_log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(rig.log, sizeof(rig.log), format, args);
    va_end(args);
    rig.log_lines++;
}

static uint64_t rig_clock(void)
{
    return rig.threaded ? test_now_ns() : rig.now_ns;
}

static const struct tg_host host = {
    .abi = TG_RUNNER_ABI, .size = sizeof(host), .log = keep_log, .now_ns = rig_clock};

static struct tg_doorbell *new_doorbell(uint32_t lines)
{
    return tg_doorbell_init(tg_arena_alloc(&rig.arena, tg_doorbell_bytes(lines), TG_CACHE_SEPARATION), lines,
                            -1);
}

static void make_lanes(bool recoverable)
{
    for (uint32_t i = 0; i < RIG_WORKERS * RIG_PRIORITIES; i++) {
        struct tg_lane_options o = {.rows = RIG_ROWS, .in_stride = 64, .out_stride = 64};
        o.recoverable = recoverable;
        o.worker = (uint16_t)(i / RIG_PRIORITIES);
        o.priority = (uint8_t)(i % RIG_PRIORITIES);
        o.bit = 70 * (i % RIG_PRIORITIES); /* in different words of the doorbell */
        rig.lanes[i] = tg_lane_create(&rig.arena, &o);
    }
}

static struct tg_executor_options options;

int rig_create(const struct rig_options *o)
{
    memset(&rig, 0, sizeof(rig));
    rig.threaded = o->threaded;
    rig.now_ns = 1000 * SECOND;
    rig.instance = (struct tg_instance){.runner = &mirror,
                                        .name = "mirror",
                                        .max_batch = o->max_batch,
                                        .max_delay_us = o->max_delay_us,
                                        .streams = o->streams};
    mirror_shape(NULL, &rig.instance.shape);
    rig.instances[0] = &rig.instance;
    TG_ASSERT(tg_arena_init(&rig.arena, 1u << 20, TG_ARENA_PRIVATE) == 0);
    rig.doorbell = new_doorbell(RIG_WORKERS);
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        rig.workers[w] = new_doorbell(1);
    make_lanes(o->process);
    if (o->process)
        rig.life = tg_arena_alloc(&rig.arena, sizeof(*rig.life), TG_CACHE_SEPARATION);
    options = (struct tg_executor_options){
        .host = &host,
        .backend = o->backend,
        .backend_spec = o->spec,
        .threads = o->threads,
        .instances = rig.instances,
        .instance_count = 1,
        .lanes = rig.lanes,
        .lane_count = TG_ARRAY_SIZE(rig.lanes),
        .worker_count = RIG_WORKERS,
        .threaded = o->threaded,
        .doorbell = rig.doorbell,
        .workers = rig.workers,
        .spin_us = o->spin_us,
        .cpu = -1,
        .life = rig.life,
    };
    return tg_executor_create(&options, &rig.ex, &rig.why);
}

void rig_open(const struct rig_options *o)
{
    cr_assert_eq(rig_create(o), 0, "%s", rig.why.message);
    if (o->threaded)
        cr_assert_eq(tg_executor_start(rig.ex), 0);
}

void rig_take_over(const char *spec)
{
    tg_executor_destroy(rig.ex); /* touches no lane */
    options.backend_spec = spec;
    cr_assert_eq(tg_executor_create(&options, &rig.ex, &rig.why), 0, "%s", rig.why.message);
}

void rig_close(void)
{
    tg_executor_destroy(rig.ex);
    rig.ex = NULL;
    tg_arena_finish(&rig.arena);
}

/* ---- the workers ----------------------------------------------------------------------------------- */

uint32_t rig_put(uint32_t worker, uint32_t priority, uint32_t n, uint64_t deadline_ns)
{
    struct tg_lane *lane = rig.lanes[worker * RIG_PRIORITIES + priority];
    uint32_t cursor, put = 0;
    for (; put < n && rig.put < RIG_TASKS_MAX && tg_lane_claim(lane, 1, &cursor) == 0; put++) {
        struct tg_row *row = tg_lane_row(lane, cursor);
        uint64_t word = rig.put;
        *row = (struct tg_row){
            .task = rig.put++, .arrival_ns = rig_clock(), .deadline_ns = deadline_ns, .in_len = 8};
        memcpy(tg_lane_in(lane, cursor), &word, sizeof(word));
        memset(tg_lane_out(lane, cursor), 0xee, 64);
    }
    tg_lane_publish(lane);
    tg_doorbell_ring(rig.doorbell, worker, lane->bit);
    return put;
}

/* Null devices answer with no bytes; whoever computes must have computed this. */
static bool row_is_right(struct tg_lane *lane, uint32_t cursor)
{
    const struct tg_row *row = tg_lane_row(lane, cursor);
    uint64_t word;
    memcpy(&word, tg_lane_out(lane, cursor), sizeof(word));
    if (row->status == TG_OK)
        return row->start_ns > 0 && row->batch_rows > 0 &&
               (row->out_len == 0 || (row->out_len == 8 && word == 3 * row->task + 1));
    return row->out_len == 0 || row->status != TG_TIMEOUT;
}

static uint32_t reap_lane(struct tg_lane *lane)
{
    uint32_t cursor, n = 0;
    for (; tg_lane_reap(lane, &cursor, 1) == 1; n++) {
        const struct tg_row *row = tg_lane_row(lane, cursor);
        rig.wrong += !row_is_right(lane, cursor) || rig.seen[row->task]++;
        rig.by_status[row->status]++;
        tg_lane_retire(lane, cursor);
    }
    rig.back += n;
    return n;
}

uint32_t rig_reap(void)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < TG_ARRAY_SIZE(rig.lanes); i++) {
        struct tg_lane *lane = rig.lanes[i];
        if (tg_doorbell_take(rig.workers[lane->worker], 0, lane->bit / 64) >> lane->bit % 64 & 1)
            n += reap_lane(lane);
    }
    return n;
}

bool rig_turn(void)
{
    rig.wake_ns = UINT64_MAX;
    return tg_executor_turn(rig.ex, rig.now_ns, &rig.wake_ns);
}

void rig_drain(void)
{
    for (uint32_t turns = 0; rig.back < rig.put; turns++) {
        bool moved = rig_turn();
        uint32_t reaped = rig_reap();
        cr_assert_lt(turns, 1000000);
        if (moved || reaped)
            continue;
        cr_assert_neq(rig.wake_ns, UINT64_MAX,
                      "%u of %u rows are back and the host is told to sleep for ever", rig.back, rig.put);
        cr_assert_gt(rig.wake_ns, rig.now_ns, "woken for an instant that has passed: the host would spin");
        rig.now_ns = rig.wake_ns;
    }
}

void rig_await(void)
{
    uint64_t last = test_now_ns();
    while (rig.back < rig.put) {
        if (rig_reap() > 0)
            last = test_now_ns();
        cr_assert_lt(test_now_ns() - last, 120 * SECOND, "%u of %u rows came back", rig.back, rig.put);
        sched_yield();
    }
}

struct tg_executor_stats rig_stats(void)
{
    struct tg_executor_stats stats;
    tg_executor_stats(rig.ex, &stats);
    return stats;
}

void rig_check_accounts(void)
{
    struct tg_executor_stats s = rig_stats();
    uint32_t answered = rig.by_status[TG_OK] + rig.by_status[TG_TIMEOUT] + rig.by_status[TG_BACKEND];
    cr_assert_eq(rig.wrong, 0, "%u rows wrong, or back twice", rig.wrong);
    cr_assert_eq(rig.back, rig.put);
    cr_assert_eq(answered, rig.put, "only these outcomes exist here");
    cr_assert_eq(s.rows + s.rows_expired, rig.put);
    cr_assert_eq(s.rows_expired, rig.by_status[TG_TIMEOUT]);
    cr_assert_eq(s.rows_failed, rig.by_status[TG_BACKEND]);
    cr_assert_eq(s.inflight, 0);
    cr_assert_not(tg_executor_busy(rig.ex));
    cr_assert_leq(s.batch_rows_max, rig.instance.max_batch);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First contact with a device: every built-in runner, by every way to the device and back, in batches of
 * every bucket and beside it, from one lane in pieces, on two streams at once, with answers that are the
 * cpu's byte for byte. A plain program in one process, so that compute-sanitizer and cuda-gdb take it as it
 * is. Built twice: on the emulated runtime and for a real device (suite gpu).
 *
 * every_way [ROWS]      the largest batch
 */
#include <inttypes.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "../support/rows.h"
#include "gpu/backend.h"
#include "gpu/runner.h"

#define STREAMS 2
#define PIECES 6
#define ROWS_MAX 4096u
#define LANE_ROWS (4 * ROWS_MAX)

#define SETTINGS(...)                                                                                        \
    {                                                                                                        \
        __VA_ARGS__,                                                                                         \
        {                                                                                                    \
            NULL, NULL, NULL                                                                                 \
        }                                                                                                    \
    }

/* Row lengths that are no multiples of anything; few rows and many; each kind of search. */
static const struct {
    struct tg_setting settings[8];
    bool bytes; /* rows of any bytes and length; else as long as they are, of numbers */
} runners[] = {
    {SETTINGS({"type", "echo", NULL}), true},
    {SETTINGS({"type", "saxpy", NULL}, {"n", "1", NULL}), false},
    {SETTINGS({"type", "saxpy", NULL}, {"n", "257", NULL}), false},
    {SETTINGS({"type", "knn", NULL}, {"data", "builtin:digits", NULL}, {"rows", "1-300", NULL}), false},
    {SETTINGS({"type", "knn", NULL}, {"data", "random:1500x33", NULL}, {"metric", "ip", NULL},
              {"storage", "fp16", NULL}, {"tensor", "off", NULL}),
     false},
    {SETTINGS({"type", "knn", NULL}, {"data", "random:2100x100", NULL}, {"k_max", "60", NULL}), false},
    {SETTINGS({"type", "knn", NULL}, {"data", "random:1100x17", NULL}, {"storage", "fp16", NULL},
              {"metric", "cosine", NULL}),
     false},
};

static const char *const ways[] = {
    "direct_kib=1048575,pin_mib=65536", "direct_kib=1048575,graphs=0,pin_mib=65536",
    "direct_kib=0,pin_mib=65536",       "direct_kib=0,buffer_kib=64,pin_mib=65536",
    "direct_kib=1048575,pin_mib=0",     "direct_kib=0,pin_mib=0",
};

static const uint32_t sizes[] = {1,  2,  3,   4,   7,   8,   9,   16,   17,   31,
                                 64, 65, 127, 128, 129, 255, 256, 1000, 4095, 4096};

static uint32_t rows_max = ROWS_MAX, failures;
static uint64_t seed = 88172645463325252u;

static __attribute__((format(printf, 2, 3))) void log_line(enum tg_log_level level, const char *format, ...)
{
    va_list args;
    if (level < TG_LOG_WARN)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(struct tg_host), log_line, test_now_ns};

/* One batch and what it has rows in. */
struct trip {
    struct tg_job job;
    struct tg_segment segments[2 * PIECES + 2];
    uint32_t first, count;
    bool over;
};

struct stage {
    struct tg_instance *instance;
    const struct tg_backend *backend;
    struct tg_device *device;
    struct test_lane lane;
    bool bytes;
    struct trip trips[STREAMS];
};

static _Noreturn void give_up(const char *what, const char *why)
{
    printf("%s: %s\n", what, why);
    exit(1);
}

/* ---- rows ------------------------------------------------------------------------------------------------
 */

static void draw_row(const struct stage *s, uint32_t cursor)
{
    struct tg_lane *l = s->lane.lane;
    struct tg_row *row = tg_lane_row(l, cursor);
    uint32_t bytes = s->instance->shape.in_bytes[0];
    row->in_len = s->bytes ? test_random(&seed, bytes + 1) : bytes;
    row->param =
        s->bytes ? 0
                 : 1 + test_random(&seed, 10); /* k of knn; the bits of a number that is next to nothing */
    for (uint32_t i = 0; i < bytes / 4; i++)
        ((float *)tg_lane_in(l, cursor))[i] = (float)test_random(&seed, 33) / 8 - 2;
}

/* Segments that begin and end anywhere. */
static uint32_t cut(struct tg_lane *l, uint32_t first, uint32_t count, struct tg_segment *to)
{
    uint32_t n = 0, pieces = 1 + test_random(&seed, PIECES);
    for (uint32_t done = 0; done < count;) {
        uint32_t left = count - done, rows = --pieces == 0 || left == 1 ? left : 1 + test_random(&seed, left);
        n += test_rows_segments(l, first + done, rows, to + n);
        done += rows;
        pieces = TG_MAX(pieces, 1u);
    }
    return n;
}

static void prepare(struct stage *s, uint32_t stream, uint32_t count)
{
    struct tg_lane *l = s->lane.lane;
    struct trip *t = &s->trips[stream];
    *t = (struct trip){.first = l->claimed, .count = count};
    for (uint32_t i = 0; i < count; i++)
        draw_row(s, t->first + i);
    TG_ASSERT(test_rows_take(l, count) == t->first);
    test_rows_start(l, t->first, count, 1);
    t->job = (struct tg_job){.runner = s->instance->runner, .self = s->instance->self, .stream = stream};
    t->job.batch = (struct tg_batch){.count = count,
                                     .segment_count = cut(l, t->first, count, t->segments),
                                     .in_stride = l->in_stride,
                                     .out_stride = l->out_stride,
                                     .segments = t->segments};
}

/* ---- answers ---------------------------------------------------------------------------------------------
 */

/* The same batch on the cpu, over the device's answers, which are kept in @kept with their lengths. */
static uint32_t wrong_rows(struct stage *s, struct trip *t, char *kept, uint32_t *lengths)
{
    struct tg_lane *l = s->lane.lane;
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        memcpy(kept + (size_t)i * l->out_stride, tg_lane_out(l, t->first + i), l->out_stride);
        lengths[i] = tg_lane_row(l, t->first + i)->out_len;
    }
    test_rows_start(l, t->first, t->count, 1);
    TG_ASSERT(s->instance->runner->run_batch(s->instance->self, &t->job.batch) == 0);
    for (uint32_t i = 0; i < t->count; i++)
        wrong += lengths[i] != tg_lane_row(l, t->first + i)->out_len ||
                 memcmp(kept + (size_t)i * l->out_stride, tg_lane_out(l, t->first + i), lengths[i]) != 0;
    return wrong;
}

static void check(struct stage *s, struct trip *t, const char *what)
{
    static uint32_t lengths[ROWS_MAX];
    char *kept = malloc((size_t)t->count * s->lane.lane->out_stride);
    TG_ASSERT(kept != NULL);
    uint32_t wrong = t->job.fault == TG_FAULT_NONE ? wrong_rows(s, t, kept, lengths) : t->count;
    if (wrong > 0) {
        printf("  %s: %" PRIu32 " of %" PRIu32 " rows are wrong, in %" PRIu32 " segments; fault %d\n", what,
               wrong, t->count, t->job.batch.segment_count, (int)t->job.fault);
        failures++;
    }
    free(kept);
}

/* ---- batches ---------------------------------------------------------------------------------------------
 */

static void poll_until_over(struct stage *s)
{
    for (uint32_t over = 0; over < STREAMS; sched_yield()) {
        uint64_t wake_ns = UINT64_MAX;
        for (uint32_t i = STREAMS; i-- > 0;) {
            if (s->trips[i].over || s->backend->poll(s->device, i, test_now_ns(), &wake_ns) != 0)
                continue;
            s->trips[i].over = true;
            over++;
        }
    }
}

/* Two batches, the second one of another size. */
static void run_pair(struct stage *s, uint32_t rows, const char *what)
{
    uint32_t first = s->lane.lane->claimed;
    prepare(s, 0, rows);
    prepare(s, 1, rows / 2 + 1);
    for (uint32_t i = 0; i < STREAMS; i++)
        if (s->backend->submit(s->device, &s->trips[i].job) != 0)
            give_up(what, "a batch was refused");
    poll_until_over(s);
    for (uint32_t i = 0; i < STREAMS; i++)
        check(s, &s->trips[i], what);
    test_rows_retire(s->lane.lane, first, s->lane.lane->claimed - first);
}

static void run_sizes(struct stage *s, const char *what)
{
    const struct tg_runner_cuda *part = tg_runner_cuda_part(s->instance->runner);
    uint32_t most = TG_MIN(TG_MAX(s->instance->shape.max_batch, part->batch_rows), rows_max);
    for (size_t i = 0; i < TG_ARRAY_SIZE(sizes); i++)
        if (sizes[i] <= most)
            run_pair(s, sizes[i], what);
}

/* ---- runners and ways ------------------------------------------------------------------------------------
 */

/* In shared memory, as the gateway has it. */
static void open_lane(struct stage *s)
{
    const struct tg_shape *shape = &s->instance->shape;
    const struct tg_lane_options o = {.rows = LANE_ROWS,
                                      .in_stride = TG_MAX((shape->in_bytes[0] + 63) / 64 * 64, 64u),
                                      .out_stride = TG_MAX((shape->out_bytes[0] + 63) / 64 * 64, 64u)};
    if (tg_arena_init(&s->lane.arena, tg_lane_bytes(&o) + 8192, TG_ARENA_SHARED) != 0)
        give_up("lane", "out of memory");
    s->lane.lane = tg_lane_create(&s->lane.arena, &o);
}

static void open_stage(struct stage *s, size_t runner, const char *way)
{
    struct tg_problems problems = {0};
    struct tg_instance_options o = {.name = "t", .settings = runners[runner].settings};
    struct tg_device_options device = {.host = &host, .streams = STREAMS, .spec = way};
    struct tg_error why = {0};
    *s = (struct stage){.backend = tg_backend_find("cuda"), .bytes = runners[runner].bytes};
    while (o.settings[o.setting_count].key)
        o.setting_count++;
    if (tg_instance_create(&host, &o, &s->instance, &problems) != 0)
        give_up("runner", problems.text);
    open_lane(s);
    if (s->backend->open(&device, &s->device, &why) != 0 ||
        s->backend->attach(s->device, s->lane.arena.base, s->lane.arena.size) != 0 ||
        s->backend->load(s->device, s->instance->runner, s->instance->self, &why) != 0)
        give_up(way, why.message);
}

static void run_one(size_t runner, const char *way)
{
    struct stage s;
    char what[200];
    const struct tg_setting *settings = runners[runner].settings;
    uint64_t start_ns = test_now_ns();
    open_stage(&s, runner, way);
    snprintf(what, sizeof(what), "%s %s by %s", settings[0].value, settings[1].key ? settings[1].value : "",
             way);
    run_sizes(&s, what);
    s.backend->close(s.device);
    test_lane_close(&s.lane);
    tg_instance_destroy(s.instance);
    printf("%6" PRIu64 " ms  %s\n", (test_now_ns() - start_ns) / 1000000, what);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc > 1)
        rows_max = (uint32_t)TG_MIN(strtoul(argv[1], NULL, 10), (unsigned long)ROWS_MAX);
    for (size_t r = 0; r < TG_ARRAY_SIZE(runners); r++)
        for (size_t w = 0; w < TG_ARRAY_SIZE(ways); w++)
            run_one(r, ways[w]);
    printf("%" PRIu32 " batches had wrong rows\n", failures);
    return failures > 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side of an executor, played by one thread. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "stage.h"

uint64_t stage_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void stage_pin(int cpu)
{
    cpu_set_t set;
    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        perror("cannot pin");
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void stage_sort(double *samples, uint32_t n)
{
    qsort(samples, n, sizeof(*samples), compare);
}

static __attribute__((format(printf, 2, 3))) void log_line(enum tg_log_level level, const char *format, ...)
{
    va_list args;
    if (level < TG_LOG_INFO)
        return;
    va_start(args, format);
    fputs("# ", stdout);
    vprintf(format, args);
    putchar('\n');
    va_end(args);
}

const struct tg_host stage_host = {TG_RUNNER_ABI, sizeof(struct tg_host), log_line, stage_now_ns};

static _Noreturn void give_up(int status, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(status);
}

static void make_instance(struct stage *s, const struct stage_options *o)
{
    struct tg_problems problems = {0};
    struct tg_instance_options i = {.name = "bench", .settings = o->settings};
    while (o->settings[i.setting_count].key)
        i.setting_count++;
    if (tg_instance_create(&stage_host, &i, &s->instance, &problems) != 0)
        give_up(2, "runner", problems.text);
    s->instance->max_batch = o->max_batch;
    s->instance->streams = o->streams;
}

static uint32_t stride(uint32_t bytes)
{
    return TG_MAX((bytes + 63) / 64 * 64, 64u);
}

/* Numbers from -1 to 1, whatever the runner takes them for: rows that differ, as those of tasks do. */
static void fill_row(float *to, uint32_t bytes)
{
    static uint32_t state = 1;
    for (uint32_t i = 0; i < bytes / sizeof(*to); i++) {
        state = state * 1664525u + 1013904223u;
        to[i] = (float)(state >> 8) * 0x1p-23f - 1;
    }
}

static void make_lanes(struct stage *s, const struct stage_options *o)
{
    struct tg_lane_options lane = {.rows = o->lane_rows,
                                   .in_stride = stride(s->instance->shape.in_bytes[0]),
                                   .out_stride = stride(s->instance->shape.out_bytes[0]),
                                   .priority = TG_INTERACTIVE};
    if (tg_arena_init(&s->arena, (tg_lane_bytes(&lane) + 8192) * o->lanes + 65536, TG_ARENA_PRIVATE) != 0)
        give_up(2, "lanes", "out of memory");
    for (s->lane_count = 0; s->lane_count < o->lanes; s->lane_count++) {
        lane.bit = s->lane_count;
        struct tg_lane *l = s->lanes[s->lane_count] = tg_lane_create(&s->arena, &lane);
        for (uint32_t r = 0; r < o->lane_rows; r++) {
            fill_row(tg_lane_in(l, r), lane.in_stride);
            tg_lane_row(l, r)->in_len = s->instance->shape.in_bytes[0];
            tg_lane_row(l, r)->param = 10;
        }
    }
}

static struct tg_doorbell *make_doorbell(struct stage *s)
{
    return tg_doorbell_init(tg_arena_alloc(&s->arena, tg_doorbell_bytes(1), TG_CACHE_SEPARATION), 1, -1);
}

void stage_open(struct stage *s, const struct stage_options *o)
{
    struct tg_error why = {0};
    const struct tg_backend *backend = tg_backend_find(o->backend);
    *s = (struct stage){0};
    if (!backend)
        give_up(2, o->backend, "there is no such device");
    if (backend->probe(&why) != 0)
        give_up(77, o->backend, why.message);
    make_instance(s, o);
    make_lanes(s, o);
    s->bell = make_doorbell(s);
    s->back = s->workers[0] = make_doorbell(s);
}

void stage_start(struct stage *s, const struct stage_options *o)
{
    struct tg_error why = {0};
    struct tg_executor_options e = {.host = &stage_host,
                                    .backend = o->backend,
                                    .backend_spec = o->spec,
                                    .threads = o->threads,
                                    .instances = &s->instance,
                                    .instance_count = 1,
                                    .lanes = s->lanes,
                                    .lane_count = s->lane_count,
                                    .worker_count = 1,
                                    .doorbell = s->bell,
                                    .workers = s->workers,
                                    .cpu = -1};
    if (tg_executor_create(&e, &s->ex, &why) != 0)
        give_up(2, o->backend, why.message);
}

void stage_close(struct stage *s)
{
    tg_executor_destroy(s->ex);
    tg_arena_finish(&s->arena);
    tg_instance_destroy(s->instance);
}

uint32_t stage_put(struct stage *s, uint32_t lane, uint32_t n, uint64_t now_ns)
{
    return stage_put_spread(s, lane, n, (double)now_ns, 0);
}

uint32_t stage_put_spread(struct stage *s, uint32_t lane, uint32_t n, double first_ns, double step_ns)
{
    struct tg_lane *l = s->lanes[lane];
    uint32_t first;
    n = TG_MIN(n, l->mask + 1 - tg_lane_used(l));
    if (n == 0 || tg_lane_claim(l, n, &first) != 0)
        return 0;
    for (uint32_t i = 0; i < n; i++) {
        struct tg_row *row = tg_lane_row(l, first + i);
        row->arrival_ns = (uint64_t)(first_ns + i * step_ns);
        row->deadline_ns = UINT64_MAX;
    }
    tg_lane_publish(l);
    tg_doorbell_ring(s->bell, 0, lane);
    return n;
}

static uint32_t take_lane(struct tg_lane *l)
{
    uint32_t cursors[256], n, total = 0;
    while ((n = tg_lane_reap(l, cursors, TG_ARRAY_SIZE(cursors))) > 0) {
        for (uint32_t i = 0; i < n; i++)
            tg_lane_retire(l, cursors[i]);
        total += n;
    }
    return total;
}

uint32_t stage_take(struct stage *s)
{
    uint32_t total = 0;
    for (uint64_t bits = tg_doorbell_take(s->back, 0, 0); bits; bits &= bits - 1)
        total += take_lane(s->lanes[__builtin_ctzll(bits)]);
    return total;
}

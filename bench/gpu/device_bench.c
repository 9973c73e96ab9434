/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device by itself and behind the executor, with the same rows:
 *   lone    one row at a time: a bare submit and poll, then through lane, former and doorbells
 *   cost    processor time of the host for a batch, by its size
 *   full    full batches on all streams: bare, then through the executor; rows and bytes a second
 *   cross   the cuda device only: a batch moved by kernels and by copies, by its size
 * With --timeline instead: when each step of a lone task and of a full batch was over, from its JSON to its answer's.
 * On the cuda device `full` also says what the runner's kernels reach on rows that lie in device memory already.
 * Nothing is asserted; without the device the program ends with 77.
 *
 * bench-device [--device cpu|null|cuda] [--spec LINE] [--streams N] [--batch N] [--seconds S] [--cpu N]
 *              [--timeline] [KEY=VALUE...]      the runner's settings: type=saxpy n=256
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "bare.h"
#include "gpu/runners/knn.h"
#include "stage.h"
#include "timeline.h"

#define SAMPLES 20000
#define LANES 8
#define LANE_ROWS 4096

static struct {
    const char *device, *spec;
    uint32_t streams, batch, threads;
    double seconds;
    int cpu;
    bool timeline;
    struct tg_setting settings[16];
} options = {.device = "cpu", .streams = 2, .batch = 256, .seconds = 1, .cpu = -1};

static double samples[SAMPLES];

static void open_stage(struct stage *s, const char *spec)
{
    struct stage_options o = {.backend = options.device,
                              .spec = spec,
                              .settings = options.settings,
                              .lanes = LANES,
                              .lane_rows = LANE_ROWS,
                              .max_batch = options.batch,
                              .streams = options.streams,
                              .threads = options.threads};
    stage_open(s, &o);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t deadline(void)
{
    return stage_now_ns() + (uint64_t)(options.seconds * 1e9);
}

static void report(const char *what, uint32_t n)
{
    stage_sort(samples, n);
    printf("%-34s p50 %9.2f us   p99 %9.2f us   best %9.2f us   (%u)\n", what, samples[n / 2] / 1e3,
           samples[n - 1 - n / 100] / 1e3, samples[0] / 1e3, n);
}

/* ---- bare: the backend without executor ------------------------------------------------------------------ */

struct bare {
    const struct tg_backend *backend;
    struct tg_device *device;
    struct tg_job jobs[TG_STREAMS_MAX];
    struct tg_segment segments[TG_STREAMS_MAX];
    uint32_t next[TG_STREAMS_MAX]; /* row of the stream's lane */
};

static void quiet(enum tg_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void quiet(enum tg_log_level level, const char *format, ...)
{
}

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(struct tg_host), quiet, stage_now_ns};

static void fail(const char *why)
{
    fprintf(stderr, "%s: %s\n", options.device, why);
    exit(2);
}

/* Each stream has a lane for itself. */
static void open_bare(struct bare *b, struct stage *s, const char *spec)
{
    struct tg_error why = {0};
    struct tg_device_options o = {
        .host = &host, .streams = options.streams, .threads = options.threads, .spec = spec};
    *b = (struct bare){.backend = tg_backend_find(options.device)};
    if (b->backend->open(&o, &b->device, &why) != 0 ||
        b->backend->attach(b->device, s->arena.base, s->arena.used) != 0 ||
        b->backend->load(b->device, s->instance->runner, s->instance->self, &why) != 0)
        fail(why.message);
}

static void prepare(struct bare *b, struct stage *s, uint32_t stream, uint32_t rows)
{
    struct tg_lane *l = s->lanes[stream % LANES];
    uint32_t at = b->next[stream] + rows <= LANE_ROWS ? b->next[stream] : 0;
    b->next[stream] = at + rows; /* on through the lane, as the executor goes: a row is as cold to both */
    b->segments[stream] = (struct tg_segment){tg_lane_in(l, at), tg_lane_out(l, at), tg_lane_row(l, at), rows};
    b->jobs[stream] = (struct tg_job){
        .runner = s->instance->runner,
        .self = s->instance->self,
        .stream = stream,
        .batch = {.count = rows,
                  .segment_count = 1,
                  .in_stride = l->in_stride,
                  .out_stride = l->out_stride,
                  .segments = &b->segments[stream]},
    };
}

static void submit(struct bare *b, uint32_t stream)
{
    b->jobs[stream].batch.ready_ns = 0;
    if (b->backend->submit(b->device, &b->jobs[stream]) != 0)
        fail("a batch was refused");
}

static bool ended(struct bare *b, uint32_t stream)
{
    uint64_t wake_ns = UINT64_MAX;
    if (b->backend->poll(b->device, stream, stage_now_ns(), &wake_ns) != 0)
        return false;
    if (b->jobs[stream].fault != TG_FAULT_NONE)
        fail("a batch failed");
    return true;
}

/* ---- lone ------------------------------------------------------------------------------------------------ */

static void lone_bare(struct bare *b, struct stage *s)
{
    uint32_t n = 0;
    prepare(b, s, 0, 1);
    for (uint64_t end = deadline(); n < SAMPLES && stage_now_ns() < end; n++) {
        uint64_t start = stage_now_ns();
        submit(b, 0);
        while (!ended(b, 0))
            ;
        samples[n] = (double)(stage_now_ns() - start);
    }
    report("lone row, bare submit and poll", n);
}

static void lone_executor(struct stage *s)
{
    uint32_t n = 0;
    for (uint64_t end = deadline(); n < SAMPLES && stage_now_ns() < end; n++) {
        uint64_t start = stage_now_ns(), wake_ns = UINT64_MAX;
        stage_put(s, 0, 1, start);
        while (stage_take(s) == 0)
            tg_executor_turn(s->ex, stage_now_ns(), &wake_ns);
        samples[n] = (double)(stage_now_ns() - start);
    }
    report("lone row, through the executor", n);
}

/* ---- cost ------------------------------------------------------------------------------------------------ */

/* Submitting and the poll that finds the end; polls in vain are the wait, not the cost. */
static void cost(struct bare *b, struct stage *s, uint32_t rows)
{
    uint32_t n = 0;
    char what[64];
    prepare(b, s, 0, rows);
    for (uint64_t end = deadline(); n < SAMPLES && stage_now_ns() < end; n++) {
        uint64_t start = cpu_ns(), last = 0;
        submit(b, 0);
        uint64_t submitted = cpu_ns() - start;
        do
            last = cpu_ns();
        while (!ended(b, 0));
        samples[n] = (double)(submitted + cpu_ns() - last);
    }
    snprintf(what, sizeof(what), "host's part of a batch of %" PRIu32, rows);
    report(what, n);
}

/* ---- full ------------------------------------------------------------------------------------------------ */

/* A search is worth two operations a component of the set and query, and reads the set once a batch at least. */
static void search_rate(const struct stage *s, uint64_t rows, uint64_t ns)
{
    const struct knn_set *set = &((const struct knn *)s->instance->self)->set;
    double values = (double)set->rows * set->dim, batches = (double)rows / options.batch;
    printf("%-34s %12.3f TFLOP/s %9.1f GB/s of the set\n", "", 2 * values * (double)rows / (double)ns / 1e3,
           values * (set->half ? 2 : 4) * batches / (double)ns);
}

static void rate(const char *what, const struct stage *s, uint64_t rows, uint64_t ns)
{
    const struct tg_lane *l = s->lanes[0];
    double per_s = (double)rows * 1e9 / (double)ns;
    printf("%-34s %12.0f rows/s %9.3f GB/s in and out\n", what, per_s,
           per_s * ((double)l->in_stride + l->out_stride) / 1e9);
    if (strcmp(s->instance->runner->type, "knn") == 0)
        search_rate(s, rows, ns);
}

static void full_bare(struct bare *b, struct stage *s)
{
    uint64_t rows = 0, start = stage_now_ns(), end = deadline();
    for (uint32_t i = 0; i < options.streams; i++) {
        prepare(b, s, i, options.batch);
        submit(b, i);
    }
    for (bool more = true; more;) {
        more = stage_now_ns() < end;
        for (uint32_t i = 0; i < options.streams; i++) {
            while (!more && !ended(b, i))
                ;
            if (more && !ended(b, i))
                continue;
            rows += options.batch;
            if (more) {
                prepare(b, s, i, options.batch);
                submit(b, i);
            }
        }
    }
    rate("full batches, bare", s, rows, stage_now_ns() - start);
}

static void full_executor(struct stage *s)
{
    uint64_t rows = 0, start = stage_now_ns(), end = deadline(), now = start;
    for (; now < end; now = stage_now_ns()) {
        uint64_t wake_ns = UINT64_MAX;
        for (uint32_t l = 0; l < LANES; l++)
            stage_put(s, l, LANE_ROWS, now);
        tg_executor_turn(s->ex, now, &wake_ns);
        rows += stage_take(s);
    }
    rate("full batches, through the executor", s, rows, now - start);
}

/* ---- cross ----------------------------------------------------------------------------------------------- */

static void cross_way(struct stage *s, const char *name, const char *spec)
{
    struct bare b;
    open_bare(&b, s, spec);
    for (uint32_t rows = 1; rows <= options.batch; rows *= 4) {
        uint32_t n = 0;
        char what[64];
        prepare(&b, s, 0, rows);
        for (uint64_t end = deadline(); n < 2000 && stage_now_ns() < end; n++) {
            uint64_t start = stage_now_ns();
            submit(&b, 0);
            while (!ended(&b, 0))
                ;
            samples[n] = (double)(stage_now_ns() - start);
        }
        snprintf(what, sizeof(what), "%" PRIu32 " rows %s", rows, name);
        report(what, n);
    }
    b.backend->close(b.device);
}

/* ---- command line ---------------------------------------------------------------------------------------- */

static bool setting(char *text, uint32_t n)
{
    char *equals = strchr(text, '=');
    if (!equals || n + 1 >= TG_ARRAY_SIZE(options.settings))
        return false;
    *equals = '\0';
    options.settings[n] = (struct tg_setting){.key = text, .value = equals + 1};
    return true;
}

static bool read_options(int argc, char **argv)
{
    static const struct option names[] = {
        {"device", required_argument, NULL, 'd'},  {"spec", required_argument, NULL, 's'},
        {"streams", required_argument, NULL, 'n'}, {"batch", required_argument, NULL, 'b'},
        {"threads", required_argument, NULL, 't'}, {"seconds", required_argument, NULL, 'S'},
        {"cpu", required_argument, NULL, 'c'},     {"timeline", no_argument, NULL, 'T'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (c) {
        case 'd': options.device = optarg; break;
        case 's': options.spec = optarg; break;
        case 'n': options.streams = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'b': options.batch = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 't': options.threads = (uint32_t)strtoul(optarg, NULL, 0); break;
        case 'S': options.seconds = strtod(optarg, NULL); break;
        case 'c': options.cpu = atoi(optarg); break;
        case 'T': options.timeline = true; break;
        default: return false;
        }
    }
    uint32_t n = 0;
    for (; optind < argc; optind++)
        if (!setting(argv[optind], n++))
            return false;
    if (n == 0) {
        options.settings[0] = (struct tg_setting){.key = "type", .value = "saxpy"};
        options.settings[1] = (struct tg_setting){.key = "n", .value = "256"};
    }
    return options.streams >= 1 && options.streams <= LANES && options.batch >= 1 && options.batch <= 4096 &&
           options.seconds > 0;
}

static bool is_cuda(void)
{
    return strcmp(options.device, "cuda") == 0;
}

static void bare_beside(const struct stage *s)
{
    if (is_cuda())
        bare_kernels(s->instance->runner->type, s->lanes[0]->in_stride, s->lanes[0]->out_stride, options.batch);
}

static void timelines(struct stage *s)
{
    timeline(s, 1, options.seconds);
    timeline(s, options.batch, options.seconds);
    bare_beside(s);
}

static void figures(struct stage *s)
{
    struct bare b;
    open_bare(&b, s, options.spec);
    lone_bare(&b, s);
    for (uint32_t rows = 1; rows <= options.batch; rows *= 16)
        cost(&b, s, rows);
    full_bare(&b, s);
    b.backend->close(b.device);
    lone_executor(s);
    full_executor(s);
    if (is_cuda()) {
        cross_way(s, "by kernels", "direct_kib=1048575");
        cross_way(s, "by copies", "direct_kib=0");
    }
    bare_beside(s);
}

int main(int argc, char **argv)
{
    struct stage s;
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: bench-device [--device cpu|null|cuda] [--spec LINE] [--streams 1..%d] [--batch 1..4096]\n"
                        "                    [--threads N] [--seconds S] [--cpu N] [--timeline] [KEY=VALUE...]\n", LANES);
        return 2;
    }
    stage_pin(options.cpu);
    open_stage(&s, options.spec);
    if (options.timeline)
        timelines(&s);
    else
        figures(&s);
    stage_close(&s);
    return 0;
}

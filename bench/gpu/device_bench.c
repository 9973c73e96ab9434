/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device by itself and behind the executor, with the same rows:
 *   lone    one row at a time: a bare submit and poll, then through lane, former and doorbells
 *   cost    processor time of the host for a batch, by its size
 *   full    full batches on all streams: bare, then through the executor; rows and bytes a second
 *   load    rows one by one at a half and at four fifths of that rate, through the executor
 * On the cuda device besides
 *   cross   a batch moved by kernels and by copies, by its size
 *   kernels what the runner's kernels reach without us, in place and with copies, and how far we are from it
 * With --timeline instead: when each step of a lone task and of a full batch was over, from its JSON to its answer's.
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
#include "gpu/cuda/bare.h"
#include "gpu/runners/knn.h"
#include "load.h"
#include "stage.h"
#include "timeline.h"

#define SAMPLES 20000
#define LANES 8
#define LANE_ROWS 4096
#define PINNED "pin_mib=65536" /* all lanes, however large their rows are */

static struct {
    const char *device, *spec;
    uint32_t streams, batch, threads;
    double seconds;
    int cpu;
    bool timeline;
    struct tg_setting settings[16];
} options = {.device = "cpu", .streams = 2, .batch = 256, .seconds = 1, .cpu = -1};

static double samples[SAMPLES];

/* What is held against one another at the end. */
static struct {
    double lone_p50_ns, lone_p99_ns, host_p50_ns, full_rows_per_s;
} found;

static struct stage_options stage_options(void)
{
    return (struct stage_options){.backend = options.device,
                                  .spec = options.spec,
                                  .settings = options.settings,
                                  .lanes = LANES,
                                  .lane_rows = LANE_ROWS,
                                  .max_batch = options.batch,
                                  .streams = options.streams,
                                  .threads = options.threads};
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

static void goal(const char *what, double value, const char *wanted)
{
    printf("goal: %-52s %10.2f   %s\n", what, value, wanted);
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
        .host = &stage_host, .streams = options.streams, .threads = options.threads, .spec = spec};
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
    found.lone_p50_ns = samples[n / 2];
    found.lone_p99_ns = samples[n - 1 - n / 100];
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
    found.host_p50_ns = samples[n / 2];
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

/* Enough waits for every stream and two batches more, each batch in one lane. Returns the rows that are there now. */
static uint64_t refill(struct stage *s, uint64_t there, uint64_t now_ns)
{
    static uint32_t lane;
    const uint64_t wanted = (options.streams + 2ull) * options.batch;
    for (uint32_t tries = 0; tries < LANES && there + options.batch <= wanted; tries++)
        there += stage_put(s, lane++ % LANES, options.batch, now_ns);
    return there;
}

static void drain(struct stage *s, uint64_t there)
{
    uint64_t wake_ns = UINT64_MAX;
    while (there > 0) {
        tg_executor_turn(s->ex, stage_now_ns(), &wake_ns);
        there -= stage_take(s);
    }
}

static void full_executor(struct stage *s)
{
    uint64_t rows = 0, there = 0, start = stage_now_ns(), end = deadline(), now = start;
    for (; now < end; now = stage_now_ns()) {
        uint64_t wake_ns = UINT64_MAX;
        there = refill(s, there, now);
        tg_executor_turn(s->ex, now, &wake_ns);
        uint32_t back = stage_take(s);
        rows += back;
        there -= back;
    }
    rate("full batches, through the executor", s, rows, now - start);
    found.full_rows_per_s = (double)rows * 1e9 / (double)(now - start);
    drain(s, there);
}

/* ---- load ------------------------------------------------------------------------------------------------ */

static void loaded(struct stage *s, uint32_t percent, const char *wanted)
{
    struct load_figures f;
    char what[64];
    load_run(s, found.full_rows_per_s * percent / 100, options.seconds, &f);
    printf("at %" PRIu32 " %% of that, row by row         p50 %9.2f us   p99 %9.2f us   %12.0f rows/s\n", percent,
           f.p50_ns / 1e3, f.p99_ns / 1e3, f.rows_per_s);
    snprintf(what, sizeof(what), "p99 at %" PRIu32 " %% of saturation, in lone rows' p50", percent);
    goal(what, f.p99_ns / found.lone_p50_ns, wanted);
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

/* ---- kernels --------------------------------------------------------------------------------------------- */

static int measure_kernels(const struct stage *s, struct bare_figures *f)
{
    struct tg_lane *l = s->lanes[0];
    const struct bare_options o = {.runner = s->instance->runner,
                                   .self = s->instance->self,
                                   .in = tg_lane_in(l, 0),
                                   .row = *tg_lane_row(l, 0),
                                   .in_stride = l->in_stride,
                                   .out_stride = l->out_stride,
                                   .rows = options.batch,
                                   .streams = options.streams,
                                   .seconds = options.seconds / 4};
    return bare_measure(&o, f);
}

static void compare_with_kernels(const struct bare_figures *f)
{
    goal("a lone row's latency beyond that, us, p50", found.lone_p50_ns / 1e3 - f->lone_p50_us, "at most 10");
    goal("a lone row's latency beyond that, us, p99", found.lone_p99_ns / 1e3 - f->lone_p99_us, "at most 25");
    goal("host's part of a full batch, us, p50", found.host_p50_ns / 1e3, "at most 6");
    goal("rows/s of full batches, % of kernels with copies",
         100 * found.full_rows_per_s * f->copied_us / 1e6 / options.batch, "at least 90");
}

static void kernels(const struct stage *s, bool compare)
{
    struct bare_figures f;
    int rc = measure_kernels(s, &f);
    if (rc != 0) {
        printf("kernels by themselves: none (%d)\n", rc);
        return;
    }
    rate("kernels alone, rows in place", s, options.batch, (uint64_t)(f.in_place_us * 1e3));
    rate("kernels alone, with copies", s, options.batch, (uint64_t)(f.copied_us * 1e3));
    printf("%-34s p50 %9.2f us   p99 %9.2f us\n", "kernels alone, lone row and wait", f.lone_p50_us, f.lone_p99_us);
    if (compare)
        compare_with_kernels(&f);
}

/* ---- all of it ------------------------------------------------------------------------------------------- */

static bool is_cuda(void)
{
    return strcmp(options.device, "cuda") == 0;
}

static void timelines(struct stage *s)
{
    const struct stage_options o = stage_options();
    stage_start(s, &o);
    timeline(s, 1, options.seconds);
    timeline(s, options.batch, options.seconds);
    if (is_cuda())
        kernels(s, false);
}

static void bare_figures(struct stage *s)
{
    struct bare b;
    open_bare(&b, s, options.spec);
    lone_bare(&b, s);
    for (uint32_t rows = 1; rows < options.batch; rows *= 16)
        cost(&b, s, rows);
    cost(&b, s, options.batch);
    full_bare(&b, s);
    b.backend->close(b.device);
}

/* The lanes are the bare device's first, then the executor's. */
static void figures(struct stage *s)
{
    const struct stage_options o = stage_options();
    bare_figures(s);
    if (is_cuda()) {
        cross_way(s, "by kernels", PINNED ",direct_kib=1048575");
        cross_way(s, "by copies", PINNED ",direct_kib=0");
    }
    stage_start(s, &o);
    lone_executor(s);
    full_executor(s);
    loaded(s, 50, "at most 3");
    loaded(s, 80, "at most 6");
    if (is_cuda())
        kernels(s, true);
}

/* No batch is larger than the gateway's would be; a device relies on that. */
static void limit_batch(struct tg_instance *in)
{
    const struct tg_runner_cuda *part = tg_runner_cuda_part(in->runner);
    uint32_t most = part ? TG_MAX(in->shape.max_batch, part->batch_rows) : in->shape.max_batch;
    if (options.batch > most)
        printf("# %s takes batches of %" PRIu32 " rows at most\n", in->runner->type, most);
    options.batch = in->max_batch = TG_MIN(options.batch, most);
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
    if (is_cuda() && !options.spec)
        options.spec = PINNED;
    const struct stage_options o = stage_options();
    stage_open(&s, &o);
    limit_batch(s.instance);
    if (options.timeline)
        timelines(&s);
    else
        figures(&s);
    stage_close(&s);
    return 0;
}

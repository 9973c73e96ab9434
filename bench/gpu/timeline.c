/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bench plays a worker whose executor runs inline: no other thread is woken, so what is shown is work and the device's
 * own time. Stamps inside the executor are taken by a backend that stands before the real one; the program has none.
 */
#include "timeline.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include "gpu/executor.h"
#include "gpu/runners/knn.h"
#include "gpu/runners/saxpy.h"

#define RUNS_MAX 20000
#define ROWS_MAX 4096
#define PICTURE 48
#define ANSWER_BYTES (1u << 20)

#define STEPS(X)                                                                                             \
    X(DECODED, "JSON read, rows written")                                                                    \
    X(PUBLISHED, "published, bell rung")                                                                     \
    X(FORMED, "taken: batch formed")                                                                         \
    X(SUBMITTED, "submitted to the device")                                                                  \
    X(SEEN, "seen complete")                                                                                 \
    X(HANDED, "completed to the lanes")                                                                      \
    X(REAPED, "reaped by the worker")                                                                        \
    X(ENCODED, "answers written as JSON")

enum step {
#define STEP_ID(id, text) id,
    STEPS(STEP_ID)
#undef STEP_ID
        STEP_COUNT
};

static const char *const texts[] = {
#define STEP_TEXT(id, text) text,
    STEPS(STEP_TEXT)
#undef STEP_TEXT
};

/* One at a time: a program has one timeline. */
static struct {
    const struct tg_backend *real;
    uint64_t stamps[STEP_COUNT];
    uint32_t batches; /* submitted in this run */
} trace;

static double times[STEP_COUNT][RUNS_MAX];

/* ---- stamps inside the executor --------------------------------------------------------------------- */

static int stamped_submit(struct tg_device *device, struct tg_job *job)
{
    trace.batches++;
    trace.stamps[FORMED] = stage_now_ns();
    int rc = trace.real->submit(device, job);
    trace.stamps[SUBMITTED] = stage_now_ns();
    return rc;
}

static int stamped_poll(struct tg_device *device, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns)
{
    int rc = trace.real->poll(device, stream, now_ns, wake_ns);
    if (rc == 0)
        trace.stamps[SEEN] = stage_now_ns();
    return rc;
}

/* ---- what is asked ---------------------------------------------------------------------------------- */

static void put_numbers(FILE *f, const char *key, uint32_t n)
{
    fprintf(f, "\"%s\":[", key);
    for (uint32_t i = 0; i < n; i++)
        fprintf(f, "%s%u.%u", i ? "," : "", i % 17, i % 10);
    fputc(']', f);
}

static void put_payload(FILE *f, const struct tg_instance *in)
{
    fputc('{', f);
    if (strcmp(in->runner->type, "echo") == 0) {
        fputs("\"text\":\"ping 01234 5678\"", f);
    } else if (strcmp(in->runner->type, "saxpy") == 0) {
        uint32_t n = ((const struct saxpy *)in->self)->n;
        fputs("\"a\":2,", f);
        put_numbers(f, "x", n);
        fputc(',', f);
        put_numbers(f, "y", n);
    } else if (strcmp(in->runner->type, "knn") == 0) {
        fputs("\"k\":10,", f);
        put_numbers(f, "vector", ((const struct knn *)in->self)->set.dim);
    } else if (strcmp(in->runner->type, "noop") != 0) {
        fprintf(stderr, "timeline: there is no payload for %s\n", in->runner->type);
        exit(2);
    }
    fputc('}', f);
}

static char *make_payload(const struct tg_instance *in, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    if (f) {
        put_payload(f, in);
        fclose(f);
    }
    return text;
}

/* ---- one run ---------------------------------------------------------------------------------------- */

struct run {
    struct stage *stage;
    const char *payload;
    size_t payload_len;
    struct tg_json_doc doc;
    uint32_t rows, left_out;
    struct tg_rows taken[ROWS_MAX];
    char *answer;
};

static void decode(struct run *r, uint32_t i)
{
    struct tg_json_error syntax;
    struct tg_error why = {0};
    struct tg_instance *in = r->stage->instance;
    struct tg_rows rows = {.lanes = &r->stage->lanes[i % r->stage->lane_count], .lane_count = 1};
    if (tg_json_parse(&r->doc, r->payload, r->payload_len, &syntax) != 0)
        exit(2);
    const struct tg_request request = {.doc = &r->doc, .payload = r->doc.nodes};
    if (in->runner->decode(in->self, &request, &rows, &why) != TG_OK) {
        fprintf(stderr, "timeline: %s %s\n", why.field, why.message);
        exit(2);
    }
    tg_rows_row(&rows, 0)->arrival_ns = stage_now_ns();
    tg_rows_row(&rows, 0)->deadline_ns = UINT64_MAX;
}

static void publish(struct run *r)
{
    for (uint32_t l = 0; l < TG_MIN(r->rows, r->stage->lane_count); l++) {
        tg_lane_publish(r->stage->lanes[l]);
        tg_doorbell_ring(r->stage->bell, 0, l);
    }
}

static uint32_t reap_lane(struct run *r, struct tg_lane *lane, uint32_t n)
{
    uint32_t cursors[256], got;
    while ((got = tg_lane_reap(lane, cursors, TG_ARRAY_SIZE(cursors))) > 0)
        for (uint32_t i = 0; i < got; i++)
            r->taken[n++] = (struct tg_rows){.lane = lane, .first = cursors[i], .count = 1};
    return n;
}

static uint32_t reap(struct run *r, uint32_t n)
{
    for (uint64_t bits = tg_doorbell_take(r->stage->back, 0, 0); bits; bits &= bits - 1)
        n = reap_lane(r, r->stage->lanes[__builtin_ctzll(bits)], n);
    return n;
}

/* The turn that sees the end also completes: its end is the end of that. */
static void serve(struct run *r)
{
    uint64_t wake_ns = UINT64_MAX;
    uint32_t reaped = 0;
    while (reaped < r->rows) {
        tg_executor_turn(r->stage->ex, stage_now_ns(), &wake_ns);
        trace.stamps[HANDED] = stage_now_ns();
        reaped = reap(r, reaped);
    }
    trace.stamps[REAPED] = stage_now_ns();
}

static void encode(struct run *r)
{
    struct tg_instance *in = r->stage->instance;
    for (uint32_t i = 0; i < r->rows; i++) {
        struct tg_json_writer w;
        tg_json_writer_init(&w, r->answer, ANSWER_BYTES);
        in->runner->encode(in->self, &r->taken[i], &w);
    }
}

/* How often the kernel has taken the processor away from us. */
static long interruptions(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nivcsw : 0;
}

/* False if something came between: another thread on our processor, or a second batch. */
static bool run_once(struct run *r, uint32_t number)
{
    long before = interruptions();
    uint64_t start = stage_now_ns();
    trace.batches = 0;
    for (uint32_t i = 0; i < r->rows; i++)
        decode(r, i);
    trace.stamps[DECODED] = stage_now_ns();
    publish(r);
    trace.stamps[PUBLISHED] = stage_now_ns();
    serve(r);
    encode(r);
    trace.stamps[ENCODED] = stage_now_ns();
    for (uint32_t i = 0; i < r->rows; i++)
        tg_lane_retire(r->taken[i].lane, r->taken[i].first);
    for (uint32_t s = 0; s < STEP_COUNT; s++)
        times[s][number] = (double)(trace.stamps[s] - start);
    return trace.batches == 1 && interruptions() == before;
}

/* ---- what came of it -------------------------------------------------------------------------------- */

static void print_bar(double from, double to, double all)
{
    char bar[PICTURE + 1];
    memset(bar, ' ', PICTURE);
    bar[PICTURE] = '\0';
    size_t first = (size_t)(from / all * (PICTURE - 1)), last = (size_t)(to / all * (PICTURE - 1));
    memset(bar + first, '#', last - first + 1);
    printf("|%s|\n", bar);
}

static void print(const struct run *r, uint32_t n)
{
    struct tg_executor_info info;
    double before = 0;
    for (uint32_t s = 0; s < STEP_COUNT; s++)
        stage_sort(times[s], n);
    tg_executor_describe(r->stage->ex, &info);
    printf("\n%" PRIu32 " task%s of %s on %s, %" PRIu32 " runs (%" PRIu32
           " interrupted ones left out); ns from the start\n",
           r->rows, r->rows == 1 ? "" : "s", r->stage->instance->runner->type, info.device, n, r->left_out);
    printf("%-26s %11s %11s %11s\n", "", "p50", "p99", "step");
    for (uint32_t s = 0; s < STEP_COUNT; s++) {
        double median = times[s][n / 2];
        printf("%-26s %11.0f %11.0f %+11.0f  ", texts[s], median, times[s][n - 1 - n / 100], median - before);
        print_bar(before, median, times[STEP_COUNT - 1][n / 2]);
        before = median;
    }
}

/* The first runs warm caches up. If none was undisturbed the last one has to do. */
static uint32_t measure(struct run *r, double seconds)
{
    uint32_t n = 0, all = 0;
    for (uint32_t i = 0; i < 20; i++)
        run_once(r, 0);
    uint64_t end = stage_now_ns() + (uint64_t)(seconds * 1e9);
    for (; n < RUNS_MAX && stage_now_ns() < end; all++)
        n += run_once(r, n);
    r->left_out = all - n;
    return TG_MAX(n, 1u);
}

void timeline(struct stage *s, uint32_t rows, double seconds)
{
    static struct run r; /* large */
    struct tg_backend stamped = *s->ex->backend;
    trace.real = s->ex->backend;
    stamped.submit = stamped_submit;
    stamped.poll = stamped_poll;
    r = (struct run){.stage = s, .rows = rows, .answer = malloc(ANSWER_BYTES)};
    char *payload = make_payload(s->instance, &r.payload_len);
    r.payload = payload;
    r.doc.capacity = (uint32_t)TG_JSON_NODES_MAX(r.payload_len);
    r.doc.nodes = malloc(r.doc.capacity * sizeof(*r.doc.nodes));
    if (rows > ROWS_MAX || !payload || !r.answer || !r.doc.nodes)
        exit(2);
    s->ex->backend = &stamped;
    print(&r, measure(&r, seconds));
    s->ex->backend = trace.real;
    free(r.doc.nodes);
    free(payload);
    free(r.answer);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness on run_batch(): the same rows in one batch, one by one, backwards and on several threads at
 * once must give the same bytes, and no byte outside their output rows may change.
 */
#include "runner_test_parts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 4096
#define THREADS 4

/* One lane's rows, as one after the other as they were claimed, and what they held when decode was done. */
struct bench {
    struct harness *h;
    struct tg_lane *lane;
    uint32_t first, count;
    struct tg_row *rows;
    char *in, *out; /* `out` as the first run left it */
    struct tg_row *done;
};

/* Which row is the @i-th of a run. */
typedef uint32_t order_fn(uint32_t i, uint32_t count);

static uint32_t forwards(uint32_t i, uint32_t count)
{
    return i;
}

static uint32_t backwards(uint32_t i, uint32_t count)
{
    return count - 1 - i;
}

/* ---- running --------------------------------------------------------------------------------- */

/* Adds a row to the segments, to the last one if it continues it. */
static void add_row(struct tg_batch *b, struct tg_segment *segments, struct tg_lane *l, uint32_t cursor)
{
    struct tg_segment *last = b->segment_count ? &segments[b->segment_count - 1] : NULL;
    struct tg_row *row = tg_lane_row(l, cursor);
    if (!last || last->rows + last->count != row)
        segments[b->segment_count++] =
            (struct tg_segment){.in = tg_lane_in(l, cursor), .out = tg_lane_out(l, cursor), .rows = row};
    segments[b->segment_count - 1].count++;
    b->count++;
}

/* Rows @begin, @begin + @step ... of the order, in batches of at most @max. Returns run_batch's answer. */
static int run_rows(const struct bench *t, order_fn *order, uint32_t begin, uint32_t step, uint32_t max)
{
    max = TG_MIN(max, t->count);
    struct tg_segment *segments = calloc(max, sizeof(*segments));
    struct tg_batch b = {
        .in_stride = t->lane->in_stride, .out_stride = t->lane->out_stride, .segments = segments};
    int rc = segments ? 0 : -ENOMEM;
    for (uint32_t i = begin; rc == 0 && i < t->count; i += step) {
        add_row(&b, segments, t->lane, t->first + order(i, t->count));
        if (b.count == max || i + step >= t->count) {
            b.ready_ns = 0;
            rc = t->h->instance->runner->run_batch(t->h->instance->self, &b);
            memset(segments, 0, max * sizeof(*segments));
            b.count = b.segment_count = 0;
        }
    }
    free(segments);
    return rc;
}

struct part {
    pthread_t thread;
    const struct bench *t;
    uint32_t number;
    int rc;
};

static void *run_part(void *arg)
{
    struct part *p = arg;
    p->rc = run_rows(p->t, forwards, p->number, THREADS, p->t->h->instance->max_batch);
    return NULL;
}

static int run_threads(const struct bench *t)
{
    struct part parts[THREADS];
    int rc = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        parts[i] = (struct part){.t = t, .number = i};
        if (pthread_create(&parts[i].thread, NULL, run_part, &parts[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(parts[i].thread, NULL);
        rc = rc ? rc : parts[i].rc;
    }
    return rc;
}

/* ---- comparing ------------------------------------------------------------------------------- */

/* Output as it was before any run. */
static void prepare(const struct bench *t)
{
    struct tg_lane *l = t->lane;
    memset((char *)l + l->out_offset, t->h->fill, ((size_t)l->mask + 1) * l->out_stride);
    for (uint32_t i = 0; i < t->count; i++) {
        struct tg_row *row = tg_lane_row(l, t->first + i);
        *row = t->rows[i];
        row->status = TG_OK;
        row->out_len = l->out_stride;
    }
}

static bool header_kept(const struct tg_row *before, const struct tg_row *after)
{
    return before->task == after->task && before->param == after->param && before->in_len == after->in_len &&
           before->part == after->part && before->marks == after->marks;
}

/* Inputs, headers and the rows of others are as they were. */
static const char *trespass(const struct bench *t)
{
    struct tg_lane *l = t->lane;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tg_row *row = tg_lane_row(l, t->first + i);
        if (memcmp(tg_lane_in(l, t->first + i), t->in + (size_t)i * l->in_stride, l->in_stride) != 0)
            return "changed an input row";
        if (!header_kept(&t->rows[i], row))
            return "changed more of a row's header than status and out_len";
        if (row->out_len > l->out_stride)
            return "set out_len beyond the row";
    }
    for (uint32_t i = t->count; i <= l->mask; i++)
        if (!harness_untouched(tg_lane_out(l, t->first + i), l->out_stride, t->h->fill))
            return "wrote outside the rows of its batch";
    return NULL;
}

static void remember(const struct bench *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        t->done[i] = *tg_lane_row(t->lane, t->first + i);
        memcpy(t->out + (size_t)i * t->lane->out_stride, tg_lane_out(t->lane, t->first + i),
               t->lane->out_stride);
    }
}

/* Returns the first row that differs from what was remembered, or count. */
static uint32_t first_difference(const struct bench *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct tg_row *row = tg_lane_row(t->lane, t->first + i), *was = &t->done[i];
        if (row->status != was->status || row->out_len != was->out_len)
            return i;
        if (memcmp(tg_lane_out(t->lane, t->first + i), t->out + (size_t)i * t->lane->out_stride,
                   row->out_len) != 0)
            return i;
    }
    return t->count;
}

/* ---- the runs -------------------------------------------------------------------------------- */

enum way { ROW_BY_ROW, ONE_BATCH, BACKWARDS, ON_THREADS, WAYS };

static const char *const way_names[WAYS] = {[ROW_BY_ROW] = "row by row",
                                            [ONE_BATCH] = "in one batch",
                                            [BACKWARDS] = "backwards",
                                            [ON_THREADS] = "on 4 threads"};

static int run_way(const struct bench *t, enum way way)
{
    uint32_t max = t->h->instance->max_batch;
    switch (way) {
    case ROW_BY_ROW:
        return run_rows(t, forwards, 0, 1, 1);
    case ONE_BATCH:
        return run_rows(t, forwards, 0, 1, max);
    case BACKWARDS:
        return run_rows(t, backwards, 0, 1, max);
    default:
        return run_threads(t);
    }
}

static bool check_way(const struct bench *t, enum way way)
{
    harness_step(t->h, "run_batch: %u rows %s", t->count, way_names[way]);
    prepare(t);
    int rc = run_way(t, way);
    if (rc)
        return harness_fail(t->h, "run_batch: returned %d (%s)", rc, way_names[way]);
    const char *what = trespass(t);
    if (what)
        return harness_fail(t->h, "run_batch: %s (%s)", what, way_names[way]);
    if (way == ROW_BY_ROW)
        remember(t);
    uint32_t i = first_difference(t);
    if (i < t->count)
        return harness_fail(t->h, "run_batch: row %u gives other bytes %s than row by row", i,
                            way_names[way]);
    return true;
}

static bool bench_init(struct bench *t, struct harness *h, struct tg_lane *lane)
{
    uint32_t count = tg_lane_used(lane);
    *t = (struct bench){.h = h, .lane = lane, .first = lane->retired, .count = count};
    t->rows = calloc(count, sizeof(*t->rows));
    t->done = calloc(count, sizeof(*t->done));
    t->in = calloc(count, lane->in_stride);
    t->out = calloc(count, lane->out_stride);
    if (!t->rows || !t->done || !t->in || !t->out)
        return harness_fail(h, "run_batch: out of memory");
    for (uint32_t i = 0; i < count; i++) {
        t->rows[i] = *tg_lane_row(lane, t->first + i);
        memcpy(t->in + (size_t)i * lane->in_stride, tg_lane_in(lane, t->first + i), lane->in_stride);
    }
    return true;
}

static void bench_finish(struct bench *t)
{
    free(t->rows);
    free(t->done);
    free(t->in);
    free(t->out);
}

static bool check_lane(struct harness *h, struct tg_lane *lane)
{
    struct bench t;
    if (tg_lane_used(lane) == 0)
        return true;
    bool fine = bench_init(&t, h, lane);
    for (int way = ROW_BY_ROW; fine && way < WAYS; way++)
        fine = check_way(&t, (enum way)way);
    bench_finish(&t);
    return fine;
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static uint32_t rows_used(const struct harness *h)
{
    uint32_t n = 0;
    for (uint32_t c = 0; c < h->instance->shape.size_classes; c++)
        n += tg_lane_used(h->lane_list[c]);
    return n;
}

/* A row must stay free at either end, for the check of the rows beside. */
static bool room_left(const struct harness *h)
{
    for (uint32_t c = 0; c < h->instance->shape.size_classes; c++)
        if (tg_lane_used(h->lane_list[c]) + h->instance->shape.rows_per_task_max + 2 >
            h->lane_list[c]->mask + 1)
            return false;
    return rows_used(h) < h->rows;
}

/* Decode the payloads in turn until there are enough rows. Returns the number of tasks. */
static uint32_t decode_tasks(struct harness *h, struct harness_task *tasks)
{
    uint32_t n = 0, refused = 0;
    for (uint32_t i = 0; n < TASKS_MAX && refused < h->payload_count && room_left(h); i++) {
        struct harness_task *t = &tasks[n];
        struct tg_json_error json_err;
        struct tg_error err = {.message = ""};
        t->payload = h->payloads[i % h->payload_count];
        size_t len = strlen(t->payload);
        struct tg_json_doc doc = {.capacity = (uint32_t)(len / 2 + 1)};
        doc.nodes = malloc(doc.capacity * sizeof(*doc.nodes));
        t->rows = (struct tg_rows){.lanes = h->lane_list, .lane_count = h->instance->shape.size_classes};
        bool ok = doc.nodes && tg_json_parse(&doc, t->payload, len, &json_err) == 0 &&
                  h->instance->runner->decode(h->instance->self, &(struct tg_request){&doc, doc.nodes},
                                              &t->rows, &err) == TG_OK;
        free(doc.nodes);
        if (!ok)
            harness_unclaim(&t->rows);
        refused = ok ? 0 : refused + 1;
        n += ok;
    }
    return n;
}

static bool all_rows_ok(const struct tg_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++)
        if (tg_rows_row(rows, i)->status != TG_OK)
            return false;
    return true;
}

/* The texts of all answers, one behind the other. NULL when a rule was broken. */
static char *encode_tasks(struct harness *h, const struct harness_task *tasks, uint32_t count, size_t *total)
{
    char *all = calloc(1, 1);
    *total = 0;
    for (uint32_t i = 0; all && i < count; i++) {
        size_t len = 0;
        if (!all_rows_ok(&tasks[i].rows))
            continue;
        char *text = harness_encode(h, &tasks[i], &len);
        char *more = text ? realloc(all, *total + len + 1) : NULL;
        if (more)
            memcpy(more + *total, text, len);
        else
            free(all);
        free(text);
        all = more;
        *total += len;
    }
    return all;
}

/* Everything once: rows that held @fill before, all the runs, the answers. */
static char *whole_pass(struct harness *h, struct harness_task *tasks, int fill, uint32_t *count,
                        size_t *total)
{
    harness_step(h, "decode: for run_batch");
    harness_lanes_reset(h, fill);
    *count = decode_tasks(h, tasks);
    for (uint32_t c = 0; c < h->instance->shape.size_classes; c++)
        if (!check_lane(h, h->lane_list[c]))
            return NULL;
    if (*count > 0 && all_rows_ok(&tasks[0].rows) && !harness_encode_keeps_nothing(h, &tasks[0]))
        return NULL;
    return encode_tasks(h, tasks, *count, total);
}

static void compare_passes(struct harness *h, struct harness_task *tasks)
{
    uint32_t count = 0, again = 0;
    size_t total = 0, total_again = 0;
    char *first = whole_pass(h, tasks, HARNESS_FILL, &count, &total);
    uint32_t rows = rows_used(h);
    char *second = first ? whole_pass(h, tasks, 0x5a, &again, &total_again) : NULL;
    if (first && second && count == 0)
        harness_skip(h, "run_batch and encode: no payload was accepted, give one with --payload");
    else if (first && second && (total != total_again || memcmp(first, second, total) != 0))
        harness_fail(h, "encode: the answer depends on what the rows held before");
    else if (first && second) {
        harness_ok(
            h, "run_batch: %u rows give the same bytes row by row, in one batch, backwards and on %d threads",
            rows, THREADS);
        harness_ok(h, "encode: %u answers are JSON, stay in the buffer, leave nothing allocated", count);
    }
    free(first);
    free(second);
}

void harness_check_run(struct harness *h)
{
    struct harness_task *tasks = calloc(TASKS_MAX, sizeof(*tasks));
    if (tasks)
        compare_passes(h, tasks);
    else
        harness_fail(h, "run_batch: out of memory");
    free(tasks);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker and one executor thread drive a lane with random bulk sizes, give-backs, out-of-order completion
 * and out-of-order retirement, from cursors just before 2^32, on lanes from the smallest size up. Every row
 * is checked at both ends.
 *
 * lane_handoff [rows [seed]]
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include "tests/support/lane_fixture.h"
#include "tests/support/row_content.h"

#define SPANS_MAX 8
#define BURST_MAX 32

static const uint32_t sizes[] = {2, 4, 64, 1024};

struct run {
    struct tg_lane *lane;
    uint32_t start;
    uint64_t rows, seed;
};

/* ---- executor ---- */

struct span {
    uint32_t first, count;
};

struct executor {
    struct tg_lane *lane;
    uint64_t random, taken, rows;
    uint32_t span_count;
    struct span spans[SPANS_MAX];
};

static bool take_some(struct executor *ex)
{
    uint32_t ready = tg_lane_ready(ex->lane);
    if (ready == 0 || ex->span_count == SPANS_MAX)
        return false;
    STRESS_CHECK(ready <= ex->lane->mask + 1);
    uint32_t n = 1 + stress_below(&ex->random, TG_MIN(ready, BURST_MAX)), first = tg_lane_take(ex->lane, n);
    for (uint32_t i = 0; i < n; i++) {
        STRESS_CHECK(row_is_whole(ex->lane, first + i, ex->taken++));
        row_answer(ex->lane, first + i);
    }
    ex->spans[ex->span_count++] = (struct span){first, n};
    return true;
}

static bool complete_any(struct executor *ex)
{
    if (ex->span_count == 0)
        return false;
    uint32_t i = stress_below(&ex->random, ex->span_count);
    tg_lane_complete(ex->lane, ex->spans[i].first, ex->spans[i].count);
    ex->spans[i] = ex->spans[--ex->span_count];
    return true;
}

static void *executor_main(void *arg)
{
    const struct run *run = arg;
    struct executor ex = {.lane = run->lane, .random = ~run->seed, .rows = run->rows};
    while (ex.taken < ex.rows || ex.span_count > 0) {
        bool took = take_some(&ex);
        /* Now and then a span stays open while others pass it; with nothing new to take one must be closed.
         */
        bool moved = (!took || stress_below(&ex.random, 4) > 0) && complete_any(&ex);
        if (!took && !moved)
            sched_yield();
    }
    return NULL;
}

/* ---- worker ---- */

struct worker {
    struct tg_lane *lane;
    uint32_t start, held_count;
    uint64_t random, claimed, retired, rows;
    uint32_t held[2 * BURST_MAX]; /* reaped, not yet retired */
    bool *answered;               /* by slot: a row must not be completed twice */
};

static bool send_some(struct worker *w)
{
    uint32_t n = 1 + stress_below(&w->random, TG_MIN(w->lane->mask + 1, BURST_MAX)), first, back = 0;
    n = (uint32_t)TG_MIN(n, w->rows - w->claimed);
    if (n == 0 || tg_lane_claim(w->lane, n, &first) != 0)
        return false;
    STRESS_CHECK(first == w->start + (uint32_t)w->claimed);
    for (uint32_t i = 0; i < n; i++)
        row_fill(w->lane, first + i, w->claimed + i);
    if (stress_below(&w->random, 8) == 0)
        back = stress_below(&w->random, n + 1);
    tg_lane_unclaim(w->lane, back);
    w->claimed += n - back;
    if (stress_below(&w->random, 4) > 0)
        tg_lane_publish(w->lane);
    return true;
}

/* The sequence number of an in-flight row follows from its cursor, as fewer than 2^32 are in flight. */
static uint64_t sequence_of(const struct worker *w, uint32_t cursor)
{
    return w->retired + (uint32_t)(cursor - (w->start + (uint32_t)w->retired));
}

static bool reap_some(struct worker *w)
{
    uint32_t room = (uint32_t)TG_ARRAY_SIZE(w->held) - w->held_count;
    uint32_t *cursors = w->held + w->held_count;
    uint32_t max = 1 + stress_below(&w->random, BURST_MAX);
    uint32_t n = tg_lane_reap(w->lane, cursors, TG_MIN(room, max));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t sequence = sequence_of(w, cursors[i]);
        STRESS_CHECK(sequence < w->claimed);
        STRESS_CHECK(!w->answered[cursors[i] & w->lane->mask]);
        STRESS_CHECK(row_is_answered(w->lane, cursors[i], sequence));
        w->answered[cursors[i] & w->lane->mask] = true;
    }
    w->held_count += n;
    return n > 0;
}

static bool retire_some(struct worker *w)
{
    if (w->held_count == 0)
        return false;
    uint32_t used = tg_lane_used(w->lane);
    for (uint32_t n = 1 + stress_below(&w->random, w->held_count); n > 0; n--) {
        uint32_t i = stress_below(&w->random, w->held_count), cursor = w->held[i];
        w->held[i] = w->held[--w->held_count];
        w->answered[cursor & w->lane->mask] = false;
        tg_lane_retire(w->lane, cursor);
    }
    w->retired += used - tg_lane_used(w->lane);
    return true;
}

static void worker_main(const struct run *run)
{
    struct worker w = {.lane = run->lane, .start = run->start, .random = run->seed, .rows = run->rows};
    w.answered = calloc(run->lane->mask + 1, sizeof(*w.answered));
    STRESS_CHECK(w.answered != NULL);
    while (w.retired < w.rows) {
        bool sent = send_some(&w), reaped = reap_some(&w), retired = retire_some(&w);
        if (sent || reaped || retired) {
            stress_progress();
            continue;
        }
        tg_lane_publish(w.lane); /* full or at the end: whatever is still held back must go now */
        sched_yield();
    }
    STRESS_CHECK(tg_lane_used(w.lane) == 0);
    free(w.answered);
}

static void run_size(uint32_t size, uint64_t rows, uint64_t *random)
{
    const struct tg_lane_options o = {.rows = size, .in_stride = 128, .out_stride = 64};
    struct lane_fixture f;
    struct run run = {.lane = lane_fixture_init(&f, &o, TG_ARENA_PRIVATE), .rows = rows};
    run.start = UINT32_MAX - stress_below(random, 4096);
    run.seed = stress_random(random);
    lane_start_at(run.lane, run.start, UINT32_MAX - stress_below(random, 4096));
    pthread_t executor;
    uint64_t begin = stress_now_ns();
    STRESS_CHECK(pthread_create(&executor, NULL, executor_main, &run) == 0);
    worker_main(&run);
    STRESS_CHECK(pthread_join(executor, NULL) == 0);
    printf("  %4u rows in the lane: %llu passed, %.1f ns each\n", size, (unsigned long long)rows,
           (double)(stress_now_ns() - begin) / (double)rows);
    lane_fixture_finish(&f);
}

int main(int argc, char **argv)
{
    struct stress s = stress_begin(argc, argv, 0, 4000000, 200000);
    for (size_t i = 0; i < TG_ARRAY_SIZE(sizes); i++) {
        /* The smallest lanes are all waiting, so they get fewer rows. */
        uint64_t share = sizes[i] <= 4 ? s.count / 32 : s.count / 2 - s.count / 32;
        run_size(sizes[i], TG_MAX(share, 1), &s.seed);
    }
    return 0;
}

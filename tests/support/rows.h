/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lanes and rows for tests that drive a device or a runner without worker and executor: one thread plays
 * both. Plain assertions, so that Criterion tests and programs with a main() of their own can share it.
 */
#ifndef TG_TEST_ROWS_H
#define TG_TEST_ROWS_H

#include <string.h>
#include <time.h>
#include "tg/lane.h"
#include "tg/runner.h"

/* What untouched output memory looks like. */
#define TEST_CANARY 0xA5

struct test_lane {
    struct tg_arena arena;
    struct tg_lane *lane;
};

/* A lane of @rows rows in memory of its own, output rows full of canaries. */
static inline void test_lane_open(struct test_lane *t, uint32_t rows, uint32_t in_stride, uint32_t out_stride)
{
    struct tg_lane_options o = {.rows = rows, .in_stride = in_stride, .out_stride = out_stride};

    TG_ASSERT(tg_arena_init(&t->arena, tg_lane_bytes(&o) + 8192, TG_ARENA_PRIVATE) == 0);
    t->lane = tg_lane_create(&t->arena, &o);
    TG_ASSERT(t->lane != NULL);
    memset(tg_lane_out(t->lane, 0), TEST_CANARY, (size_t)rows * out_stride);
}

static inline void test_lane_close(struct test_lane *t)
{
    tg_arena_finish(&t->arena);
}

/* Claim, publish and take @n rows, which must be free. Returns the cursor of the first. */
static inline uint32_t test_rows_take(struct tg_lane *lane, uint32_t n)
{
    uint32_t first;

    TG_ASSERT(tg_lane_claim(lane, n, &first) == 0);
    tg_lane_publish(lane);
    TG_ASSERT(tg_lane_ready(lane) == n);
    return tg_lane_take(lane, n);
}

/* What the batch former writes before a batch starts. */
static inline void test_rows_start(struct tg_lane *lane, uint32_t first, uint32_t n, uint64_t now_ns)
{
    for (uint32_t i = 0; i < n; i++) {
        struct tg_row *row = tg_lane_row(lane, first + i);
        row->start_ns = now_ns;
        row->batch_rows = n;
        row->status = TG_OK;
        row->out_len = lane->out_stride;
    }
}

/* The one or two segments of @n rows (two if they wrap round the end of the ring). Returns how many. */
static inline uint32_t test_rows_segments(struct tg_lane *lane, uint32_t first, uint32_t n,
                                          struct tg_segment *segments)
{
    uint32_t head = TG_MIN(n, lane->mask + 1 - (first & lane->mask)), count = 0;

    for (uint32_t done = 0; done < n; done = count == 1 ? head : n) {
        uint32_t cursor = first + done;
        segments[count++] = (struct tg_segment){.in = tg_lane_in(lane, cursor),
                                                .out = tg_lane_out(lane, cursor),
                                                .rows = tg_lane_row(lane, cursor),
                                                .count = done == 0 ? head : n - head};
    }
    return count;
}

/* Complete, reap and retire @n rows: they are free again. */
static inline void test_rows_retire(struct tg_lane *lane, uint32_t first, uint32_t n)
{
    tg_lane_complete(lane, first, n);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t cursor;
        TG_ASSERT(tg_lane_reap(lane, &cursor, 1) == 1);
        tg_lane_retire(lane, cursor);
    }
}

/* CLOCK_MONOTONIC, also as the `now_ns` of a struct tg_host. */
static inline uint64_t test_now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* xorshift64*: seeded, so that a failing run can be had again. */
static inline uint32_t test_random(uint64_t *state, uint32_t below)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545f4914f6cdd1du) >> 32) % below;
}

#endif

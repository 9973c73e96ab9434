/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over lanes: at each instant at which an executor may have died, exactly the rows that are out are found. */
#include <criterion/criterion.h>
#include "gpu/recover.h"
#include "tests/support/lane_fixture.h"

#define ROWS 4
#define LATE 1000
#define NOW 500

static struct lane_fixture fixture;
static struct tg_lane *lane;
static struct recovery recovery;
static struct recovery_counts counts;

static void open_lane(void)
{
    const struct tg_lane_options o = {.rows = ROWS, .in_stride = 64, .out_stride = 64, .recoverable = true};
    lane = lane_fixture_init(&fixture, &o, TG_ARENA_PRIVATE);
    counts = (struct recovery_counts){0};
}

static void close_lane(void)
{
    recovery_finish(&recovery);
    lane_fixture_finish(&fixture);
}

TestSuite(recover, .init = open_lane, .fini = close_lane);

static void put(uint32_t n, uint64_t deadline_ns)
{
    uint32_t first = 0;
    cr_assert_eq(tg_lane_claim(lane, n, &first), 0);
    for (uint32_t i = 0; i < n; i++)
        tg_lane_row(lane, first + i)->deadline_ns = deadline_ns;
    tg_lane_publish(lane);
}

/* Reaps and retires all; returns how many had @status. */
static uint32_t take_back(enum tg_status status)
{
    uint32_t cursor, n = 0;
    while (tg_lane_reap(lane, &cursor, 1) == 1) {
        n += tg_lane_row(lane, cursor)->status == status;
        tg_lane_retire(lane, cursor);
    }
    return n;
}

static void take_over(void)
{
    recovery_finish(&recovery);
    counts = (struct recovery_counts){0};
    cr_assert_eq(recovery_init(&recovery, &lane, 1, NOW, &counts), 0);
}

/* The cursors that are to be run again, in order. */
static void assert_out(uint32_t n, const uint32_t *cursors)
{
    take_over();
    cr_assert_eq(recovery.rows, n, "%u rows are out, not %u", recovery.rows, n);
    for (uint32_t i = 0; i < n; i++) {
        cr_assert_eq(recovery_lane(&recovery, NOW, &counts), lane);
        struct batch_span s = recovery_next(&recovery, NOW, 64);
        cr_assert_eq(s.count, 1, "each alone");
        cr_assert_eq(s.first, cursors[i], "row %u, not %u", s.first, cursors[i]);
    }
    cr_assert_null(recovery_lane(&recovery, NOW, &counts));
}

Test(recover, a_lane_that_was_never_used_has_nothing_out)
{
    assert_out(0, NULL);
}

Test(recover, rows_that_were_taken_and_not_completed_are_out)
{
    put(4, LATE);
    tg_lane_take(lane, 3);
    tg_lane_complete(lane, 1, 1);
    assert_out(2, (uint32_t[]){0, 2});
    cr_assert_eq(tg_lane_ready(lane), 1, "what nobody took waits as before");
}

Test(recover, died_between_marking_rows_and_taking_them)
{
    put(4, LATE);
    tg_lane_complete(lane, tg_lane_take(lane, 4), 4);
    take_back(TG_OK);
    put(3, LATE);
    tg_lane_take(lane, 1);
    tg_lane_mark_out(lane, lane->taken, 2); /* these slots' former rows, 1 and 2, are done and gone */
    assert_out(1, (uint32_t[]){4});
}

/* The first half of tg_lane_complete(), @n rows of it. */
static void begin_to_complete(uint32_t first, uint32_t n)
{
    uint32_t done = atomic_load(&lane->done);
    for (uint32_t i = 0; i < n; i++)
        tg_lane_row(lane, first + i)->done_at = done + i;
}

Test(recover, died_while_completing)
{
    put(4, LATE);
    tg_lane_take(lane, 4);
    begin_to_complete(0, 3);
    assert_out(4, (uint32_t[]){0, 1, 2, 3});
}

Test(recover, numbers_of_a_completion_that_was_cut_short_do_not_come_true)
{
    put(4, LATE);
    tg_lane_take(lane, 4);
    begin_to_complete(0, 3);
    take_over();
    tg_lane_complete(lane, 3, 1); /* `done` has now passed the number that row 0 was to have */
    assert_out(3, (uint32_t[]){0, 1, 2});
}

Test(recover, a_row_held_by_a_slow_client_is_not_out_though_its_completion_was_overwritten)
{
    uint32_t cursor;
    put(4, LATE);
    tg_lane_take(lane, 4);
    tg_lane_complete(lane, 3, 1);
    cr_assert_eq(tg_lane_reap(lane, &cursor, 1), 1); /* row 3, and it is kept */
    tg_lane_complete(lane, 0, 3);
    take_back(TG_OK);
    put(3, LATE);
    tg_lane_complete(lane, tg_lane_take(lane, 2), 2);
    tg_lane_take(lane, 1);
    assert_out(1, (uint32_t[]){6});
}

Test(recover, cursors_may_wrap)
{
    lane_start_at(lane, UINT32_MAX - 1, UINT32_MAX - 1);
    put(4, LATE);
    tg_lane_take(lane, 4);
    tg_lane_complete(lane, UINT32_MAX, 1);
    assert_out(3, (uint32_t[]){UINT32_MAX - 1, 0, 1});
}

Test(recover, a_row_that_was_in_two_dying_batches_is_poison)
{
    put(2, LATE);
    tg_lane_take(lane, 2);
    take_over();
    recovery_lane(&recovery, NOW, &counts);
    recovery_next(&recovery, NOW, 64); /* row 0 is handed out, and its process dies; row 1 was still waiting */
    assert_out(1, (uint32_t[]){1});
    cr_assert_eq(counts.poisoned, 1);
    cr_assert_eq(take_back(TG_POISON), 1);
}

Test(recover, rows_whose_deadline_has_passed_are_answered_at_once_or_on_the_way)
{
    put(1, NOW);
    put(2, NOW + 1);
    tg_lane_take(lane, 3);
    take_over();
    cr_assert_eq(counts.expired, 1);
    cr_assert_eq(recovery.rows, 2);
    cr_assert_null(recovery_lane(&recovery, NOW + 1, &counts));
    cr_assert_eq(counts.expired, 3);
    cr_assert_eq(take_back(TG_TIMEOUT), 3);
}

Test(recover, a_withdrawn_device_refuses_what_is_out_and_what_waits)
{
    put(4, LATE);
    tg_lane_take(lane, 2);
    tg_lane_row(lane, 0)->attempts = RECOVERY_ATTEMPTS_MAX;
    recovery_refuse(&lane, 1, &counts);
    cr_assert_eq(counts.poisoned, 1);
    cr_assert_eq(counts.refused, 3);
    cr_assert_eq(take_back(TG_DEVICE), 3);
    cr_assert_eq(tg_lane_used(lane), 0);
}

Test(recover, many_rows_go_some_at_a_time)
{
    enum { MANY = 1024 };
    const struct tg_lane_options o = {.rows = MANY, .in_stride = 64, .out_stride = 64, .recoverable = true};
    lane_fixture_finish(&fixture);
    lane = lane_fixture_init(&fixture, &o, TG_ARENA_PRIVATE);
    put(MANY, LATE);
    tg_lane_take(lane, MANY);
    take_over();
    uint32_t batches = 0, rows = 0;
    for (; recovery_lane(&recovery, NOW, &counts); batches++)
        rows += recovery_next(&recovery, NOW, 3).count;
    cr_assert_eq(rows, MANY);
    cr_assert_eq(batches, (MANY + 2) / 3, "never more than the instance's batch");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The lane with worker and executor played by one thread: every transition, at both ends of the cursor range.
 */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <signal.h>
#include <sys/mman.h>
#include "tests/support/lane_fixture.h"

static struct lane_fixture fixture;

static struct tg_lane *make(uint32_t rows)
{
    const struct tg_lane_options o = {.rows = rows, .in_stride = 128, .out_stride = 64, .bit = 7};
    return lane_fixture_init(&fixture, &o, TG_ARENA_PRIVATE);
}

static uint32_t claim(struct tg_lane *l, uint32_t n)
{
    uint32_t first = 0;
    cr_assert_eq(tg_lane_claim(l, n, &first), 0);
    return first;
}

static uint32_t reap_one(struct tg_lane *l)
{
    uint32_t cursor = 0;
    cr_assert_eq(tg_lane_reap(l, &cursor, 1), 1);
    return cursor;
}

Test(lane, keeps_what_its_options_say)
{
    const struct tg_lane_options o = {.rows = 16,
                                      .in_stride = 192,
                                      .out_stride = 64,
                                      .worker = 3,
                                      .runner = 9,
                                      .priority = 2,
                                      .size_class = 1,
                                      .bit = 200};
    struct tg_lane *l = lane_fixture_init(&fixture, &o, TG_ARENA_PRIVATE);
    cr_assert_eq(l->mask, 15);
    cr_assert_eq(l->in_stride, 192);
    cr_assert_eq(l->out_stride, 64);
    cr_assert_eq(l->worker, 3);
    cr_assert_eq(l->runner, 9);
    cr_assert_eq(l->priority, 2);
    cr_assert_eq(l->size_class, 1);
    cr_assert_eq(l->bit, 200);
}

Test(lane, rows_lie_on_pages_and_no_two_areas_meet)
{
    struct tg_lane *l = make(8);
    char *begin = (char *)l,
         *end =
             begin + tg_lane_bytes(&(struct tg_lane_options){.rows = 8, .in_stride = 128, .out_stride = 64});
    cr_assert_eq((uintptr_t)tg_lane_in(l, 0) % 4096, 0);
    cr_assert_eq((uintptr_t)tg_lane_out(l, 0) % 4096, 0);
    cr_assert_eq((uintptr_t)tg_lane_row(l, 0) % 64, 0);
    cr_assert_geq(l->completions_offset, sizeof(struct tg_lane));
    cr_assert_geq(l->rows_offset, l->completions_offset + 8 * sizeof(uint32_t));
    cr_assert_geq(l->in_offset, l->rows_offset + 8 * sizeof(struct tg_row));
    cr_assert_geq(l->out_offset, l->in_offset + 8 * 128);
    cr_assert_leq((void *)((char *)tg_lane_out(l, 7) + 64), (void *)end);
}

Test(lane, rows_of_one_kind_lie_one_behind_the_other)
{
    struct tg_lane *l = make(4);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq((char *)tg_lane_in(l, i) + 128, (char *)tg_lane_in(l, i + 1));
        cr_assert_eq((char *)tg_lane_out(l, i) + 64, (char *)tg_lane_out(l, i + 1));
        cr_assert_eq(tg_lane_row(l, i) + 1, tg_lane_row(l, i + 1));
    }
    cr_assert_eq(tg_lane_in(l, 4), tg_lane_in(l, 0));
    cr_assert_eq(tg_lane_in(l, UINT32_MAX), tg_lane_in(l, 3));
}

Test(lane, is_refused_by_an_arena_too_small)
{
    struct tg_arena a;
    const struct tg_lane_options o = {.rows = 64, .in_stride = 64, .out_stride = 64};
    cr_assert_eq(tg_arena_init(&a, tg_lane_bytes(&o) - 1, TG_ARENA_PRIVATE), 0);
    cr_assert_null(tg_lane_create(&a, &o));
    tg_arena_finish(&a);
}

Test(lane, sums_of_the_largest_lane_do_not_overflow)
{
    const struct tg_lane_options o = {.rows = UINT32_C(1) << 31, .in_stride = 1 << 30, .out_stride = 1 << 30};
    cr_assert_gt(tg_lane_bytes(&o), (size_t)1 << 62);
}

Test(lane, may_have_no_output_rows)
{
    const struct tg_lane_options o = {.rows = 2, .in_stride = 64, .out_stride = 0};
    struct tg_lane *l = lane_fixture_init(&fixture, &o, TG_ARENA_PRIVATE);
    cr_assert_eq(tg_lane_out(l, 0), tg_lane_out(l, 1));
}

struct bad_options {
    struct tg_lane_options o;
};

ParameterizedTestParameters(lane, bad_options_stop_the_process)
{
    static struct bad_options bad[] = {
        {{.rows = 0, .in_stride = 64, .out_stride = 64}},
        {{.rows = 1, .in_stride = 64, .out_stride = 64}},
        {{.rows = 48, .in_stride = 64, .out_stride = 64}},
        {{.rows = 4, .in_stride = 65, .out_stride = 64}},
        {{.rows = 4, .in_stride = 64, .out_stride = 32}},
        {{.rows = 4, .in_stride = UINT32_C(1) << 31, .out_stride = 64}},
    };
    return cr_make_param_array(struct bad_options, bad, TG_ARRAY_SIZE(bad));
}

ParameterizedTest(struct bad_options *bad, lane, bad_options_stop_the_process, .signal = SIGABRT)
{
    tg_lane_bytes(&bad->o);
}

Test(lane, claimed_rows_are_invisible_until_published)
{
    struct tg_lane *l = make(4);
    cr_assert_eq(claim(l, 2), 0);
    cr_assert_eq(tg_lane_ready(l), 0);
    tg_lane_publish(l);
    cr_assert_eq(tg_lane_ready(l), 2);
    cr_assert_eq(tg_lane_take(l, 1), 0);
    cr_assert_eq(tg_lane_ready(l), 1);
}

Test(lane, claim_is_all_or_nothing)
{
    struct tg_lane *l = make(8);
    claim(l, 5);
    uint32_t first = 77;
    cr_assert_eq(tg_lane_claim(l, 4, &first), -EAGAIN);
    cr_assert_eq(first, 77);
    cr_assert_eq(tg_lane_used(l), 5);
    cr_assert_eq(claim(l, 3), 5);
    cr_assert_eq(tg_lane_claim(l, 1, &first), -EAGAIN);
}

Test(lane, unclaim_gives_back_the_rows_claimed_last)
{
    struct tg_lane *l = make(8);
    claim(l, 2);
    cr_assert_eq(claim(l, 3), 2);
    tg_lane_unclaim(l, 3);
    cr_assert_eq(tg_lane_used(l), 2);
    cr_assert_eq(claim(l, 6), 2);
    tg_lane_unclaim(l, 6);
    tg_lane_publish(l);
    cr_assert_eq(tg_lane_ready(l), 2);
}

Test(lane, unclaim_after_all_others_retired_leaves_it_empty)
{
    struct tg_lane *l = make(2);
    claim(l, 1);
    tg_lane_publish(l);
    tg_lane_complete(l, tg_lane_take(l, 1), 1);
    claim(l, 1);
    tg_lane_retire(l, reap_one(l));
    cr_assert_eq(tg_lane_used(l), 1);
    tg_lane_unclaim(l, 1);
    cr_assert_eq(tg_lane_used(l), 0);
    cr_assert_eq(claim(l, 2), 1);
}

Test(lane, nothing_is_reaped_before_it_is_completed)
{
    struct tg_lane *l = make(4);
    uint32_t cursors[4];
    claim(l, 3);
    tg_lane_publish(l);
    cr_assert_eq(tg_lane_reap(l, cursors, 4), 0);
    tg_lane_take(l, 3);
    cr_assert_eq(tg_lane_reap(l, cursors, 4), 0);
    tg_lane_complete(l, 0, 2);
    cr_assert_eq(tg_lane_reap(l, cursors, 4), 2);
    cr_assert_eq(tg_lane_reap(l, cursors, 4), 0);
}

Test(lane, completions_come_back_in_the_order_of_completion)
{
    struct tg_lane *l = make(8);
    claim(l, 8);
    tg_lane_publish(l);
    tg_lane_take(l, 8);
    tg_lane_complete(l, 5, 3);
    tg_lane_complete(l, 0, 1);
    tg_lane_complete(l, 1, 4);
    const uint32_t expected[] = {5, 6, 7, 0, 1, 2, 3, 4};
    uint32_t cursors[8];
    cr_assert_eq(tg_lane_reap(l, cursors, 3), 3, "no more than asked for");
    cr_assert_eq(tg_lane_reap(l, cursors + 3, 8), 5);
    cr_assert_arr_eq(cursors, expected, sizeof(expected));
}

Test(lane, space_comes_back_in_order_whatever_is_retired_first)
{
    struct tg_lane *l = make(4);
    uint32_t cursors[4], first;
    claim(l, 4);
    tg_lane_publish(l);
    tg_lane_complete(l, tg_lane_take(l, 4), 4);
    cr_assert_eq(tg_lane_reap(l, cursors, 4), 4);
    tg_lane_retire(l, 2);
    tg_lane_retire(l, 1);
    cr_assert_eq(tg_lane_used(l), 4, "row 0 is still being read");
    cr_assert_eq(tg_lane_claim(l, 1, &first), -EAGAIN);
    tg_lane_retire(l, 0);
    cr_assert_eq(tg_lane_used(l), 1);
    cr_assert_eq(claim(l, 3), 4);
    tg_lane_retire(l, 3);
    cr_assert_eq(tg_lane_used(l), 3);
}

Test(lane, a_slow_row_does_not_hold_up_the_others_answers)
{
    struct tg_lane *l = make(4);
    claim(l, 4);
    tg_lane_publish(l);
    tg_lane_take(l, 4);
    tg_lane_complete(l, 1, 3);
    for (uint32_t i = 1; i < 4; i++)
        cr_assert_eq(reap_one(l), i);
    tg_lane_complete(l, 0, 1);
    cr_assert_eq(reap_one(l), 0);
}

Test(lane, full_means_full_until_a_row_is_retired)
{
    struct tg_lane *l = make(2);
    uint32_t first;
    for (int turn = 0; turn < 100; turn++) {
        claim(l, 2);
        cr_assert_eq(tg_lane_claim(l, 1, &first), -EAGAIN);
        tg_lane_publish(l);
        cr_assert_eq(tg_lane_ready(l), 2);
        tg_lane_complete(l, tg_lane_take(l, 2), 2);
        cr_assert_eq(tg_lane_claim(l, 1, &first), -EAGAIN);
        uint32_t a = reap_one(l), b = reap_one(l);
        cr_assert_eq(tg_lane_claim(l, 1, &first), -EAGAIN, "reaped is not retired");
        tg_lane_retire(l, b);
        tg_lane_retire(l, a);
        cr_assert_eq(tg_lane_used(l), 0);
    }
}

struct start {
    uint32_t rows, cursor, completions;
};

ParameterizedTestParameters(lane, whole_rows_pass_wherever_the_cursors_stand)
{
    static struct start starts[] = {
        {2, 0, 0},
        {2, UINT32_MAX, UINT32_MAX},
        {2, UINT32_MAX - 1, 5},
        {8, UINT32_MAX - 3, UINT32_MAX - 6},
        {64, INT32_MAX, 3},
        {64, UINT32_MAX - 31, 0},
        {1024, UINT32_MAX - 1023, UINT32_MAX - 1},
    };
    return cr_make_param_array(struct start, starts, TG_ARRAY_SIZE(starts));
}

static void fill(struct tg_lane *l, uint32_t cursor, uint64_t value)
{
    tg_lane_row(l, cursor)->task = value;
    memset(tg_lane_in(l, cursor), (int)(value & 0xff), l->in_stride);
}

static void answer(struct tg_lane *l, uint32_t first, uint32_t n)
{
    for (uint32_t c = first; c != first + n; c++)
        memcpy(tg_lane_out(l, c), tg_lane_in(l, c), l->out_stride);
}

static void check(struct tg_lane *l, uint32_t cursor, uint64_t value)
{
    cr_assert_eq(tg_lane_row(l, cursor)->task, value);
    const unsigned char *out = tg_lane_out(l, cursor);
    cr_assert_eq(out[0], value & 0xff);
    cr_assert_eq(out[l->out_stride - 1], value & 0xff);
}

/* Four times round, in spans of a third of the lane, the last span completed first and retired backwards. */
ParameterizedTest(struct start *start, lane, whole_rows_pass_wherever_the_cursors_stand)
{
    struct tg_lane *l = make(start->rows);
    lane_start_at(l, start->cursor, start->completions);
    uint32_t span = TG_MAX(start->rows / 3, 1), half = span / 2, *cursors = calloc(span, sizeof(*cursors));
    for (uint32_t sent = 0; sent < 4 * start->rows; sent += span) {
        uint32_t first = claim(l, span);
        cr_assert_eq(first, start->cursor + sent);
        for (uint32_t i = 0; i < span; i++)
            fill(l, first + i, sent + i);
        tg_lane_publish(l);
        cr_assert_eq(tg_lane_ready(l), span);
        cr_assert_eq(tg_lane_take(l, span), first);
        answer(l, first, span);
        tg_lane_complete(l, first + half, span - half);
        tg_lane_complete(l, first, half);
        cr_assert_eq(tg_lane_reap(l, cursors, span), span);
        cr_assert_eq(cursors[0], first + half);
        for (uint32_t i = span; i-- > 0;) {
            check(l, cursors[i], sent + (cursors[i] - first));
            tg_lane_retire(l, cursors[i]);
        }
        cr_assert_eq(tg_lane_used(l), 0);
    }
    free(cursors);
}

Test(lane, a_claim_across_the_end_of_the_ring_is_two_pieces)
{
    struct tg_lane *l = make(4);
    lane_start_at(l, UINT32_MAX - 1, 0);
    uint32_t first = claim(l, 4);
    cr_assert_eq(first & l->mask, 2);
    cr_assert_eq(tg_lane_in(l, first + 2), tg_lane_in(l, 0), "cursor 0 again after 2^32");
    cr_assert_eq(tg_lane_used(l), 4);
}

Test(lane, works_through_two_mappings_of_one_arena)
{
    const struct tg_lane_options o = {.rows = 4, .in_stride = 64, .out_stride = 64};
    struct tg_lane *worker = lane_fixture_init(&fixture, &o, TG_ARENA_SHARED);
    char *base = mmap(NULL, fixture.arena.size, PROT_READ | PROT_WRITE, MAP_SHARED, fixture.arena.fd, 0);
    cr_assert_neq((void *)base, MAP_FAILED);
    struct tg_lane *executor = (void *)(base + ((char *)worker - fixture.arena.base));
    fill(worker, claim(worker, 1), 33);
    tg_lane_publish(worker);
    cr_assert_eq(tg_lane_ready(executor), 1);
    uint32_t taken = tg_lane_take(executor, 1);
    answer(executor, taken, 1);
    tg_lane_complete(executor, taken, 1);
    uint32_t cursor = reap_one(worker);
    check(worker, cursor, 33);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The batch former's promises, one by one. */
#include "batch_rig.h"

#define NOW (100 * SECOND)
#define FAR (NOW + 1000 * SECOND)

TestSuite(batch, .fini = rig_close);

static struct batch_lane *lane_of(enum tg_priority p)
{
    return rig_lane(0, p, 0);
}

Test(batch, nothing_waits_nothing_forms)
{
    rig_open(8, 0, 0);
    cr_assert_eq(rig_form(NOW), 0);
    cr_assert_eq(rig.outcome.hold_until_ns, 0);
}

Test(batch, a_lone_row_goes_at_once)
{
    rig_open(8, 0, 0);
    struct tg_row *row = rig_put(lane_of(TG_BATCH), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 1);
    cr_assert_eq(row->start_ns, NOW);
    cr_assert_eq(row->batch_rows, 1);
    cr_assert_eq(row->status, TG_OK);
    cr_assert_eq(row->out_len, 128);
    cr_assert_eq(rig_form(NOW), 0, "and is gone");
}

Test(batch, takes_what_waits_up_to_max_batch)
{
    rig_open(8, 0, 0);
    for (uint32_t i = 0; i < 11; i++)
        rig_put(lane_of(TG_BATCH), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 8);
    cr_assert_eq(rig_form(NOW), 3);
    cr_assert_eq(rig_form(NOW), 0);
}

Test(batch, never_mixes_size_classes)
{
    rig_open(8, 0, 0);
    rig_put(rig_lane(0, TG_BATCH, 0), NOW, FAR);
    rig_put(rig_lane(1, TG_BATCH, 0), NOW + 1, FAR);
    cr_assert_eq(rig_form(NOW), 1);
    cr_assert_eq(rig.batch.in_stride, 64);
    cr_assert_eq(rig_form(NOW), 1);
    cr_assert_eq(rig.batch.in_stride, 128);
}

Test(batch, the_size_class_of_the_most_urgent_row_goes_first)
{
    rig_open(8, 0, 0);
    rig_put(rig_lane(0, TG_BATCH, 0), NOW, FAR);
    rig_put(rig_lane(1, TG_REALTIME, 0), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 1);
    cr_assert_eq(rig.batch.in_stride, 128);
}

Test(batch, lanes_of_a_class_take_turns_at_the_larger_share)
{
    uint32_t taken[RIG_TWINS] = {0};
    rig_open(6, 0, 0);
    for (uint32_t i = 0; i < 20; i++)
        for (uint32_t twin = 0; twin < RIG_TWINS; twin++)
            rig_put(rig_lane(0, TG_BATCH, twin), NOW, FAR);
    for (uint32_t round = 0; round < RIG_TWINS; round++) {
        cr_assert_eq(rig_form(NOW), 6);
        for (uint32_t twin = 0; twin < RIG_TWINS; twin++) {
            uint32_t rows = rig_rows_of(rig_lane(0, TG_BATCH, twin));
            cr_assert(rows >= 1 && rows <= 3, "lane %u has %u of 6", twin, rows);
            taken[twin] += rows;
        }
    }
    for (uint32_t twin = 0; twin < RIG_TWINS; twin++)
        cr_assert_eq(taken[twin], 6);
}

Test(batch, what_one_lane_leaves_the_others_take)
{
    rig_open(6, 0, 0);
    rig_put(rig_lane(0, TG_BATCH, 0), NOW, FAR);
    for (uint32_t i = 0; i < 20; i++)
        rig_put(rig_lane(0, TG_BATCH, 1), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 6);
    cr_assert_eq(rig_rows_of(rig_lane(0, TG_BATCH, 1)), 5);
}

/* ---- priority -------------------------------------------------------------------------------------- */

/* A class's head start over realtime, as documented: 10 ms, 100 ms, 1 s. */
static const uint64_t head_start[TG_PRIORITIES] = {0, 10 * MS, 100 * MS, 1000 * MS};

Test(batch, within_its_head_start_the_higher_class_goes_first)
{
    for (uint32_t low = TG_INTERACTIVE; low < TG_PRIORITIES; low++) {
        rig_open(1, 0, 0);
        rig_put(lane_of((enum tg_priority)low), NOW, FAR);
        rig_put(lane_of(TG_REALTIME), NOW + head_start[low] - 1, FAR);
        cr_assert_eq(rig_form(NOW + SECOND), 1);
        cr_assert_eq(rig_rows_of(lane_of(TG_REALTIME)), 1, "class %u", low);
        rig_close();
    }
    rig_open(1, 0, 0);
}

Test(batch, beyond_the_head_start_the_older_row_goes_first)
{
    for (uint32_t low = TG_INTERACTIVE; low < TG_PRIORITIES; low++) {
        rig_open(1, 0, 0);
        rig_put(lane_of((enum tg_priority)low), NOW, FAR);
        rig_put(lane_of(TG_REALTIME), NOW + head_start[low] + 1, FAR);
        cr_assert_eq(rig_form(NOW + SECOND), 1);
        cr_assert_eq(rig_rows_of(lane_of((enum tg_priority)low)), 1, "class %u", low);
        rig_close();
    }
    rig_open(1, 0, 0);
}

Test(batch, an_endless_stream_of_realtime_starves_nobody)
{
    uint32_t waited = 0;
    rig_open(1, 0, 0);
    rig_put(lane_of(TG_BEST_EFFORT), NOW, FAR);
    do {
        uint64_t now = NOW + ++waited * MS;
        rig_put(lane_of(TG_REALTIME), now, FAR);
        cr_assert_eq(rig_form(now), 1);
        tg_lane_complete(rig.batch.spans[0].lane, rig.batch.spans[0].first, 1);
        rig_reap(lane_of(TG_REALTIME), TG_OK);
    } while (rig_rows_of(lane_of(TG_BEST_EFFORT)) == 0 && waited < 5000);
    cr_assert_eq(waited, 1001, "served after its head start of 1 s, not after %u ms", waited);
}

Test(batch, room_that_urgent_rows_leave_goes_to_the_next_class)
{
    rig_open(4, 0, 0);
    rig_put(lane_of(TG_REALTIME), NOW, FAR);
    for (uint32_t i = 0; i < 9; i++)
        rig_put(lane_of(TG_BEST_EFFORT), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 4);
    cr_assert_eq(rig_rows_of(lane_of(TG_REALTIME)), 1);
    cr_assert_eq(rig_rows_of(lane_of(TG_BEST_EFFORT)), 3);
}

/* ---- deadlines ------------------------------------------------------------------------------------- */

Test(batch, at_its_deadline_a_row_is_answered_and_not_started)
{
    rig_open(4, 0, 0);
    struct tg_row *dead = rig_put(lane_of(TG_BATCH), NOW - 5, NOW),
                  *alive = rig_put(lane_of(TG_BATCH), NOW, NOW + 1);
    cr_assert_eq(rig_form(NOW), 1);
    cr_assert_eq(alive->start_ns, NOW);
    cr_assert_eq(rig.outcome.expired, 1);
    cr_assert_eq(rig.dropped_calls, 1);
    cr_assert_eq(dead->status, TG_TIMEOUT);
    cr_assert_eq(dead->start_ns, 0);
    cr_assert_eq(dead->out_len, 0);
    cr_assert_eq(rig_reap(lane_of(TG_BATCH), TG_TIMEOUT), 1, "the worker has it back already");
}

Test(batch, expired_rows_take_no_room_in_the_batch)
{
    rig_open(4, 0, 0);
    for (uint32_t i = 0; i < 20; i++)
        rig_put(lane_of(TG_BATCH), NOW - 5, i % 2 ? FAR : NOW);
    cr_assert_eq(rig_form(NOW), 4);
    cr_assert_eq(rig.batch.span_count, 4, "each gap begins a new span");
}

Test(batch, a_size_class_of_only_expired_rows_does_not_hide_the_other)
{
    rig_open(4, 0, 0);
    rig_put(rig_lane(0, TG_REALTIME, 0), NOW - 5, NOW);
    rig_put(rig_lane(1, TG_BEST_EFFORT, 0), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 1);
    cr_assert_eq(rig_rows_of(rig_lane(1, TG_BEST_EFFORT, 0)), 1);
    cr_assert_eq(rig.outcome.expired, 1);
}

/* ---- delay ----------------------------------------------------------------------------------------- */

Test(batch, a_small_batch_is_held_for_company_as_long_as_asked)
{
    rig_open(4, 2000, 0);
    rig_put(lane_of(TG_BATCH), NOW, FAR);
    cr_assert_eq(rig_form(NOW + 1), 0);
    cr_assert_eq(rig.outcome.hold_until_ns, NOW + 2 * MS);
    cr_assert_eq(rig_form(NOW + 2 * MS - 1), 0);
    cr_assert_eq(rig_form(NOW + 2 * MS), 1);
}

Test(batch, the_oldest_row_says_how_long_a_batch_is_held)
{
    rig_open(4, 2000, 0);
    rig_put(lane_of(TG_BATCH), NOW + MS, FAR);
    rig_put(lane_of(TG_INTERACTIVE), NOW, FAR);
    cr_assert_eq(rig_form(NOW + MS), 0);
    cr_assert_eq(rig.outcome.hold_until_ns, NOW + 2 * MS);
}

Test(batch, a_full_batch_is_not_held)
{
    rig_open(4, 2000, 0);
    for (uint32_t i = 0; i < 4; i++)
        rig_put(rig_lane(0, TG_BATCH, i % RIG_TWINS), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 4);
}

Test(batch, a_row_is_not_held_past_its_own_deadline)
{
    rig_open(4, 500000, 0);
    rig_put(lane_of(TG_BATCH), NOW, NOW + 100 * MS);
    cr_assert_eq(rig_form(NOW), 1, "half a second of patience would have cost the row its life");
}

Test(batch, one_class_waiting_for_company_does_not_hold_a_full_one)
{
    rig_open(4, 2000, 0);
    rig_put(rig_lane(0, TG_BATCH, 0), NOW, FAR);
    for (uint32_t i = 0; i < 4; i++)
        rig_put(rig_lane(1, TG_BATCH, 0), NOW + 1, FAR);
    cr_assert_eq(rig_form(NOW + 1), 4);
    cr_assert_eq(rig.batch.in_stride, 128);
}

/* ---- spans and segments ---------------------------------------------------------------------------- */

Test(batch, a_span_round_the_end_of_the_ring_becomes_two_segments)
{
    rig_open(16, 0, RIG_ROWS - 3);
    struct batch_lane *bl = lane_of(TG_BATCH);
    for (uint32_t i = 0; i < 10; i++)
        rig_put(bl, NOW, FAR);
    cr_assert_eq(rig_form(NOW), 10);
    cr_assert_eq(rig.batch.span_count, 1);
    cr_assert_eq(rig.batch.segment_count, 2);
    const struct tg_segment *s = rig.batch.segments;
    cr_assert_eq(s[0].count, 3);
    cr_assert_eq(s[1].count, 7);
    cr_assert_eq(s[0].in, tg_lane_in(bl->lane, RIG_ROWS - 3));
    cr_assert_eq(s[1].rows, tg_lane_row(bl->lane, 0));
    cr_assert_eq(s[1].out, tg_lane_out(bl->lane, 0));
}

Test(batch, cursors_may_wrap_at_two_to_the_32)
{
    rig_open(16, 0, UINT32_MAX - 2);
    for (uint32_t i = 0; i < 8; i++)
        rig_put(lane_of(TG_BATCH), NOW, FAR);
    cr_assert_eq(rig_form(NOW), 8);
    cr_assert_eq(rig.batch.span_count, 1);
}

Test(batch, when_spans_run_out_the_batch_goes_and_the_rest_waits)
{
    rig_open(1000, 0, 0);
    for (uint32_t i = 0; i < RIG_ROWS; i++)
        for (uint32_t twin = 0; twin < RIG_TWINS; twin++)
            rig_put(rig_lane(0, TG_BATCH, twin), NOW - 5, i % 2 ? FAR : NOW);
    uint32_t rows = rig_form(NOW), batches = 1;
    cr_assert_eq(rig.batch.span_count, BATCH_SPANS_MAX);
    for (uint32_t n; (n = rig_form(NOW)) > 0; batches++)
        rows += n;
    cr_assert_eq(rows, RIG_TWINS * RIG_ROWS / 2, "nothing was left behind");
    cr_assert_gt(batches, 1);
}

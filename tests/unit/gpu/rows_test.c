/* SPDX-License-Identifier: Apache-2.0 */
/* Claiming rows: size classes, room, and what the headers say afterwards. */
#include "runner_fixture.h"

static struct tg_arena arena;
static struct tg_lane *lanes[2];

static void set_up(void)
{
    cr_assert_eq(tg_arena_init(&arena, 1 << 20, TG_ARENA_PRIVATE), 0);
    lanes[0] =
        tg_lane_create(&arena, &(struct tg_lane_options){.rows = 4, .in_stride = 64, .out_stride = 64});
    lanes[1] =
        tg_lane_create(&arena, &(struct tg_lane_options){.rows = 4, .in_stride = 256, .out_stride = 64});
}

static void tear_down(void)
{
    tg_arena_finish(&arena);
}

static struct tg_rows fresh(void)
{
    return (struct tg_rows){.lanes = lanes, .lane_count = 2};
}

TestSuite(rows, .init = set_up, .fini = tear_down);

Test(rows, claim_takes_the_smallest_class_that_fits)
{
    const struct {
        uint32_t bytes;
        int lane;
    } cases[] = {{0, 0}, {1, 0}, {64, 0}, {65, 1}, {256, 1}};
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        struct tg_rows rows = fresh();
        cr_assert_eq(tg_rows_claim(&rows, 1, cases[i].bytes), TG_OK);
        cr_assert_eq(rows.lane, lanes[cases[i].lane], "%u bytes", cases[i].bytes);
    }
}

Test(rows, claim_fills_in_the_headers)
{
    struct tg_rows rows = fresh();
    for (uint32_t i = 0; i < 4; i++)
        *tg_lane_row(lanes[0], i) = (struct tg_row){.param = 77, .in_len = 9, .part = 12};
    cr_assert_eq(tg_rows_claim(&rows, 3, 10), TG_OK);
    cr_assert_eq(rows.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct tg_row *row = tg_rows_row(&rows, i);
        cr_assert(row->param == 0 && row->in_len == 10 && row->part == i);
    }
}

Test(rows, a_full_lane_is_a_matter_of_time)
{
    struct tg_rows rows = fresh(), more = fresh();
    cr_assert_eq(tg_rows_claim(&rows, 3, 64), TG_OK);
    cr_assert_eq(tg_rows_claim(&more, 2, 64), TG_CAPACITY);
    cr_assert_null(more.lane);
    cr_assert_eq(tg_rows_claim(&more, 1, 64), TG_OK);
}

Test(rows, what_never_fits_is_too_large)
{
    struct tg_rows rows = fresh();
    cr_assert_eq(tg_rows_claim(&rows, 1, 257), TG_TOO_LARGE);
    cr_assert_eq(tg_rows_claim(&rows, 5, 64), TG_TOO_LARGE);
}

Test(rows, claiming_nothing_or_twice_is_the_runners_mistake)
{
    struct tg_rows rows = fresh();
    cr_assert_eq(tg_rows_claim(&rows, 0, 8), TG_INTERNAL);
    cr_assert_eq(tg_rows_claim(&rows, 1, 8), TG_OK);
    cr_assert_eq(tg_rows_claim(&rows, 1, 8), TG_INTERNAL);
    cr_assert_eq(tg_lane_used(lanes[0]), 1);
}

Test(rows, long_complaints_are_cut_not_overrun)
{
    struct tg_error err;
    char text[400];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    tg_error_set(&err, text, "%s", text);
    cr_assert_eq(strlen(err.field), sizeof(err.field) - 1);
    cr_assert_eq(strlen(err.message), sizeof(err.message) - 1);
    tg_error_set(&err, NULL, "%d", 5);
    cr_assert_str_empty(err.field);
    cr_assert_str_eq(err.message, "5");
}

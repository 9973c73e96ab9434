/* SPDX-License-Identifier: Apache-2.0 */
/* Any device: one batch at a time, of any size and shape, good and bad. */
#include <errno.h>
#include "each_variant.h"

/* Fine enough that a device with threads cuts every batch of more than 8 rows. */
#define ROW_NS 20000

static void expect_right(struct rig *rig, const struct variant *v, struct rig_job *j)
{
    cr_assert_eq(j->job.fault, TG_FAULT_NONE);
    cr_assert_eq(j->job.error, 0);
    if (v->computes)
        cr_assert_eq(rig_wrong_rows(rig, j), 0);
    cr_assert(rig_canaries_alive(rig, j));
}

static void run_one(struct rig *rig, const struct variant *v, uint32_t rows, uint32_t pieces)
{
    struct rig_job *j = rig_prepare(rig, 0, rows);

    rig_cut(rig, j, pieces);
    cr_assert_eq(rig_submit(rig, j), 0);
    rig_finish(rig, j);
    expect_right(rig, v, j);
    rig_retire(rig, j);
}

/* Sizes add up to every offset in a ring of 128, so the batches wrap at every place. */
EACH_VARIANT(device_batch, of_every_size_is_right_wherever_it_wraps)
{
    struct rig rig;

    rig_open(&rig, v, ROW_NS, 128);
    for (uint32_t rows = 1; rows <= 128; rows++)
        run_one(&rig, v, rows, 1);
    rig_close(&rig);
}

EACH_VARIANT(device_batch, in_many_segments_is_right)
{
    struct rig rig;

    rig_open(&rig, v, ROW_NS, 512);
    for (uint32_t pieces = 1; pieces <= RIG_SEGMENTS; pieces = pieces * 3 / 2 + 1)
        for (uint32_t rows = pieces; rows <= 512; rows = rows * 2 + 3)
            run_one(&rig, v, rows, pieces);
    rig_close(&rig);
}

EACH_VARIANT(device_batch, uses_the_whole_lane_when_cursors_wrap_at_2_32)
{
    struct rig rig;

    rig_open(&rig, v, ROW_NS, 64);
    struct tg_lane *lane = rig.lane.lane;
    uint32_t start = UINT32_MAX - 99;
    lane->claimed = lane->retired = lane->reaped = lane->taken = start;
    atomic_store_explicit(&lane->published, start, memory_order_relaxed);
    atomic_store_explicit(&lane->done, start, memory_order_relaxed);
    for (int i = 0; i < 20; i++)
        run_one(&rig, v, 33, 1);
    rig_close(&rig);
}

EACH_VARIANT(device_batch, keeps_what_the_runner_says_of_single_rows)
{
    struct rig rig;

    rig_open(&rig, v, ROW_NS, 64);
    struct rig_job *j = rig_prepare(&rig, 0, 40);
    rig_row(&rig, j, 7)->param |= SCRAMBLE_REFUSE;
    rig_row(&rig, j, 39)->param |= SCRAMBLE_REFUSE;
    cr_assert_eq(rig_submit(&rig, j), 0);
    rig_finish(&rig, j);
    cr_assert_eq(j->job.fault, TG_FAULT_NONE);
    if (v->computes) {
        cr_assert_eq(rig_wrong_rows(&rig, j), 2);
        cr_assert_eq(rig_row(&rig, j, 7)->status, TG_INVALID);
        cr_assert_eq(rig_row(&rig, j, 39)->out_len, 0);
    }
    rig_close(&rig);
}

static void fail_at(struct rig *rig, const struct variant *v, uint32_t row, uint64_t flag, int error)
{
    struct rig_job *j = rig_prepare(rig, 3, 100);

    rig_row(rig, j, row)->param |= flag;
    cr_assert_eq(rig_submit(rig, j), 0);
    rig_finish(rig, j);
    cr_assert_eq(j->job.fault, v->computes ? TG_FAULT_TASK : TG_FAULT_NONE);
    cr_assert_eq(j->job.error, v->computes ? error : 0);
    rig_retire(rig, j);
}

EACH_VARIANT(device_batch, fails_as_a_task_with_the_runners_errno)
{
    struct rig rig;

    if (v->kernels) /* they have no errno */
        return;
    rig_open(&rig, v, ROW_NS, 128);
    for (uint32_t row = 0; row < 100; row += 9)
        fail_at(&rig, v, row, SCRAMBLE_FAIL, -EILSEQ);
    run_one(&rig, v, 100, 1); /* and the device is fine */
    rig_close(&rig);
}

EACH_VARIANT(device_batch, fails_if_a_runner_returns_what_it_must_not)
{
    struct rig rig;

    if (v->kernels)
        return;
    rig_open(&rig, v, ROW_NS, 128);
    fail_at(&rig, v, 50, SCRAMBLE_POSITIVE, -EIO);
    rig_close(&rig);
}

/* Rows ask for different instants; with threads they lie in different parts. The latest counts. */
EACH_VARIANT(device_batch, is_not_done_before_the_instant_its_runner_asks_for)
{
    struct rig rig;
    if (v->kernels) /* they cannot pretend to take time */
        return;
    rig_open(&rig, v, ROW_NS, 128);
    struct rig_job *j = rig_prepare(&rig, 0, 100);
    uint64_t base = test_now_ns(), wake_ns = UINT64_MAX;

    for (uint32_t i = 0; i < 100; i += 10) {
        rig_row(&rig, j, i)->param |= SCRAMBLE_READY;
        rig_row(&rig, j, i)->deadline_ns = base + 3600000000000u + (i == 40) * 1000;
    }
    cr_assert_eq(rig_submit(&rig, j), 0);
    uint64_t ready_ns = base + 3600000000000u + 1000;
    if (v->computes) {
        while (wake_ns == UINT64_MAX) /* until the parts have ended the device cannot know */
            cr_assert_eq(rig.backend->poll(rig.device, 0, ready_ns - 1, &wake_ns), -EAGAIN);
        cr_assert_eq(wake_ns, ready_ns);
        uint64_t earlier = 5;
        cr_assert_eq(rig.backend->poll(rig.device, 0, ready_ns - 1, &earlier), -EAGAIN);
        cr_assert_eq(earlier, 5, "an instant already nearer is kept");
    }
    cr_assert_eq(rig.backend->poll(rig.device, 0, ready_ns, &wake_ns), 0);
    expect_right(&rig, v, j);
    rig_close(&rig);
}

EACH_VARIANT(device_batch, leaves_no_instant_behind_for_the_next)
{
    struct rig rig;
    uint64_t wake_ns = UINT64_MAX;
    if (v->kernels)
        return;
    rig_open(&rig, v, ROW_NS, 128);
    struct rig_job *j = rig_prepare(&rig, 0, 10);

    rig_row(&rig, j, 0)->param |= SCRAMBLE_READY;
    rig_row(&rig, j, 0)->deadline_ns = UINT64_MAX - 1;
    cr_assert_eq(rig_submit(&rig, j), 0);
    while (rig.backend->poll(rig.device, 0, UINT64_MAX - 1, &wake_ns) != 0)
        ;
    rig_retire(&rig, j);
    run_one(&rig, v, 10, 1);
    rig_close(&rig);
}

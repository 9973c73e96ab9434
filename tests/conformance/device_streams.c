/* SPDX-License-Identifier: Apache-2.0 */
/* Any device: several streams at once, ending in any order, and a great many batches. */
#include <errno.h>
#include "each_variant.h"

#define RANDOM_BATCHES 100000

static void expect_right(struct rig *rig, const struct variant *v, struct rig_job *j)
{
    cr_assert_eq(j->job.fault, TG_FAULT_NONE);
    if (v->computes)
        cr_assert_eq(rig_wrong_rows(rig, j), 0);
}

EACH_VARIANT(device_streams, are_all_in_flight_at_once_and_polled_backwards)
{
    struct rig rig;

    rig_open(&rig, v, 5000, 512);
    for (int round = 0; round < 50; round++) {
        for (uint32_t s = 0; s < RIG_STREAMS; s++)
            cr_assert_eq(rig_submit(&rig, rig_prepare(&rig, s, 1 + 7 * s)), 0);
        for (uint32_t s = RIG_STREAMS; s-- > 0;) {
            rig_finish(&rig, &rig.jobs[s]);
            expect_right(&rig, v, &rig.jobs[s]);
        }
        for (uint32_t s = 0; s < RIG_STREAMS; s++)
            rig_retire(&rig, &rig.jobs[s]);
    }
    rig_close(&rig);
}

/*
 * One row of stream 0 stands at the gate; with a thread to spare everything else goes on around it. (The
 * lane's space behind that row does not come back meanwhile: 25 batches of 20 fit.)
 */
EACH_VARIANT(device_streams, a_slow_batch_holds_up_no_other)
{
    struct rig rig;

    if (v->threads < 2)
        return;
    rig_open(&rig, v, 5000, 512);
    struct rig_job *slow = rig_prepare(&rig, 0, 1), *fast;
    rig_row(&rig, slow, 0)->param |= SCRAMBLE_WAIT;
    cr_assert_eq(rig_submit(&rig, slow), 0);
    for (int i = 0; i < 25; i++) {
        fast = rig_prepare(&rig, 1, 20);
        cr_assert_eq(rig_submit(&rig, fast), 0);
        rig_finish(&rig, fast);
        expect_right(&rig, v, fast);
        rig_retire(&rig, fast);
    }
    cr_assert(!rig_poll(&rig, slow));
    atomic_store_explicit(&rig.self.gate, 1, memory_order_release);
    rig_finish(&rig, slow);
    expect_right(&rig, v, slow);
    rig_close(&rig);
}

/* ---- random batches ------------------------------------------------------------------------------------ */

static void draw_batch(struct rig *rig)
{
    uint32_t free_rows = rig->lane.lane->mask + 1 - tg_lane_used(rig->lane.lane), stream = 0;
    uint32_t rows = 1 + test_random(&rig->seed, test_random(&rig->seed, 16) == 0 ? 128 : 8);

    while (stream < RIG_STREAMS && rig->jobs[stream].running)
        stream++;
    if (stream == RIG_STREAMS || rows > free_rows)
        return;
    struct rig_job *j = rig_prepare(rig, stream, rows);
    rig_cut(rig, j, 1 + test_random(&rig->seed, 6));
    cr_assert_eq(rig_submit(rig, j), 0);
}

static uint32_t poll_any(struct rig *rig, const struct variant *v)
{
    struct rig_job *j = &rig->jobs[test_random(&rig->seed, RIG_STREAMS)];

    if (!j->running || !rig_poll(rig, j))
        return 0;
    expect_right(rig, v, j);
    rig_retire(rig, j);
    return 1;
}

EACH_VARIANT(device_streams, a_great_many_random_batches_are_right)
{
    struct rig rig;

    rig_open(&rig, v, 4000, 512);
    for (uint32_t done = 0; done < (v->kernels ? RANDOM_BATCHES / 20 : RANDOM_BATCHES);) {
        draw_batch(&rig);
        done += poll_any(&rig, v);
        done += poll_any(&rig, v);
    }
    rig_close(&rig);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What lanes are charged for their rows' time on the device. */
#include <criterion/criterion.h>
#include "executor_rig.h"

static void close_rig(void)
{
    if (rig.ex)
        rig_close();
}

TestSuite(executor_share, .fini = close_rig);

static const struct rig_options slow_null = {
    .backend = "null", .spec = "service_us=500", .max_batch = 64, .streams = 2};

static uint64_t charged(uint32_t lane)
{
    return atomic_load_explicit(&rig.lanes[lane]->device_ns, memory_order_relaxed);
}

static void let_it_end(void)
{
    rig.now_ns += 500000;
    rig_turn();
    rig_reap();
}

Test(executor_share, lanes_of_one_batch_pay_by_their_rows)
{
    rig_open(&slow_null);
    rig_put(0, 0, 3, UINT64_MAX);
    rig_put(1, 0, 1, UINT64_MAX);
    rig_turn();
    let_it_end();
    cr_assert_eq(rig_stats().batches, 1);
    cr_assert_eq(charged(0), 375000);
    cr_assert_eq(charged(RIG_PRIORITIES), 125000);
}

Test(executor_share, batches_on_two_streams_share_the_time_they_overlap)
{
    rig_open(&slow_null);
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    rig.now_ns += 200000;
    rig_put(1, 0, 1, UINT64_MAX);
    rig_turn();
    rig.now_ns += 300000;
    rig_turn();
    rig.now_ns += 200000;
    rig_turn();
    rig_reap();
    cr_assert_eq(rig_stats().batches, 2);
    cr_assert_eq(charged(0), 350000);
    cr_assert_eq(charged(RIG_PRIORITIES), 350000);
}

Test(executor_share, rows_that_never_started_are_free)
{
    rig_open(&slow_null);
    rig_put(0, 0, 2, rig.now_ns);
    rig_turn();
    let_it_end();
    cr_assert_eq(rig.by_status[TG_TIMEOUT], 2);
    cr_assert_eq(charged(0), 0);
}

Test(executor_share, computing_in_the_turn_itself_is_charged_too)
{
    struct rig_options o = {.backend = "cpu", .max_batch = 1, .streams = 1, .threaded = true}; /* a clock that runs */
    rig_open(&o);
    for (uint32_t i = 0; i < 100; i++)
        rig_put(0, 0, 1, UINT64_MAX);
    rig_await();
    cr_assert_gt(charged(0), 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The executor's round on devices that work: rows in, the same rows out, and no more turns than needed. */
#include <criterion/criterion.h>
#include <errno.h>
#include "executor_rig.h"
#include "tests/support/seed.h"

static const struct rig_options on_cpu = {.backend = "cpu", .max_batch = 8, .streams = 2};
static const struct rig_options on_null = {.backend = "null", .max_batch = 8, .streams = 2};
static const struct rig_options on_puppet = {.backend = "puppet", .max_batch = 8, .streams = 2};
static const struct rig_options slow_null = {
    .backend = "null", .spec = "service_us=500", .max_batch = 8, .streams = 2};

TestSuite(executor, .fini = rig_close);

Test(executor, with_nothing_to_do_it_neither_moves_nor_asks_to_be_woken)
{
    rig_open(&on_cpu);
    cr_assert_not(rig_turn());
    cr_assert_eq(rig.wake_ns, UINT64_MAX);
    cr_assert_not(tg_executor_busy(rig.ex));
}

Test(executor, a_row_is_answered_within_one_turn_of_a_device_that_computes_at_once)
{
    rig_open(&on_cpu);
    rig_put(1, 1, 1, UINT64_MAX);
    cr_assert(rig_turn());
    cr_assert_eq(rig_reap(), 1);
    cr_assert_not(rig_turn());
    rig_check_accounts();
}

Test(executor, a_published_row_is_not_seen_before_its_bell)
{
    rig_open(&on_cpu);
    uint32_t cursor = 0;
    cr_assert_eq(tg_lane_claim(rig.lanes[0], 1, &cursor), 0);
    *tg_lane_row(rig.lanes[0], cursor) = (struct tg_row){.deadline_ns = UINT64_MAX, .in_len = 8};
    tg_lane_publish(rig.lanes[0]);
    cr_assert_not(rig_turn());
    tg_doorbell_ring(rig.doorbell, 0, rig.lanes[0]->bit);
    cr_assert(rig_turn());
}

static void traffic(const struct rig_options *o, uint32_t steps)
{
    uint64_t seed = test_seed(o->backend);
    rig_open(o);
    for (uint32_t i = 0; i < steps; i++) {
        uint64_t patience = test_random(&seed, 5) ? 10 * SECOND : test_random(&seed, 2 * (uint32_t)MS);
        rig_put(test_random(&seed, RIG_WORKERS), test_random(&seed, RIG_PRIORITIES), test_random(&seed, 20),
                rig.now_ns + patience);
        rig.now_ns += test_random(&seed, (uint32_t)MS);
        if (test_random(&seed, 2))
            rig_turn();
        if (test_random(&seed, 2))
            rig_reap();
    }
    rig_drain();
    rig_check_accounts();
    cr_assert_gt(rig.by_status[TG_OK], 0);
    cr_assert_gt(rig.by_status[TG_TIMEOUT], 0);
}

Test(executor, on_the_cpu_every_row_comes_back_once_with_its_own_bytes)
{
    traffic(&on_cpu, 4000);
}

Test(executor, on_the_null_device_every_row_comes_back_once)
{
    traffic(&on_null, 4000);
}

Test(executor, on_a_device_that_takes_time_every_row_comes_back_once)
{
    traffic(&slow_null, 4000);
}

Test(executor, it_asks_to_be_woken_when_the_device_will_be_done)
{
    rig_open(&slow_null);
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    cr_assert_eq(rig_reap(), 0);
    cr_assert_not(rig_turn());
    cr_assert_eq(rig.wake_ns, rig.now_ns + 500000);
    rig.now_ns = rig.wake_ns;
    cr_assert(rig_turn());
    cr_assert_eq(rig_reap(), 1);
}

Test(executor, while_all_streams_are_busy_rows_queue_and_batches_grow)
{
    rig_open(&slow_null);
    for (uint32_t i = 0; i < 10; i++) {
        rig_put(0, 0, 1, UINT64_MAX);
        rig_turn();
    }
    cr_assert_eq(rig_stats().inflight, 2);
    cr_assert_eq(rig_stats().batches, 2);
    rig_drain();
    cr_assert_eq(rig_stats().batches, 3, "the eight that waited went together");
    cr_assert_eq(rig_stats().batch_rows_max, 8);
}

Test(executor, a_delay_holds_a_lone_row_and_says_until_when)
{
    struct rig_options o = on_cpu;
    o.max_delay_us = 300;
    rig_open(&o);
    rig_put(0, 0, 1, UINT64_MAX);
    cr_assert_not(rig_turn());
    cr_assert_eq(rig.wake_ns, rig.now_ns + 300000);
    rig.now_ns += 300000;
    cr_assert(rig_turn());
    cr_assert_eq(rig_reap(), 1);
}

Test(executor, a_row_that_expires_while_it_waits_for_a_stream_is_not_started)
{
    rig_open(&slow_null);
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    rig_put(0, 0, 1, rig.now_ns + 1000);
    rig_drain();
    cr_assert_eq(rig.by_status[TG_TIMEOUT], 1);
    cr_assert_eq(rig_stats().batches, 2);
    rig_check_accounts();
}

Test(executor, destroying_it_leaves_rows_of_the_lanes_untouched)
{
    rig_open(&on_puppet);
    rig_put(0, 0, 3, UINT64_MAX);
    tg_executor_destroy(rig.ex);
    rig.ex = NULL;
    cr_assert_eq(tg_lane_ready(rig.lanes[0]), 3);
    tg_executor_destroy(NULL);
}

Test(executor, it_says_what_it_runs_on)
{
    struct tg_executor_info info;
    rig_open(&on_null);
    tg_executor_describe(rig.ex, &info);
    cr_assert_str_eq(info.backend, "null");
    cr_assert_str_eq(info.device, "null");
}

Test(executor, a_device_that_cannot_be_had_fails_the_start_with_a_reason)
{
    struct rig_options o = {.backend = "cuda-of-tomorrow", .max_batch = 8, .streams = 1};
    cr_assert_eq(rig_create(&o), -EINVAL);
    cr_assert_neq(rig.why.message[0], '\0');
    rig_close();
    o = (struct rig_options){.backend = "fault", .spec = "cpu;load_fail", .max_batch = 8, .streams = 1};
    cr_assert_eq(rig_create(&o), -EIO);
    cr_assert_neq(rig.why.message[0], '\0');
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What the executor does when its device fails: once more, then an honest answer, and never a row lost. */
#include <criterion/criterion.h>
#include <errno.h>
#include "executor_rig.h"
#include "tests/support/seed.h"

static const struct rig_options scripted = {.backend = "puppet", .max_batch = 4, .streams = 2};

static void begin(void)
{
    puppet = (struct puppet){0};
}

TestSuite(executor_fault, .init = begin, .fini = rig_close);

/* One batch of three rows through the script. */
static void three_rows(void)
{
    rig_open(&scripted);
    rig_put(0, 0, 3, UINT64_MAX);
    rig_drain();
    rig_check_accounts();
}

Test(executor_fault, a_batch_to_be_retried_runs_once_more)
{
    puppet.end_fault[0] = TG_FAULT_RETRY;
    puppet.scribble = true;
    three_rows();
    cr_assert_eq(rig.by_status[TG_OK], 3, "what the failed run left in the rows is forgotten");
    cr_assert_eq(puppet.submissions, 2);
    cr_assert_eq(rig_stats().faults, 1);
    cr_assert_eq(puppet.opens, 1);
}

Test(executor_fault, a_batch_that_fails_twice_is_answered_so)
{
    puppet.end_fault[0] = puppet.end_fault[1] = TG_FAULT_RETRY;
    three_rows();
    cr_assert_eq(rig.by_status[TG_BACKEND], 3);
    cr_assert_eq(puppet.submissions, 2);
}

Test(executor_fault, a_batch_at_fault_itself_is_not_tried_again)
{
    puppet.end_fault[0] = TG_FAULT_TASK;
    three_rows();
    cr_assert_eq(rig.by_status[TG_BACKEND], 3);
    cr_assert_eq(puppet.submissions, 1);
    cr_assert_eq(puppet.opens, 1);
}

Test(executor_fault, a_lost_device_is_opened_again_and_its_batch_runs_there)
{
    static const enum tg_device_fault classes[] = {TG_FAULT_STICKY, TG_FAULT_LOST};
    for (size_t i = 0; i < TG_ARRAY_SIZE(classes); i++) {
        begin();
        puppet.end_fault[0] = classes[i];
        three_rows();
        cr_assert_eq(rig.by_status[TG_OK], 3);
        cr_assert_eq(puppet.opens, 2);
        cr_assert_eq(puppet.closes, 1);
        cr_assert_eq(puppet.loads, 2, "the runner is loaded on the new device too");
        rig_close();
    }
    rig_open(&scripted);
}

Test(executor_fault, a_batch_that_kills_two_devices_is_answered)
{
    puppet.end_fault[0] = puppet.end_fault[1] = TG_FAULT_STICKY;
    three_rows();
    cr_assert_eq(rig.by_status[TG_BACKEND], 3);
    cr_assert_eq(puppet.submissions, 2);
    cr_assert_eq(puppet.opens, 3);
}

Test(executor_fault, a_loss_takes_the_other_streams_along_and_they_run_again)
{
    rig_open(&scripted);
    puppet.service_ns = MS;
    puppet.end_fault[0] = TG_FAULT_LOST;
    rig_put(0, 0, 4, UINT64_MAX);
    rig_put(1, 1, 4, UINT64_MAX);
    rig_drain();
    rig_check_accounts();
    cr_assert_eq(rig.by_status[TG_OK], 8);
    cr_assert_eq(puppet.submissions, 4);
    cr_assert_eq(rig_stats().faults, 1);
}

Test(executor_fault, while_the_device_cannot_be_opened_it_is_tried_once_a_second)
{
    rig_open(&scripted);
    puppet.end_fault[0] = TG_FAULT_LOST;
    puppet.open_rc = -ENODEV;
    rig_put(0, 0, 1, UINT64_MAX);
    for (uint32_t i = 0; i < 30; i++) {
        rig_turn();
        rig.now_ns += 100 * MS;
    }
    cr_assert_eq(puppet.opens, 1 + 3);
    cr_assert_leq(rig.wake_ns, rig.now_ns + SECOND);
    puppet.open_rc = 0;
    rig_drain();
    rig_check_accounts();
    cr_assert_eq(rig.by_status[TG_OK], 1);
}

Test(executor_fault, a_device_that_is_lost_again_and_again_is_opened_once_a_second)
{
    rig_open(&scripted);
    for (uint32_t i = 0; i < PUPPET_STEPS; i++)
        puppet.end_fault[i] = TG_FAULT_LOST;
    for (uint32_t i = 0; i < 40; i++) { /* four seconds */
        rig_put(0, 0, 1, UINT64_MAX);
        rig_turn();
        cr_assert(tg_executor_lost(rig.ex), "it lives no longer than a turn");
        rig.now_ns += 100 * MS;
    }
    cr_assert_leq(puppet.opens, 1 + 5);
    cr_assert_leq(rig.log_lines, 2 * puppet.opens, "a line for each loss and each return");
    memset(puppet.end_fault, 0, sizeof(puppet.end_fault));
    rig_drain();
    rig_check_accounts();
    cr_assert_not(tg_executor_lost(rig.ex));
}

Test(executor_fault, what_fails_again_and_again_is_said_once)
{
    rig_open(&scripted);
    for (uint32_t i = 0; i < PUPPET_STEPS; i++)
        puppet.end_fault[i] = i % 2 ? TG_FAULT_TASK : TG_FAULT_RETRY;
    rig_put(0, 0, 40, UINT64_MAX);
    rig_drain();
    cr_assert_eq(rig.log_lines, 1, "%s", rig.log);
    cr_assert(strstr(rig.log, "batch failed on device puppet"), "%s", rig.log);
}

Test(executor_fault, a_sticky_error_is_not_called_a_loss)
{
    puppet.end_fault[0] = TG_FAULT_STICKY;
    rig_open(&scripted);
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    cr_assert(strstr(rig.log, "a sticky error while running"), "%s", rig.log);
    rig_drain();
}

Test(executor_fault, rows_that_come_while_the_device_is_gone_run_when_it_is_back)
{
    rig_open(&scripted);
    puppet.end_fault[0] = TG_FAULT_LOST;
    puppet.open_rc = -ENODEV;
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    rig_turn();
    for (uint32_t w = 0; w < RIG_WORKERS; w++)
        rig_put(w, 1, 20, UINT64_MAX);
    rig_turn();
    puppet.open_rc = 0;
    rig_drain();
    rig_check_accounts();
    cr_assert_eq(rig.by_status[TG_OK], 41);
}

/* ---- refusals -------------------------------------------------------------------------------------- */

Test(executor_fault, a_device_that_is_full_for_a_moment_is_asked_again)
{
    for (uint32_t i = 0; i < 5; i++)
        puppet.refuse[i] = -EAGAIN;
    three_rows();
    cr_assert_eq(rig.by_status[TG_OK], 3, "being full is no failure");
    cr_assert_eq(puppet.submissions, 6);
    cr_assert_eq(rig_stats().faults, 0);
    cr_assert_eq(rig_stats().batches, 1);
}

Test(executor_fault, a_refused_batch_is_offered_once_more_then_answered)
{
    puppet.refuse[0] = puppet.refuse[1] = -EIO;
    three_rows();
    cr_assert_eq(rig.by_status[TG_BACKEND], 3);
    cr_assert_eq(puppet.submissions, 2);
    cr_assert_eq(rig_stats().faults, 2);
}

Test(executor_fault, a_refusal_for_good_means_a_new_device)
{
    puppet.refuse[0] = -EIO;
    puppet.refuse_fault[0] = TG_FAULT_STICKY;
    three_rows();
    cr_assert_eq(rig.by_status[TG_OK], 3);
    cr_assert_eq(puppet.opens, 2);
}

Test(executor_fault, a_batch_refused_for_good_by_two_devices_is_answered)
{
    puppet.refuse[0] = puppet.refuse[1] = -EIO;
    puppet.refuse_fault[0] = puppet.refuse_fault[1] = TG_FAULT_LOST;
    three_rows();
    cr_assert_eq(rig.by_status[TG_BACKEND], 3);
    cr_assert_eq(puppet.opens, 3);
}

/* ---- the fault device ------------------------------------------------------------------------------ */

static void traffic(const char *spec)
{
    struct rig_options o = {.backend = "fault", .spec = spec, .max_batch = 6, .streams = 3};
    uint64_t seed = test_seed(spec);
    rig_open(&o);
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t patience = test_random(&seed, 8) ? 100 * SECOND : test_random(&seed, 3 * (uint32_t)MS);
        rig_put(test_random(&seed, RIG_WORKERS), test_random(&seed, RIG_PRIORITIES), test_random(&seed, 9),
                rig.now_ns + patience);
        rig.now_ns += test_random(&seed, (uint32_t)MS);
        rig_turn();
        rig_reap();
    }
    rig_drain();
    rig_check_accounts();
    cr_assert_gt(rig.by_status[TG_OK], 0, "%s", spec);
    cr_assert(rig_stats().faults > 0, "%s", spec);
    rig_close();
}

Test(executor_fault, under_random_faults_of_every_class_no_row_is_lost_or_doubled)
{
    static const char *const specs[] = {
        "cpu;chance_ppm=200000;fault=retry",
        "cpu;chance_ppm=200000;fault=task",
        "cpu;chance_ppm=100000;fault=sticky",
        "cpu;chance_ppm=100000;fault=lost",
        "cpu;chance_ppm=300000;fault=retry;submit_eagain=3;every",
        "null:service_us=300;chance_ppm=200000;fault=lost;delay_ms=1",
        "null:service_us=700;fail=5;every;fault=sticky",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(specs); i++)
        traffic(specs[i]);
    rig_open(&scripted);
}

Test(executor_fault, a_hung_batch_leaves_the_other_streams_working)
{
    struct rig_options o = {.backend = "fault", .spec = "cpu;hang=1", .max_batch = 4, .streams = 2};
    rig_open(&o);
    rig_put(0, 0, 4, UINT64_MAX);
    rig_turn();
    rig_put(0, 1, 40, UINT64_MAX);
    for (uint32_t i = 0; i < 20; i++) {
        rig_turn();
        rig_reap();
    }
    cr_assert_eq(rig.by_status[TG_OK], 40);
    cr_assert_eq(rig_stats().inflight, 1);
    cr_assert(tg_executor_busy(rig.ex));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The executor as a thread: wakes when rung, sleeps when not, finishes what it began before it stops. */
#include <criterion/criterion.h>
#include <sched.h>
#include <time.h>
#include "executor_rig.h"
#include "tests/support/seed.h"

TestSuite(executor_thread, .fini = rig_close, .timeout = 300);

/* Returns how often the device answered with a fault. */
static uint64_t traffic(const char *backend, const char *spec, uint32_t threads, uint32_t spin_us)
{
    struct rig_options o = {.backend = backend,
                            .spec = spec,
                            .threads = threads,
                            .max_batch = 8,
                            .streams = 2,
                            .spin_us = spin_us,
                            .threaded = true};
    uint64_t seed = test_seed(backend);
    rig_open(&o);
    for (uint32_t i = 0; i < 3000; i++) {
        uint64_t patience = test_random(&seed, 8) ? 100 * SECOND : test_random(&seed, (uint32_t)MS);
        rig_put(test_random(&seed, RIG_WORKERS), test_random(&seed, RIG_PRIORITIES), test_random(&seed, 12),
                test_now_ns() + patience);
        if (test_random(&seed, 64) == 0)
            rig_await(); /* all quiet: the thread goes to sleep */
        rig_reap();
    }
    rig_await();
    tg_executor_stop(rig.ex);
    rig_check_accounts();
    uint64_t faults = rig_stats().faults;
    rig_close();
    return faults;
}

Test(executor_thread, every_row_comes_back_once_whoever_computes)
{
    traffic("cpu", NULL, 0, 0);
    traffic("cpu", NULL, 2, 0);
    traffic("cpu", NULL, 2, 50);
    traffic("null", "service_us=20", 0, 0);
    rig_create(&(struct rig_options){.backend = "null", .max_batch = 1, .streams = 1});
}

Test(executor_thread, under_faults_every_row_comes_back_once)
{
    cr_assert_gt(traffic("fault", "cpu;chance_ppm=100000;fault=retry", 0, 0), 0);
    cr_assert_gt(traffic("fault", "cpu;fail=600;fault=lost", 2, 0), 0);
    traffic("fault", "cpu;submit_eagain=3;every", 0, 0);
    rig_create(&(struct rig_options){.backend = "null", .max_batch = 1, .streams = 1});
}

static void nap(void)
{
    struct timespec t = {.tv_nsec = 20 * 1000000};
    nanosleep(&t, NULL);
}

/* Counted, not timed: an idle thread does not even come round to sleep again. */
Test(executor_thread, idle_it_sleeps_once_until_it_is_rung)
{
    rig_open(&(struct rig_options){.backend = "cpu", .max_batch = 8, .streams = 1, .threaded = true});
    while (rig_stats().sleeps == 0)
        sched_yield();
    nap();
    cr_assert_eq(rig_stats().sleeps, 1);
    for (uint32_t i = 0; i < 10; i++) {
        rig_put(0, 0, 1, UINT64_MAX);
        rig_await();
        nap();
    }
    cr_assert_leq(rig_stats().sleeps, 11, "one sleep for each row and the first");
}

/* A GPU's batch of some microseconds is over before a thread that slept for no time at all is back. */
Test(executor_thread, it_does_not_sleep_over_a_batch_that_wants_to_be_asked_for_at_once)
{
    puppet.eager = true;
    puppet.service_ns = 50 * MS;
    rig_open(&(struct rig_options){.backend = "puppet", .max_batch = 8, .streams = 1, .threaded = true});
    while (rig_stats().sleeps == 0)
        sched_yield();
    rig_put(0, 0, 1, UINT64_MAX);
    rig_await();
    nap();
    cr_assert_leq(rig_stats().sleeps, 3, "before the row, between its ring and it, and after it");
}

Test(executor_thread, a_delayed_row_is_sent_without_another_ring)
{
    rig_open(&(struct rig_options){
        .backend = "cpu", .max_batch = 8, .max_delay_us = 1000000, .streams = 1, .threaded = true});
    rig_put(0, 0, 1, UINT64_MAX);
    rig_await();
    cr_assert_eq(rig.by_status[TG_OK], 1);
    cr_assert_geq(rig_stats().sleeps, 1, "it slept over the delay");
}

Test(executor_thread, stopping_finishes_what_is_on_the_device)
{
    rig_open(&(struct rig_options){
        .backend = "null", .spec = "service_us=300000", .max_batch = 4, .streams = 2, .threaded = true});
    rig_put(0, 0, 8, UINT64_MAX);
    while (rig_stats().batches < 2) /* begun: who looks late still sees it */
        sched_yield();
    tg_executor_stop(rig.ex);
    cr_assert_eq(rig_reap(), 8);
    rig_check_accounts();
    tg_executor_stop(rig.ex);
}

Test(executor_thread, a_stop_that_comes_before_any_work_is_heard)
{
    for (uint32_t i = 0; i < 200; i++) {
        rig_open(&(struct rig_options){.backend = "cpu", .max_batch = 4, .streams = 1, .threaded = true});
        tg_executor_stop(rig.ex);
        rig_close();
    }
    rig_create(&(struct rig_options){.backend = "null", .max_batch = 1, .streams = 1});
}

/* Batches on a lost device cannot be finished; stopping must not wait for them for ever. */
Test(executor_thread, stopping_without_a_device_does_not_hang)
{
    rig_open(&(struct rig_options){.backend = "puppet", .max_batch = 4, .streams = 1, .threaded = true});
    puppet.open_rc = -1;
    puppet.end_fault[0] = TG_FAULT_LOST;
    rig_put(0, 0, 1, UINT64_MAX);
    while (rig_stats().faults == 0)
        sched_yield();
    tg_executor_stop(rig.ex);
    cr_assert_eq(rig_stats().inflight, 1);
}

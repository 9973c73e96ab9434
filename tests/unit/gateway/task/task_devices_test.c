/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of an instance that has devices: where they go, and what becomes of them when devices go. */
#include "task_rig.h"
#include "tests/support/seed.h"

#define BIT(number) (1u << (number))

static void open_with(uint32_t devices, bool spare)
{
    rig_open(&(struct rig_options){.max_concurrent = RIG_TASKS, .wait_ms = 1000, .devices = devices, .spare = spare});
}

TestSuite(task_devices, .fini = rig_close);

static void set(uint32_t out, uint32_t waiting)
{
    atomic_store_explicit(&rig.admission.devices_out, out, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.devices_waiting, out | waiting, memory_order_relaxed);
}

static struct task *offer(void)
{
    return rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
}

/* Where a task goes now. It is run and answered. */
static uint32_t goes_to(void)
{
    struct task *t = offer();
    cr_assert_eq(t->state, TASK_RUNNING);
    uint32_t number = t->rows.lane->executor;
    rig_run_all();
    cr_assert_eq(t->status, TG_OK);
    rig_answer(t);
    return number;
}

static void assert_refused(void)
{
    struct task *t = offer();
    cr_assert_eq(t->state, TASK_FINAL);
    cr_assert_eq(t->status, TG_DEVICE);
    rig_answer(t);
    rig_check_empty();
}

Test(task_devices, is_refused_while_the_only_one_is_withdrawn)
{
    open_with(1, false);
    set(BIT(1), 0);
    atomic_store_explicit(&rig.admission.device_retry_ms, 1500, memory_order_relaxed);
    struct task *t = offer();
    cr_assert_eq(t->status, TG_DEVICE);
    cr_assert_eq(t->retry_after_ms, 1500);
    rig_answer(t);
    rig_check_empty();
}

Test(task_devices, waits_for_the_only_one_while_its_process_is_replaced)
{
    open_with(1, true);
    set(0, BIT(1));
    cr_assert_eq(goes_to(), 1);
    rig_check_empty();
}

Test(task_devices, is_served_by_the_cpu_whatever_happens_to_devices_of_others)
{
    open_with(0, false);
    set(BIT(1) | BIT(2), 0);
    cr_assert_eq(goes_to(), 0);
    cr_assert_eq(rig_counter(METRIC_TASKS_FALLBACK), 0);
}

Test(task_devices, goes_to_another_than_those_that_are_out_or_being_replaced)
{
    open_with(2, false);
    for (uint32_t i = 0; i < 10; i++) {
        set(BIT(1), 0);
        cr_assert_eq(goes_to(), 2);
        set(0, BIT(2));
        cr_assert_eq(goes_to(), 1);
        set(BIT(1), BIT(2));
        cr_assert_eq(goes_to(), 2, "it is coming back, the other is not");
    }
    set(BIT(1) | BIT(2), 0);
    assert_refused();
}

Test(task_devices, goes_to_the_cpu_when_none_is_left_and_is_counted)
{
    open_with(2, true);
    cr_assert_neq(goes_to(), 0);
    set(BIT(1), BIT(2));
    cr_assert_eq(goes_to(), 2);
    cr_assert_eq(rig_counter(METRIC_TASKS_FALLBACK), 0);
    set(BIT(1) | BIT(2), 0);
    cr_assert_eq(goes_to(), 0);
    cr_assert_eq(rig_counter(METRIC_TASKS_FALLBACK), 1);
    set(0, 0);
    cr_assert_neq(goes_to(), 0);
    rig_check_empty();
}

Test(task_devices, take_turns)
{
    uint32_t got[3] = {0};
    open_with(2, false);
    for (uint32_t i = 0; i < 10; i++)
        got[goes_to()]++;
    cr_assert(got[1] == 5 && got[2] == 5, "%u and %u", got[1], got[2]);
}

Test(task_devices, a_full_lane_of_one_sends_a_task_to_the_other_and_never_to_the_spare)
{
    struct task *t[5];
    open_with(2, true);
    t[0] = rig_offer(TG_BATCH, RIG_ROWS - 2, RIG_TIMEOUT_MS); /* a full lane where the choice thinks there is nothing yet */
    t[1] = rig_offer(TG_BATCH, RIG_ROWS - 2, RIG_TIMEOUT_MS);
    cr_assert_neq(t[0]->rows.lane, t[1]->rows.lane);
    t[2] = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    t[3] = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    cr_assert_neq(t[2]->rows.lane, t[3]->rows.lane);
    t[4] = rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(t[4]->state, TASK_WAITING);
    rig_run_all();
    for (uint32_t i = 0; i < 4; i++)
        rig_answer(t[i]);
    rig_turn(0);
    cr_assert_eq(t[4]->state, TASK_RUNNING, "room wherever it is");
    rig_run_all();
    rig_answer(t[4]);
    rig_check_empty();
}

Test(task_devices, one_that_waited_when_the_last_device_went_is_refused)
{
    open_with(1, false);
    struct task *first = rig_offer(TG_BATCH, RIG_ROWS, RIG_TIMEOUT_MS), *second = offer(), *third;
    cr_assert_eq(second->state, TASK_RUNNING);
    third = rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(third->state, TASK_WAITING);
    set(BIT(1), 0);
    rig_run_all();
    rig_answer(first);
    rig_answer(second);
    rig_turn(0);
    cr_assert_eq(third->status, TG_DEVICE);
    rig_answer(third);
    rig_check_empty();
}

/* The rows that are out come back as a keeper gives them back that withdraws its device. */
static void withdraw(uint8_t attempts)
{
    tasks_publish(&rig.ts);
    for (uint32_t n = rig_take(); n > 0; n--) {
        struct tg_row *row = tg_lane_row(rig.running[n - 1].lane, rig.running[n - 1].cursor);
        row->attempts = attempts;
        row->start_ns = 0;
        rig_complete(n - 1, TG_DEVICE);
    }
    tasks_reap(&rig.ts);
}

Test(task_devices, one_that_only_waited_for_a_device_that_goes_is_run_by_another)
{
    open_with(2, false);
    struct task *t = rig_offer(TG_BATCH, 3, RIG_TIMEOUT_MS);
    uint32_t first = t->rows.lane->executor;
    memcpy(tg_rows_in(&t->rows, 2), "payload", 8);
    tg_rows_row(&t->rows, 2)->param = 77;
    withdraw(0);
    cr_assert_eq(t->state, TASK_RUNNING);
    cr_assert_eq(t->rows.lane->executor, 3 - first);
    cr_assert_str_eq(tg_rows_in(&t->rows, 2), "payload");
    cr_assert(tg_rows_row(&t->rows, 2)->param == 77 && tg_rows_row(&t->rows, 2)->part == 2);
    rig_run_all();
    cr_assert_eq(t->status, TG_OK);
    cr_assert_eq(rig_times_ready(t), 1);
    cr_assert_eq(rig_counter(METRIC_TASKS_MOVED), 1);
    cr_assert_eq(rig_counter(METRIC_TASKS_ACCEPTED), 1);
    rig_answer(t);
    rig_check_empty();
    cr_assert(rig.spread.rows[1] == 0 && rig.spread.rows[2] == 0);
}

Test(task_devices, one_that_was_on_the_device_as_it_died_is_not_given_to_another)
{
    open_with(2, true);
    struct task *t = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    withdraw(1);
    cr_assert_eq(t->status, TG_DEVICE);
    rig_answer(t);
    rig_check_empty();
}

Test(task_devices, one_that_waited_for_the_last_device_is_run_by_the_spare_or_refused)
{
    for (uint32_t spare = 0; spare < 2; spare++) {
        open_with(1, spare);
        struct task *t = offer();
        withdraw(0);
        cr_assert_eq(t->state, spare ? TASK_RUNNING : TASK_FINAL);
        rig_run_all();
        cr_assert_eq(t->status, spare ? TG_OK : TG_DEVICE);
        rig_answer(t);
        rig_check_empty();
        rig_close();
    }
    open_with(1, false);
}

/* Random life with devices that come and go: whoever is chosen may be chosen, and what is counted out comes back. */
Test(task_devices, are_chosen_by_the_rules_whatever_happens)
{
    uint64_t seed = test_seed("task_devices");
    struct task *open[RIG_TASKS];
    uint32_t count = 0;
    open_with(2, true);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t out = (uint32_t)test_random(&seed, 4) << 1, waiting = (uint32_t)test_random(&seed, 4) << 1 & ~out;
        set(out, waiting);
        struct task *t = count < RIG_TASKS ? rig_offer(TG_BATCH, 1 + (uint32_t)test_random(&seed, 3), RIG_TIMEOUT_MS) : NULL;
        if (t && t->state == TASK_RUNNING) {
            uint32_t bit = BIT(t->rows.lane->executor), up = 6u & ~out & ~waiting, left = 6u & ~out;
            cr_assert((up ? up : left ? left : 1u) & bit, "out %x, waiting %x, chosen %x", out, waiting, bit);
        }
        if (t)
            open[count++] = t;
        if (test_random(&seed, 4) == 0)
            withdraw((uint8_t)test_random(&seed, 2));
        if (count == RIG_TASKS || test_random(&seed, 3) == 0) {
            set(0, 0);
            rig_run_all();
            rig_turn(1000);
            rig_run_all();
            while (count > 0)
                rig_answer(open[--count]);
            cr_assert(rig.spread.rows[1] == 0 && rig.spread.rows[2] == 0);
        }
    }
    while (count > 0)
        rig_answer(open[--count]);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A task's life: the way through, and its end by time-out, cancellation and refusal in each state. */
#include "gateway/task/ready.h"
#include "task_rig.h"

static const struct rig_options roomy = {.max_concurrent = 8, .wait_ms = 2000};

static void begin(void)
{
    rig_open(&roomy);
}

TestSuite(task, .init = begin, .fini = rig_close);

static uint64_t outcomes(enum task_outcome o, enum tg_priority p)
{
    return atomic_load_explicit(&rig.metrics.tasks[0][p].outcomes[o], memory_order_relaxed);
}

/* ---- the way through ------------------------------------------------------------------------------- */

Test(task, goes_from_slot_to_answer)
{
    struct task *t = rig_offer(TG_INTERACTIVE, 3, RIG_TIMEOUT_MS);
    cr_assert_eq(t->state, TASK_RUNNING);
    cr_assert_eq(admission_active(&rig.admission), 1);
    rig_run_all();
    cr_assert_eq(t->state, TASK_FINAL);
    cr_assert_eq(t->status, TG_OK);
    cr_assert_eq(rig_times_ready(t), 1);
    cr_assert_eq(admission_active(&rig.admission), 0, "the slot is free before the answer is written");
    cr_assert_eq(tg_lane_used(rig.lanes[TG_INTERACTIVE]), 3, "the rows are not: they are the answer");
    cr_assert_eq(outcomes(OUTCOME_SUCCESS, TG_INTERACTIVE), 1);
    rig_answer(t);
    rig_check_empty();
}

Test(task, rows_carry_its_handle_and_stamps)
{
    struct task *t = rig_offer(TG_REALTIME, 2, 300);
    tasks_publish(&rig.ts);
    cr_assert_eq(rig_take(), 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct tg_row *row = tg_lane_row(rig.running[i].lane, rig.running[i].cursor);
        cr_assert_eq(row->task, t->handle);
        cr_assert_eq(row->arrival_ns, t->arrival_ns);
        cr_assert_eq(row->deadline_ns, t->arrival_ns + 300 * NS_PER_MS);
        cr_assert_eq(row->part, i);
    }
}

Test(task, nothing_is_visible_to_the_executor_before_it_is_published)
{
    rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(rig_take(), 0);
    tasks_publish(&rig.ts);
    cr_assert_eq(rig_take(), 1);
}

Test(task, is_ready_only_when_its_last_row_is_home)
{
    struct task *t = rig_offer(TG_BATCH, 3, RIG_TIMEOUT_MS);
    tasks_publish(&rig.ts);
    rig_take();
    for (uint32_t left = 3; left > 0; left--) {
        cr_assert_eq(rig_times_ready(t), 0);
        rig_complete(0, TG_OK);
        cr_assert(tasks_reap(&rig.ts));
    }
    cr_assert_eq(rig_times_ready(t), 1);
    cr_assert_not(tasks_reap(&rig.ts));
}

Test(task, one_failed_row_fails_it_and_gives_all_rows_back)
{
    struct task *t = rig_offer(TG_BATCH, 3, RIG_TIMEOUT_MS);
    tasks_publish(&rig.ts);
    rig_take();
    rig_complete(1, TG_BACKEND);
    rig_complete(0, TG_OK);
    rig_complete(0, TG_OK);
    tasks_reap(&rig.ts);
    cr_assert_eq(t->status, TG_BACKEND);
    cr_assert_eq(tg_lane_used(rig.lanes[TG_BATCH]), 0);
    cr_assert_eq(outcomes(OUTCOME_ERROR, TG_BATCH), 1);
}

Test(task, what_the_runner_refuses_is_refused_with_its_words)
{
    struct task *t = rig_offer(TG_BATCH, 0, RIG_TIMEOUT_MS);
    cr_assert_eq(t->status, TG_INVALID);
    cr_assert(t->has_error);
    cr_assert_str_eq(t->error.field, "payload");
    cr_assert_eq(admission_active(&rig.admission), 0);
    cr_assert_eq(outcomes(OUTCOME_REFUSED, TG_BATCH), 1);
    rig_answer(t);
    rig_check_empty();
}

Test(task, more_rows_than_a_lane_has_is_too_large_at_once)
{
    struct task *t = rig_offer(TG_REALTIME, RIG_ROWS + 1, RIG_TIMEOUT_MS);
    cr_assert_eq(t->status, TG_TOO_LARGE, "waiting would not help");
}

Test(task, when_all_slots_are_taken_there_is_none)
{
    for (uint32_t i = 0; i < RIG_TASKS; i++)
        cr_assert_not_null(task_open(&rig.ts, &rig.door, i));
    cr_assert_null(task_open(&rig.ts, &rig.door, 0));
}

Test(task, a_reused_slot_remembers_nothing)
{
    struct task *t = rig_offer(TG_BATCH, 0, RIG_TIMEOUT_MS);
    t->id_len = 9;
    t->has_id = true;
    rig_answer(t);
    struct task *again = task_open(&rig.ts, &rig.door, 3);
    cr_assert_eq(again, t);
    cr_assert(!again->has_id && again->id_len == 0 && !again->has_error && again->status == TG_OK);
    cr_assert_eq(again->owner, 3);
}

Test(task, what_is_no_task_is_not_counted_as_one)
{
    struct task *t = task_open(&rig.ts, &rig.door, 0);
    task_finish(&rig.ts, t, TG_NOT_FOUND);
    for (uint32_t slot = 0; slot < 2; slot++)
        for (uint32_t p = 0; p < TG_PRIORITIES; p++)
            for (uint32_t o = 0; o < OUTCOMES; o++)
                cr_assert_eq(
                    atomic_load_explicit(&rig.metrics.tasks[slot][p].outcomes[o], memory_order_relaxed), 0);
}

/* ---- time-outs ------------------------------------------------------------------------------------- */

Test(task, a_running_task_times_out_and_its_rows_come_home_unseen)
{
    struct task *t = rig_offer(TG_BATCH, 2, 100);
    tasks_publish(&rig.ts);
    rig_take();
    rig_turn(200 * NS_PER_MS);
    cr_assert_eq(t->status, TG_TIMEOUT);
    cr_assert_eq(rig_times_ready(t), 1);
    cr_assert_eq(admission_active(&rig.admission), 0);
    cr_assert_eq(outcomes(OUTCOME_TIMEOUT, TG_BATCH), 1);
    rig_complete(0, TG_OK);
    rig_turn(0);
    cr_assert_eq(tg_lane_used(rig.lanes[TG_BATCH]), 1);
    rig_answer(t);
    rig_complete(0, TG_TIMEOUT);
    rig_turn(0);
    cr_assert_eq(rig.ready_calls, 0, "the door hears of it once only");
    rig_check_empty();
}

Test(task, it_is_not_timed_out_before_its_time)
{
    struct task *t = rig_offer(TG_BATCH, 1, 100);
    rig_turn(100 * NS_PER_MS - 1);
    cr_assert_eq(t->state, TASK_RUNNING);
}

Test(task, a_timeout_with_some_rows_home_gives_those_back_at_once)
{
    struct task *t = rig_offer(TG_BATCH, 4, 100);
    tasks_publish(&rig.ts);
    rig_take();
    rig_complete(3, TG_OK);
    rig_complete(0, TG_OK);
    rig_turn(0);
    rig_turn(200 * NS_PER_MS);
    cr_assert_eq(t->status, TG_TIMEOUT);
    rig_answer(t);
    rig_run_all();
    rig_check_empty();
}

Test(task, a_final_task_has_no_timer_left)
{
    struct task *t = rig_offer(TG_BATCH, 1, 100);
    rig_run_all();
    rig_turn(NS_PER_S);
    cr_assert_eq(t->status, TG_OK);
    cr_assert_eq(rig_times_ready(t), 1);
}

/* A row that the executor found expired, while the worker's own timer has not yet come round. */
Test(task, a_row_that_comes_back_expired_is_a_timeout)
{
    struct task *t = rig_offer(TG_BATCH, 1, 100);
    tasks_publish(&rig.ts);
    rig_take();
    rig_complete(0, TG_TIMEOUT);
    rig_turn(0);
    cr_assert_eq(t->status, TG_TIMEOUT);
    cr_assert_eq(outcomes(OUTCOME_TIMEOUT, TG_BATCH), 1);
}

/* ---- cancellation ---------------------------------------------------------------------------------- */

Test(task, cancelled_while_open)
{
    struct task *t = task_open(&rig.ts, &rig.door, 0);
    task_close(&rig.ts, t);
    rig_check_empty();
}

Test(task, cancelled_before_its_rows_were_published)
{
    struct task *t = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    task_close(&rig.ts, t);
    cr_assert_eq(admission_active(&rig.admission), 0);
    rig_run_all();
    cr_assert_eq(rig.ready_calls, 0);
    rig_check_empty();
}

Test(task, cancelled_while_running)
{
    struct task *t = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    tasks_publish(&rig.ts);
    rig_take();
    task_close(&rig.ts, t);
    cr_assert_eq(rig_counter(METRIC_TASKS_CANCELLED), 1);
    rig_run_all();
    cr_assert_eq(rig.ready_calls, 0);
    rig_check_empty();
}

Test(task, cancelled_with_some_rows_home)
{
    struct task *t = rig_offer(TG_BATCH, 5, RIG_TIMEOUT_MS);
    tasks_publish(&rig.ts);
    rig_take();
    rig_complete(4, TG_OK);
    rig_complete(1, TG_BACKEND);
    tasks_reap(&rig.ts);
    task_close(&rig.ts, t);
    rig_run_all();
    rig_check_empty();
}

Test(task, cancelled_when_final_is_no_cancellation)
{
    struct task *t = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    rig_run_all();
    rig_answer(t);
    cr_assert_eq(rig_counter(METRIC_TASKS_CANCELLED), 0);
    rig_check_empty();
}

Test(task, rows_of_a_cancelled_task_do_not_reach_the_next_in_its_slot)
{
    struct task *old = rig_offer(TG_BATCH, 2, RIG_TIMEOUT_MS);
    tg_handle stale = old->handle;
    tasks_publish(&rig.ts);
    rig_take();
    task_close(&rig.ts, old);
    cr_assert_null(tg_pool_at(&rig.ts.pool, stale));
    struct task *next = rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(next, old, "the same slot");
    rig_complete(0, TG_BACKEND);
    rig_complete(0, TG_BACKEND);
    rig_turn(0);
    cr_assert_eq(next->state, TASK_RUNNING);
    rig_run_all();
    cr_assert_eq(next->status, TG_OK);
}

/* ---- a device that is out of service ---------------------------------------------------------------- */

Test(task, is_an_error_and_no_refusal_if_the_device_goes_while_it_runs)
{
    struct task *t = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    tasks_publish(&rig.ts);
    cr_assert_eq(rig_take(), 1);
    rig_complete(0, TG_DEVICE);
    tasks_reap(&rig.ts);
    cr_assert_eq(t->status, TG_DEVICE);
    cr_assert_eq(outcomes(OUTCOME_ERROR, TG_REALTIME), 1);
    rig_answer(t);
    rig_check_empty();
}

Test(task, reasons_come_and_go_one_by_one)
{
    ready_change(&rig.admission, READY_STARTING | READY_DEVICE_LOST, 0);
    ready_change(&rig.admission, READY_DEVICE_RESTARTING, READY_DEVICE_LOST | READY_DEVICE_RESTARTING);
    cr_assert_eq(ready_reasons(&rig.admission), READY_STARTING | READY_DEVICE_RESTARTING);
    cr_assert_eq(ready_named("no_driver"), READY_NO_DRIVER);
    cr_assert_eq(ready_named(""), 0);
}

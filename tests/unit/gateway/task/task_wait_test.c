/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for room: who may, in what order, for how long, and what happens when it is in vain. */
#include <string.h>
#include "task_rig.h"

static const struct rig_options single = {.max_concurrent = 1, .wait_ms = 2000};

static void begin(void)
{
    rig_open(&single);
}

TestSuite(task_wait, .init = begin, .fini = rig_close);

static void set_limit(uint32_t n)
{
    atomic_store_explicit(&rig.admission.max_concurrent, n, memory_order_relaxed);
}

/* One that runs and holds the only place, and one behind it. */
static struct task *occupy(void)
{
    struct task *t = rig_offer(TG_REALTIME, 1, 100000);
    cr_assert_eq(t->state, TASK_RUNNING);
    return t;
}

Test(task_wait, urgent_classes_wait_and_the_others_are_refused_at_once)
{
    occupy();
    cr_assert_eq(rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS)->state, TASK_WAITING);
    cr_assert_eq(rig_offer(TG_INTERACTIVE, 1, RIG_TIMEOUT_MS)->state, TASK_WAITING);
    cr_assert_eq(rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS)->status, TG_CAPACITY);
    cr_assert_eq(rig_offer(TG_BEST_EFFORT, 1, RIG_TIMEOUT_MS)->status, TG_CAPACITY);
    cr_assert_eq(rig_counter(METRIC_TASKS_WAITED), 2);
    cr_assert_eq(rig.ready[0]->retry_after_ms, 2000);
}

Test(task_wait, with_a_wait_of_zero_nobody_waits)
{
    atomic_store_explicit(&rig.admission.wait_ms, 0, memory_order_relaxed);
    occupy();
    cr_assert_eq(rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS)->status, TG_CAPACITY);
}

Test(task_wait, the_one_who_waits_starts_when_a_slot_frees)
{
    struct task *first = occupy(), *t = rig_offer(TG_INTERACTIVE, 2, RIG_TIMEOUT_MS);
    rig_turn(NS_PER_MS);
    cr_assert_eq(rig.resumed, 0, "nobody is offered again while nothing is free");
    rig_run_all();
    rig_turn(0);
    cr_assert_eq(t->state, TASK_RUNNING);
    cr_assert_null(t->body, "the stored body is given back");
    rig_run_all();
    cr_assert_eq(t->status, TG_OK);
    rig_answer(first);
    rig_answer(t);
    rig_check_empty();
}

Test(task_wait, a_slot_freed_by_another_worker_is_taken)
{
    set_limit(0);
    struct task *t = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(atomic_load_explicit(&rig.admission.waiting, memory_order_relaxed), 1);
    set_limit(1);
    rig_turn(0);
    cr_assert_eq(t->state, TASK_RUNNING);
    cr_assert_eq(atomic_load_explicit(&rig.admission.waiting, memory_order_relaxed), 0);
}

Test(task_wait, slots_go_by_rank_then_by_age)
{
    static const enum tg_priority order[] = {TG_INTERACTIVE, TG_REALTIME, TG_INTERACTIVE, TG_REALTIME};
    static const uint32_t expected[] = {1, 3, 0, 2};
    struct task *t[4];
    set_limit(0);
    for (uint32_t i = 0; i < 4; i++)
        t[i] = rig_offer(order[i], 1, RIG_TIMEOUT_MS);
    for (uint32_t n = 0; n < 4; n++) {
        set_limit(n + 1);
        rig_turn(NS_PER_MS);
        for (uint32_t i = 0; i < 4; i++) {
            bool due = false;
            for (uint32_t k = 0; k <= n; k++)
                due |= expected[k] == i;
            cr_assert_eq(t[i]->state, due ? TASK_RUNNING : TASK_WAITING, "task %u after %u slots", i, n + 1);
        }
    }
}

Test(task_wait, a_newcomer_does_not_overtake_its_own_class_or_a_higher_one)
{
    set_limit(0);
    rig_offer(TG_INTERACTIVE, 1, RIG_TIMEOUT_MS);
    set_limit(1); /* free, and the one who waits has not been offered it yet */
    cr_assert_eq(rig_offer(TG_INTERACTIVE, 1, RIG_TIMEOUT_MS)->state, TASK_WAITING);
    cr_assert_eq(rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS)->status, TG_CAPACITY);
    cr_assert_eq(rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS)->state, TASK_RUNNING, "a higher class does");
}

Test(task_wait, in_vain_it_ends_in_a_refusal_after_the_wait)
{
    occupy();
    struct task *t = rig_offer(TG_INTERACTIVE, 1, 60000);
    rig_turn(2000 * NS_PER_MS - 1);
    cr_assert_eq(t->state, TASK_WAITING);
    rig_turn(10 * NS_PER_MS);
    cr_assert_eq(t->status, TG_CAPACITY);
    cr_assert_eq(t->retry_after_ms, 2000);
    rig_answer(t);
    cr_assert_eq(rig.ts.waiting_count, 0);
    cr_assert_eq(rig.buffers.classes[0].used, 0);
}

Test(task_wait, a_deadline_within_the_wait_ends_in_a_timeout)
{
    occupy();
    struct task *t = rig_offer(TG_INTERACTIVE, 1, 300);
    rig_turn(310 * NS_PER_MS);
    cr_assert_eq(t->status, TG_TIMEOUT);
}

Test(task_wait, cancelled_while_waiting_it_leaves_the_queue)
{
    struct task *first = occupy();
    struct task *a = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS),
                *b = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS),
                *c = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    task_close(&rig.ts, b);
    task_close(&rig.ts, a);
    rig_run_all();
    rig_turn(0);
    cr_assert_eq(c->state, TASK_RUNNING);
    task_close(&rig.ts, c);
    rig_answer(first);
    rig_run_all();
    rig_check_empty();
}

Test(task_wait, without_a_buffer_for_its_body_it_is_refused)
{
    uint32_t waiting = 0;
    occupy();
    for (uint32_t i = 0; i < RIG_BUFFERS + 2; i++)
        waiting += rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS)->state == TASK_WAITING;
    cr_assert_eq(waiting, RIG_BUFFERS);
}

Test(task_wait, a_refused_payload_frees_the_place_for_the_next)
{
    set_limit(0);
    struct task *bad = rig_offer(TG_REALTIME, 0, RIG_TIMEOUT_MS),
                *good = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    set_limit(1);
    rig_turn(0);
    cr_assert_eq(bad->status, TG_INVALID);
    cr_assert_eq(good->state, TASK_RUNNING);
}

/* The last look before sleeping: a slot that came free after tasks_retry() must be seen without a ring. */
Test(task_wait, room_that_came_since_the_last_look_is_noticed)
{
    cr_assert_not(tasks_have_room(&rig.ts), "nobody waits");
    set_limit(0);
    rig_offer(TG_INTERACTIVE, 1, RIG_TIMEOUT_MS);
    rig_turn(0);
    cr_assert_not(tasks_have_room(&rig.ts));
    set_limit(1);
    cr_assert(tasks_have_room(&rig.ts));
    rig_turn(0);
    cr_assert_not(tasks_have_room(&rig.ts), "it was taken");
}

/* ---- room in a lane -------------------------------------------------------------------------------- */

Test(task_wait, a_full_lane_is_waited_for_without_holding_a_slot)
{
    set_limit(8);
    struct task *big = rig_offer(TG_REALTIME, RIG_ROWS, RIG_TIMEOUT_MS),
                *t = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(t->state, TASK_WAITING);
    cr_assert_eq(admission_active(&rig.admission), 1);
    rig_run_all();
    rig_turn(0);
    cr_assert_eq(t->state, TASK_WAITING, "the rows are still the big one's answer");
    cr_assert_not(tasks_have_room(&rig.ts), "a free slot is no room for one that wants rows");
    rig_answer(big);
    cr_assert(tasks_have_room(&rig.ts));
    rig_turn(0);
    cr_assert_eq(t->state, TASK_RUNNING);
}

Test(task_wait, a_full_lane_is_waited_for_by_classes_that_do_not_wait_for_a_slot)
{
    set_limit(8);
    struct task *big = rig_offer(TG_BATCH, RIG_ROWS, RIG_TIMEOUT_MS),
                *t = rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS), *next = rig_offer(TG_BATCH, 1, RIG_TIMEOUT_MS);
    cr_assert_eq(t->state, TASK_WAITING);
    cr_assert_eq(next->state, TASK_WAITING, "behind the first of the burst, not refused because of it");
    cr_assert_eq(admission_active(&rig.admission), 1);
    rig_run_all();
    rig_turn(0);
    rig_answer(big);
    rig_turn(0);
    cr_assert_eq(t->state, TASK_RUNNING);
    cr_assert_eq(next->state, TASK_RUNNING);
}

Test(task_wait, one_that_needs_more_rows_than_came_free_goes_back_to_the_front)
{
    set_limit(8);
    struct task *a = rig_offer(TG_REALTIME, RIG_ROWS / 2, RIG_TIMEOUT_MS),
                *b = rig_offer(TG_REALTIME, RIG_ROWS / 2, RIG_TIMEOUT_MS);
    struct task *large = rig_offer(TG_REALTIME, RIG_ROWS, RIG_TIMEOUT_MS),
                *small = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    rig_run_all();
    rig_answer(a);
    rig_turn(0);
    cr_assert(large->state == TASK_WAITING && small->state == TASK_WAITING, "nobody is overtaken");
    rig_answer(b);
    rig_turn(0);
    cr_assert(large->state == TASK_RUNNING && small->state == TASK_WAITING);
    rig_run_all();
    rig_answer(large);
    rig_turn(0);
    cr_assert_eq(small->state, TASK_RUNNING);
}

/* Rows that came free while somebody ahead still waited for a slot must not be forgotten. */
Test(task_wait, room_in_the_lane_is_remembered_until_it_was_offered)
{
    set_limit(2);
    struct task *big = rig_offer(TG_REALTIME, RIG_ROWS, RIG_TIMEOUT_MS);
    set_limit(1);
    struct task *first = rig_offer(TG_REALTIME, 1, 500);
    set_limit(2);
    struct task *second = rig_offer(TG_REALTIME, 1, RIG_TIMEOUT_MS);
    rig_turn(0); /* each is offered the slot and finds the lane full; they wait for rows now, in their order */
    cr_assert(first->state == TASK_WAITING && first->wants_lane);
    cr_assert(second->state == TASK_WAITING && second->wants_lane && second->wait_prev == first);
    set_limit(0);
    rig_run_all();
    rig_answer(big); /* rows are free, slots are not */
    rig_turn(0);
    cr_assert(first->state == TASK_WAITING && second->state == TASK_WAITING);
    set_limit(2);
    rig_turn(0);
    cr_assert_eq(first->state, TASK_RUNNING);
    cr_assert_eq(second->state, TASK_RUNNING);
}

Test(task_wait, rows_that_free_behind_a_slot_waiter_serve_the_one_after_it)
{
    set_limit(3);
    struct task *big = rig_offer(TG_INTERACTIVE, RIG_ROWS, 100000),
                *other = rig_offer(TG_REALTIME, 1, 100000);
    struct task *ahead, *behind = rig_offer(TG_INTERACTIVE, 1, RIG_TIMEOUT_MS);
    cr_assert(behind->state == TASK_WAITING && behind->wants_lane);
    set_limit(0);
    ahead = rig_offer(TG_REALTIME, 1, 500);
    cr_assert(ahead->state == TASK_WAITING && !ahead->wants_lane);
    rig_run_all(); /* both end; slots stay closed */
    rig_answer(big);
    rig_answer(other);
    rig_turn(0); /* behind is offered its rows, finds no slot, and now waits for a slot */
    set_limit(3);
    rig_turn(0);
    cr_assert_eq(ahead->state, TASK_RUNNING);
    cr_assert_eq(behind->state, TASK_RUNNING);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random life: offers, cancellations, completions in any order and with any status, time passing, limits
 * changing. Whatever happened, the door heard of each task once at most, and in the end nothing is left
 * anywhere.
 */
#include "task_rig.h"
#include "tests/support/seed.h"

#define ROUNDS 40
#define STEPS 1500

static uint64_t random_state;
static struct task *open_tasks[RIG_TASKS];
static uint32_t open_count;
static uint64_t offered, told;

static uint32_t dice(uint32_t below)
{
    return test_random(&random_state, below);
}

static void forget(uint32_t i)
{
    open_tasks[i] = open_tasks[--open_count];
}

static void offer(void)
{
    static const uint32_t sizes[] = {0, 1, 1, 2, 5, RIG_ROWS, RIG_ROWS + 1};
    struct task *t = rig_offer((enum tg_priority)dice(TG_PRIORITIES), sizes[dice(TG_ARRAY_SIZE(sizes))],
                               dice(4) ? RIG_TIMEOUT_MS : 1 + dice(200));
    cr_assert_eq(t == NULL, open_count == RIG_TASKS, "slots and tasks disagree");
    if (t) {
        open_tasks[open_count++] = t;
        offered++;
    }
}

/* In any state: a client may go away at any time, and a door answers when it likes. */
static void close_one(void)
{
    uint32_t i = open_count ? dice(open_count) : 0;
    if (open_count == 0)
        return;
    tg_handle handle = open_tasks[i]->handle;
    told += rig_times_ready(open_tasks[i]);
    rig_answer(open_tasks[i]);
    cr_assert_null(tg_pool_at(&rig.ts.pool, handle));
    forget(i);
}

static void complete_some(void)
{
    static const enum tg_status statuses[] = {TG_OK, TG_OK, TG_OK, TG_BACKEND, TG_TIMEOUT, TG_INVALID};
    rig_take();
    for (uint32_t n = dice(8); n > 0 && rig.running_count > 0; n--)
        rig_complete(dice(rig.running_count), statuses[dice(TG_ARRAY_SIZE(statuses))]);
}

static void check_invariants(void)
{
    uint32_t holding = 0, waiting = 0;
    for (uint32_t i = 0; i < open_count; i++) {
        struct task *t = open_tasks[i];
        cr_assert_eq(rig_times_ready(t), t->state == TASK_FINAL, "the door and the state disagree");
        cr_assert_eq(timer_is_armed(&t->timer), t->state != TASK_FINAL,
                     "running and waiting end by themselves");
        cr_assert(t->holds_slot == (t->state == TASK_RUNNING), "slots are for running tasks");
        cr_assert(t->state != TASK_WAITING || t->body, "one who waits has a body");
        holding += t->holds_slot;
        waiting += t->state == TASK_WAITING;
    }
    cr_assert_eq(admission_active(&rig.admission), holding);
    cr_assert_eq(rig.ts.waiting_count, waiting);
    cr_assert_eq(atomic_load_explicit(&rig.admission.waiting, memory_order_relaxed), waiting > 0);
    cr_assert_eq(tg_pool_used(&rig.ts.pool), open_count);
}

static void step(void)
{
    switch (dice(8)) {
    case 0:
    case 1:
        offer();
        break;
    case 2:
        close_one();
        break;
    case 3:
    case 4:
        complete_some();
        break;
    case 5:
        atomic_store_explicit(&rig.admission.max_concurrent, dice(8), memory_order_relaxed);
        break;
    default:
        rig_turn(dice(3) ? dice(1000000) : dice(400) * NS_PER_MS);
    }
    check_invariants();
}

static void wind_up(void)
{
    while (open_count > 0)
        close_one();
    for (uint32_t i = 0; i < 3; i++) {
        rig_run_all();
        rig_turn(0);
    }
    rig_check_empty();
}

Test(task_property, after_any_sequence_of_events_everything_is_given_back)
{
    uint64_t seed = test_seed("task_property");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        random_state = seed + 2 * round;
        rig_open(&(struct rig_options){.max_concurrent = 1 + dice(6), .wait_ms = dice(3) * 500});
        for (uint32_t i = 0; i < STEPS; i++)
            step();
        wind_up();
        rig_close();
    }
    cr_assert_gt(told, offered / 10, "the sequences are not all cancellations");
}

/* Nobody cancels: then every task gets an outcome, by itself or by the clock. */
Test(task_property, left_alone_every_task_gets_exactly_one_outcome)
{
    random_state = test_seed("task_property");
    rig_open(&(struct rig_options){.max_concurrent = 3, .wait_ms = 1000});
    for (uint32_t round = 0; round < 300; round++) {
        while (open_count < RIG_TASKS)
            offer();
        while (rig.ready_calls < RIG_TASKS) {
            complete_some();
            rig_turn(dice(100) * NS_PER_MS);
            check_invariants();
        }
        while (open_count > 0)
            close_one();
    }
    cr_assert_eq(told, offered);
    wind_up();
    rig_close();
}

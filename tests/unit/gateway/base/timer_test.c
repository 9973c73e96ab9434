/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel, by itself and against a model that keeps one due tick per timer and looks at all of them.
 */
#include <criterion/criterion.h>
#include "gateway/base/timer.h"
#include "tests/support/seed.h"

#define TICK_NS (UINT64_C(1) << TIMER_TICK_SHIFT)
#define TURN_NS (TICK_NS * TIMER_SLOTS)
#define START_NS (UINT64_C(1234567) << TIMER_TICK_SHIFT)
#define TIMERS 64
#define STEPS 40000

struct bench {
    struct timer_wheel wheel;
    struct timer timers[TIMERS];
    uint32_t fired[TIMERS];
    uint64_t now_ns;
    /* what a callback does besides counting */
    uint32_t cancels, rearms; /* timers + 1, 0: nothing */
    uint64_t rearm_ns;
};

static struct bench b;

static void fire(void *context, struct timer *t)
{
    cr_assert_eq(context, (void *)&b);
    cr_assert_not(timer_is_armed(t), "a timer that fires is disarmed already");
    b.fired[t - b.timers]++;
    if (b.cancels)
        timer_cancel(&b.wheel, &b.timers[b.cancels - 1]);
    if (b.rearms)
        timer_arm(&b.wheel, &b.timers[b.rearms - 1], b.rearm_ns);
}

static void begin(void)
{
    b = (struct bench){.now_ns = START_NS};
    timer_wheel_init(&b.wheel, START_NS);
}

static void advance(uint64_t to_ns)
{
    b.now_ns = to_ns;
    timer_wheel_advance(&b.wheel, to_ns, fire, &b);
}

static void arm(uint32_t i, uint64_t in_ns)
{
    timer_arm(&b.wheel, &b.timers[i], b.now_ns + in_ns);
}

TestSuite(timer, .init = begin);

Test(timer, an_empty_wheel_wakes_nobody)
{
    cr_assert_eq(timer_wheel_next_ns(&b.wheel), UINT64_MAX);
    advance(START_NS + 100 * TURN_NS);
    cr_assert_eq(timer_wheel_next_ns(&b.wheel), UINT64_MAX);
}

Test(timer, fires_once_within_a_tick_of_its_time_and_never_before)
{
    arm(0, 10 * TICK_NS + 7);
    advance(START_NS + 10 * TICK_NS + 6);
    cr_assert_eq(b.fired[0], 0);
    advance(START_NS + 11 * TICK_NS);
    cr_assert_eq(b.fired[0], 1);
    advance(START_NS + 3 * TURN_NS);
    cr_assert_eq(b.fired[0], 1);
}

Test(timer, an_instant_in_the_past_fires_at_the_next_tick)
{
    timer_arm(&b.wheel, &b.timers[0], 0);
    cr_assert(timer_wheel_next_ns(&b.wheel) <= START_NS + TICK_NS);
    advance(START_NS + TICK_NS);
    cr_assert_eq(b.fired[0], 1);
}

Test(timer, waits_whole_turns_of_the_wheel)
{
    arm(0, 3 * TURN_NS + 5 * TICK_NS);
    arm(1, 5 * TICK_NS);
    for (uint64_t t = START_NS; t < START_NS + 3 * TURN_NS + 5 * TICK_NS; t += 50 * TICK_NS)
        advance(t);
    cr_assert_eq(b.fired[0], 0);
    cr_assert_eq(b.fired[1], 1);
    advance(START_NS + 3 * TURN_NS + 6 * TICK_NS);
    cr_assert_eq(b.fired[0], 1);
}

Test(timer, a_sleep_of_many_turns_fires_everything_due_once)
{
    for (uint32_t i = 0; i < TIMERS; i++)
        arm(i, i * TURN_NS / 4);
    advance(START_NS + 10 * TURN_NS);
    for (uint32_t i = 0; i < TIMERS; i++)
        cr_assert_eq(b.fired[i], i * TURN_NS / 4 < 10 * TURN_NS, "timer %u", i);
}

Test(timer, moving_a_timer_forgets_the_old_instant)
{
    arm(0, 2 * TICK_NS);
    arm(0, 9 * TICK_NS);
    cr_assert_eq(b.wheel.armed, 1);
    advance(START_NS + 8 * TICK_NS);
    cr_assert_eq(b.fired[0], 0);
    arm(0, TICK_NS);
    advance(START_NS + 10 * TICK_NS);
    cr_assert_eq(b.fired[0], 1);
}

Test(timer, cancelling_is_final_and_may_be_repeated)
{
    arm(0, TICK_NS);
    timer_cancel(&b.wheel, &b.timers[0]);
    timer_cancel(&b.wheel, &b.timers[0]);
    cr_assert_eq(b.wheel.armed, 0);
    cr_assert_eq(timer_wheel_next_ns(&b.wheel), UINT64_MAX);
    advance(START_NS + 2 * TURN_NS);
    cr_assert_eq(b.fired[0], 0);
}

Test(timer, a_callback_may_cancel_another_of_the_same_instant)
{
    for (uint32_t i = 0; i < 3; i++)
        arm(i, TICK_NS);
    b.cancels = 2;
    advance(START_NS + 3 * TICK_NS);
    cr_assert_eq(b.fired[0], 1);
    cr_assert_eq(b.fired[1], 0);
    cr_assert_eq(b.fired[2], 1);
    cr_assert_eq(b.wheel.armed, 0);
}

Test(timer, a_callback_may_rearm_its_own_timer_without_end)
{
    arm(0, TICK_NS);
    b.rearms = 1;
    b.rearm_ns = 0; /* long past: the next tick */
    advance(START_NS + 100 * TICK_NS);
    cr_assert_eq(b.fired[0], 99, "once a tick, fired %u times", b.fired[0]);
    advance(START_NS + 2 * TURN_NS + 100 * TICK_NS);
    cr_assert_eq(b.fired[0], 99 + TIMER_SLOTS, "a long sleep is one turn");
    cr_assert_eq(b.wheel.armed, 1);
}

Test(timer, what_a_callback_arms_a_turn_ahead_in_the_same_slot_waits_that_turn)
{
    arm(0, TICK_NS);
    b.rearms = 2;
    b.rearm_ns = START_NS + TICK_NS + TURN_NS;
    advance(START_NS + 3 * TICK_NS);
    cr_assert_eq(b.fired[1], 0);
    b.rearms = 0;
    advance(START_NS + TURN_NS + TICK_NS);
    cr_assert_eq(b.fired[1], 0);
    advance(START_NS + TURN_NS + 2 * TICK_NS);
    cr_assert_eq(b.fired[1], 1);
}

/* ---- the model ------------------------------------------------------------------------------------- */

static struct {
    uint64_t due_tick[TIMERS]; /* 0: disarmed */
    uint64_t when_ns[TIMERS], random;
} model;

static uint64_t random_span(void)
{
    static const uint64_t spans[] = {TICK_NS, 20 * TICK_NS, TURN_NS, 5 * TURN_NS};
    uint64_t span = spans[test_random(&model.random, TG_ARRAY_SIZE(spans))];
    return test_random(&model.random, 1000003) * (span / 1000003 + 1);
}

static void model_arm(uint32_t i, uint64_t when_ns)
{
    timer_arm(&b.wheel, &b.timers[i], when_ns);
    model.when_ns[i] = when_ns;
    model.due_tick[i] = TG_MAX((when_ns >> TIMER_TICK_SHIFT) + 1, b.wheel.tick + 1);
}

static void model_cancel(uint32_t i)
{
    timer_cancel(&b.wheel, &b.timers[i]);
    model.due_tick[i] = 0;
}

/* Also plays the owner whose callback arms and cancels at will. */
static void model_fire(void *context, struct timer *t)
{
    uint32_t i = (uint32_t)(t - b.timers);
    cr_assert_neq(model.due_tick[i], 0, "timer %u fired though it was not armed", i);
    cr_assert_leq(model.due_tick[i], b.now_ns >> TIMER_TICK_SHIFT, "timer %u early", i);
    cr_assert_leq(model.when_ns[i], b.now_ns, "timer %u before its instant", i);
    model.due_tick[i] = 0;
    uint32_t other = test_random(&model.random, TIMERS);
    switch (test_random(&model.random, 4)) {
    case 0:
        model_arm(i, b.now_ns + random_span());
        break;
    case 1:
        model_cancel(other);
        break;
    case 2:
        model_arm(other, b.now_ns + TICK_NS + random_span());
        break;
    default:
        break;
    }
}

static uint64_t model_next_tick(void)
{
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < TIMERS; i++)
        if (model.due_tick[i])
            next = TG_MIN(next, model.due_tick[i]);
    return next;
}

static void model_advance(uint64_t to_ns)
{
    b.now_ns = to_ns;
    timer_wheel_advance(&b.wheel, to_ns, model_fire, &b);
    for (uint32_t i = 0; i < TIMERS; i++)
        cr_assert(model.due_tick[i] == 0 || model.due_tick[i] > to_ns >> TIMER_TICK_SHIFT, "timer %u is late",
                  i);
}

static void model_check(void)
{
    uint32_t armed = 0;
    for (uint32_t i = 0; i < TIMERS; i++) {
        cr_assert_eq(timer_is_armed(&b.timers[i]), model.due_tick[i] != 0);
        armed += model.due_tick[i] != 0;
    }
    cr_assert_eq(b.wheel.armed, armed);
    uint64_t next = timer_wheel_next_ns(&b.wheel), due = model_next_tick();
    cr_assert(due == UINT64_MAX ? next == UINT64_MAX : next <= due << TIMER_TICK_SHIFT, "next_ns is late");
    cr_assert_gt(next, b.now_ns, "next_ns lies ahead, or the host would spin");
}

Test(timer, behaves_as_the_model_under_random_traffic)
{
    model.random = test_seed("timer");
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t i = test_random(&model.random, TIMERS);
        switch (test_random(&model.random, 5)) {
        case 0:
        case 1:
            model_arm(i, b.now_ns + random_span());
            break;
        case 2:
            model_cancel(i);
            break;
        case 3:
            model_advance(b.now_ns + random_span());
            break;
        default:
            if (timer_wheel_next_ns(&b.wheel) != UINT64_MAX)
                model_advance(timer_wheel_next_ns(&b.wheel));
        }
        model_check();
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* An executor that dies with its device, and the next one that takes over where it stood. */
#include <criterion/criterion.h>
#include "executor_rig.h"
#include "gpu/executor.h"

static void open_with(const char *spec)
{
    const struct rig_options o = {
        .backend = "fault", .spec = spec, .max_batch = 4, .streams = 2, .process = true};
    rig_open(&o);
}

TestSuite(executor_process, .fini = rig_close);

/* The rig's rows are right, back once, and all there. */
static void assert_all_ran(void)
{
    rig_drain();
    cr_assert_eq(rig.wrong, 0);
    cr_assert_eq(rig.by_status[TG_OK], rig.put);
}

Test(executor_process, does_nothing_more_once_its_device_is_lost)
{
    open_with("cpu;fail=1;fault=lost");
    rig_put(0, 0, 6, UINT64_MAX);
    rig_turn();
    cr_assert(rig.ex->gone);
    cr_assert_str_eq(rig.life->why.field, "device_lost");
    cr_assert_eq(rig.log_lines, 0, "its keeper passes its last words on");
    cr_assert_not(rig_turn());
    cr_assert_eq(rig_reap(), 0, "what was on the device is for the next one to answer");
    rig_take_over("cpu");
    cr_assert_eq(rig_stats().rows_requeued, 4, "those that were on the device; the others wait as before");
    cr_assert(strstr(rig.log, "4 run once more, 0 were in two deaths"), "%s", rig.log);
    assert_all_ran();
}

Test(executor_process, does_not_call_its_device_lost_after_a_sticky_error)
{
    open_with("cpu;fail=1;fault=sticky");
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    cr_assert(rig.ex->gone);
    cr_assert_str_eq(rig.life->why.field, "");
    cr_assert(strstr(rig.life->why.message, "a sticky error while running"), "%s", rig.life->why.message);
}

Test(executor_process, runs_each_row_that_was_left_alone_and_before_anything_new)
{
    open_with("cpu;hang=1");
    rig_put(0, 0, 4, UINT64_MAX);
    rig_turn();
    rig_put(0, 0, 4, UINT64_MAX);
    rig_take_over("cpu");
    for (uint32_t row = 1; row <= 4; row++) {
        rig_turn();
        rig_reap();
        cr_assert_eq(rig.back, row);
        cr_assert_eq(tg_lane_row(rig.lanes[0], row - 1)->batch_rows, 1);
    }
    assert_all_ran();
    cr_assert_eq(tg_lane_row(rig.lanes[0], 4)->batch_rows, 4, "then batches as ever");
}

Test(executor_process, refuses_only_the_row_that_was_running_when_it_died_again)
{
    open_with("cpu;hang=1");
    rig_put(0, 0, 4, UINT64_MAX);
    rig_turn();
    rig_take_over("cpu;hang=2");
    rig_turn(); /* the first row runs */
    rig_turn(); /* the second hangs */
    rig_take_over("cpu");
    rig_drain();
    cr_assert_eq(rig.by_status[TG_OK], 3);
    cr_assert_eq(rig.by_status[TG_POISON], 1);
    cr_assert_eq(rig_stats().rows_poisoned, 1);
}

Test(executor_process, wakes_a_worker_whose_bit_stands_but_whose_wake_up_was_never_sent)
{
    open_with("cpu");
    struct tg_doorbell *worker = rig.workers[0];
    int64_t token = tg_doorbell_arm(worker);
    atomic_fetch_or(&worker->lines[0].bits[0], 1); /* the first half of a ring, and the end */
    rig_take_over("cpu");
    cr_assert_neq((int64_t)atomic_load(&worker->rings), token, "it would have slept on");
}

Test(executor_process, visits_lanes_whose_bits_were_taken_by_the_one_that_died)
{
    open_with("cpu");
    rig_put(1, 1, 3, UINT64_MAX);
    for (uint32_t word = 0; word < TG_DOORBELL_WORDS; word++)
        tg_doorbell_take(rig.doorbell, 1, word);
    rig_take_over("cpu");
    assert_all_ran();
}

Test(executor_process, tells_since_when_its_oldest_batch_has_been_running)
{
    open_with("cpu;hang=1");
    uint64_t submitted = rig.now_ns;
    executor_beat(rig.ex, rig.now_ns);
    cr_assert_eq(atomic_load(&rig.life->oldest_ns), 0);
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    rig.now_ns += SECOND;
    rig_put(0, 0, 1, UINT64_MAX);
    rig_turn();
    executor_beat(rig.ex, rig.now_ns);
    cr_assert_eq(atomic_load(&rig.life->oldest_ns), submitted);
    cr_assert_eq(atomic_load(&rig.life->beat_ns), rig.now_ns);
}

Test(executor_process, goes_on_counting_where_the_last_one_ended)
{
    open_with("cpu");
    rig_put(0, 0, 4, UINT64_MAX);
    rig_drain();
    rig_take_over("cpu");
    rig_put(0, 0, 4, UINT64_MAX);
    rig_drain();
    cr_assert_eq(rig_stats().rows, 8);
    cr_assert_eq(rig_stats().inflight, 0);
}

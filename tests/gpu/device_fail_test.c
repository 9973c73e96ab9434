/* SPDX-License-Identifier: Apache-2.0 */
/* The cuda device on an emulated runtime whose calls fail: every one of them, with codes of every class. */
#include <criterion/criterion.h>
#include <errno.h>
#include "../conformance/rig.h"
#include "emulated/cuda_runtime_api.h"

TestSuite(device_fail, .timeout = 240);

static const struct variant by_kernels = {.backend = "cuda", .spec = "direct_kib=64", .computes = true, .kernels = true};
static const struct variant by_copies = {
    .backend = "cuda", .spec = "direct_kib=0,buffer_kib=4", .computes = true, .kernels = true};
static const struct variant measured = {.backend = "cuda", .spec = "buffer_kib=8", .computes = true, .kernels = true};
static struct rig rig;

/* Open, attach and load as the executor does. Returns the first error; whatever was opened stays open. */
static int begin(const struct variant *v)
{
    int rc = rig_open_only(&rig, v);
    if (rc != 0)
        return rc;
    test_lane_open(&rig.lane, 64, SCRAMBLE_IN_STRIDE, SCRAMBLE_OUT_STRIDE);
    rc = rig.backend->attach(rig.device, rig.lane.arena.base, rig.lane.arena.size);
    return rc == 0 ? rig.backend->load(rig.device, &scramble_runner, &rig.self, &rig.why) : rc;
}

static uint64_t calls_to_begin(const struct variant *v)
{
    uint64_t before = emulator_calls();
    cr_assert_eq(begin(v), 0, "%s", rig.why.message);
    before = emulator_calls() - before;
    rig_close(&rig);
    return before;
}

/* Some failures are put up with (no graph, no pinning), the others end the start with a reason. */
static void fail_each_call_of_the_start(const struct variant *v, int code, uint64_t step)
{
    uint64_t calls = calls_to_begin(v), failed = 0;
    for (uint64_t nth = 1; nth <= calls; nth += nth < 60 ? 1 : step) {
        emulator_fail(nth, code);
        int rc = begin(v);
        emulator_fail(0, code); /* it may not have come to that call */
        failed += rc < 0;
        cr_assert_leq(rc, 0, "call %lu gave %d", (unsigned long)nth, rc);
        if (rc == 0) {
            struct rig_job *j = rig_prepare(&rig, 0, 5);
            cr_assert_eq(rig_submit(&rig, j), 0, "call %lu", (unsigned long)nth);
            rig_finish(&rig, j);
            cr_assert_eq(rig_wrong_rows(&rig, j), 0, "call %lu", (unsigned long)nth);
        }
        rig_close(&rig);
        emulator_fail(0, 0);
        cr_assert_eq(emulator_leaks(), 0, "call %lu of %lu", (unsigned long)nth, (unsigned long)calls);
    }
    cr_assert_gt(failed, 10);
}

Test(device_fail, a_start_that_fails_at_any_call_leaves_nothing_behind)
{
    fail_each_call_of_the_start(&by_kernels, cudaErrorMemoryAllocation, 29);
    fail_each_call_of_the_start(&measured, cudaErrorUnknown, 41);
}

Test(device_fail, a_start_that_spoils_the_process_leaves_nothing_behind)
{
    fail_each_call_of_the_start(&by_copies, cudaErrorIllegalAddress, 37);
}

/* ---- batches --------------------------------------------------------------------------------------------- */

static const struct {
    int code;
    enum tg_device_fault fault;
} kinds[] = {
    {cudaErrorMemoryAllocation, TG_FAULT_RETRY},
    {cudaErrorInvalidValue, TG_FAULT_TASK},
    {cudaErrorIllegalAddress, TG_FAULT_STICKY},
    {cudaErrorDevicesUnavailable, TG_FAULT_LOST},
};

/* One batch; the fault it ended with, at whatever point. */
static enum tg_device_fault run_once(struct rig_job **job)
{
    struct rig_job *j = *job = rig_prepare(&rig, 0, 40);
    rig_cut(&rig, j, 3);
    int rc = rig_submit(&rig, j);
    if (rc == 0)
        rig_finish(&rig, j);
    else
        cr_assert_eq(rc, j->job.error);
    return j->job.fault;
}

static void fail_nth_call(const struct variant *v, uint64_t nth, int code, enum tg_device_fault fault)
{
    struct rig_job *j;
    cr_assert_eq(begin(v), 0);
    emulator_fail(nth, code);
    enum tg_device_fault got = run_once(&j);
    emulator_fail(0, code);
    if (got == TG_FAULT_NONE)
        cr_assert_eq(rig_wrong_rows(&rig, j), 0);
    else
        cr_assert(got == fault && j->job.error < 0, "call %lu with %d: fault %d", (unsigned long)nth, code, got);
    rig_retire(&rig, j);
    bool gone = got == TG_FAULT_STICKY || got == TG_FAULT_LOST;
    cr_assert_eq(run_once(&j), gone ? got : TG_FAULT_NONE, "after call %lu with %d", (unsigned long)nth, code);
    rig_close(&rig);
    emulator_fail(0, 0);
    cr_assert_eq(emulator_leaks(), 0);
}

Test(device_fail, a_batch_ends_with_the_class_of_what_failed_and_the_next_one_is_fine_or_refused)
{
    for (size_t k = 0; k < TG_ARRAY_SIZE(kinds); k++) {
        fail_nth_call(&by_kernels, 1, kinds[k].code, kinds[k].fault);
        for (uint64_t nth = 1; nth <= 30; nth += nth < 8 ? 1 : 5)
            fail_nth_call(&by_copies, nth, kinds[k].code, kinds[k].fault);
    }
}

/* The launch went well, so nothing but the stream knows: `done` is never written. */
static void die_in_a_kernel(const struct variant *v)
{
    struct rig_job *j;
    cr_assert_eq(begin(v), 0);
    emulator_kill_kernels(cudaErrorIllegalAddress);
    cr_assert_eq(run_once(&j), TG_FAULT_STICKY);
    cr_assert_eq(j->job.error, -EFAULT);
    rig_close(&rig);
    emulator_kill_kernels(0);
}

Test(device_fail, a_kernel_that_dies_is_noticed)
{
    die_in_a_kernel(&by_kernels);
    die_in_a_kernel(&by_copies);
}

/* All that is in flight ends with the first one's fault. */
Test(device_fail, one_death_ends_every_stream)
{
    cr_assert_eq(begin(&by_kernels), 0);
    emulator_kill_kernels(cudaErrorLaunchTimeout);
    for (uint32_t s = 0; s < 4; s++)
        cr_assert_eq(rig_submit(&rig, rig_prepare(&rig, s, 3)), 0);
    for (uint32_t s = 0; s < 4; s++) {
        rig_finish(&rig, &rig.jobs[s]);
        cr_assert_eq(rig.jobs[s].job.fault, TG_FAULT_STICKY);
        cr_assert_eq(rig.jobs[s].job.error, -ETIMEDOUT);
    }
    rig_close(&rig);
    emulator_kill_kernels(0);
}

/* Every batch of it would fail; elsewhere it may do well. */
Test(device_fail, a_runner_whose_kernels_cannot_be_launched_is_refused)
{
    cr_assert_eq(rig_open_only(&rig, &by_kernels), 0);
    emulator_refuse_launches(cudaErrorNoKernelImageForDevice);
    cr_assert_lt(rig.backend->load(rig.device, &scramble_runner, &rig.self, &rig.why), 0);
    cr_assert_not_null(strstr(rig.why.message, "cudaErrorNoKernelImageForDevice"), "%s", rig.why.message);
    rig_close(&rig);
    emulator_refuse_launches(0);
    cr_assert_eq(emulator_leaks(), 0);
}

Test(device_fail, memory_that_cannot_be_pinned_is_served_all_the_same)
{
    struct rig_job *j;
    emulator_refuse_pinning(1);
    cr_assert_eq(begin(&by_kernels), 0);
    cr_assert_eq(run_once(&j), TG_FAULT_NONE);
    cr_assert_eq(rig_wrong_rows(&rig, j), 0);
    rig_close(&rig);
    emulator_refuse_pinning(0);
    cr_assert_eq(emulator_leaks(), 0);
}

Test(device_fail, small_batches_are_one_graph_each_and_large_ones_none)
{
    struct rig_job *j;
    cr_assert_eq(begin(&by_kernels), 0);
    uint64_t before = emulator_graph_launches(), calls = emulator_calls();
    cr_assert_eq(run_once(&j), TG_FAULT_NONE);
    cr_assert_eq(emulator_graph_launches() - before, 1);
    cr_assert_leq(emulator_calls() - calls, 3, "one to launch, at most some to ask");
    rig_close(&rig);
    cr_assert_eq(begin(&by_copies), 0);
    before = emulator_graph_launches();
    cr_assert_eq(run_once(&j), TG_FAULT_NONE);
    cr_assert_eq(emulator_graph_launches(), before);
    rig_close(&rig);
}

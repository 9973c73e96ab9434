/* SPDX-License-Identifier: Apache-2.0 */
/* How the cpu device cuts batches into parts, and that its threads sleep, wake and end. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "gpu/cpu/part.h"
#include "rig.h"

Test(cpu_parts, cheap_rows_are_never_cut)
{
    cr_assert_eq(tg_cpu_part_rows(100000, 0, 16), 100000);
    cr_assert_eq(tg_cpu_part_rows(19, 1000, 16), 19, "19 us are not worth a second thread");
}

Test(cpu_parts, one_thread_gets_the_whole_batch)
{
    cr_assert_eq(tg_cpu_part_rows(1000, 1000000, 1), 1000);
}

Test(cpu_parts, no_part_but_the_last_is_too_small_and_there_are_not_too_many)
{
    for (uint32_t count = 1; count < 5000; count = count * 5 / 4 + 1)
        for (uint32_t row_ns = 1; row_ns < 200000; row_ns = row_ns * 3 + 1)
            for (uint32_t threads = 1; threads <= 64; threads *= 2) {
                uint32_t rows = tg_cpu_part_rows(count, row_ns, threads);
                uint32_t parts = (count - 1) / rows + 1;
                cr_assert(rows >= 1 && rows <= count);
                cr_assert(parts <= threads * TG_CPU_PARTS_PER_THREAD);
                cr_assert(parts == 1 || (uint64_t)rows * row_ns >= TG_CPU_PART_NS);
                cr_assert(parts == 1 || rows < 8 || rows % 8 == 0);
            }
}

Test(cpu_parts, sizes_near_the_end_of_32_bits_do_not_overflow)
{
    cr_assert_eq(tg_cpu_part_rows(UINT32_MAX, 1, 2) % 8, 0);
    cr_assert_eq(tg_cpu_part_rows(UINT32_MAX, UINT32_MAX, 1), UINT32_MAX);
    cr_assert_eq(tg_cpu_part_rows(1, UINT32_MAX, UINT32_MAX), 1);
}

static const struct variant in_caller = {.backend = "cpu", .computes = true};
static const struct variant two_threads = {.backend = "cpu", .threads = 2, .computes = true};
static const struct variant three_threads = {.backend = "cpu", .threads = 3, .computes = true};

/* Any stretch of rows, run as a part, gives those rows and no others. */
Test(cpu_parts, a_part_computes_its_rows_alone)
{
    struct rig rig;
    uint64_t ready_ns;
    rig_open(&rig, &in_caller, 0, 256);
    struct rig_job *j = rig_prepare(&rig, 0, 200);

    rig_cut(&rig, j, 150);
    for (uint32_t first = 0; first < 200; first += 13)
        for (uint32_t count = 1; first + count <= 200; count = count * 2 + 1) {
            uint32_t before = rig.self.rows;
            cr_assert_eq(tg_cpu_part_run(&j->job, first, count, &ready_ns), 0);
            cr_assert_eq(rig.self.rows - before, count);
            struct rig_job part = {.first = j->first + first, .count = count};
            cr_assert_eq(rig_wrong_rows(&rig, &part), 0);
            cr_assert(rig_canaries_alive(&rig, &part));
            for (uint32_t i = 0; i < count; i++)
                memset(tg_lane_out(rig.lane.lane, part.first + i), TEST_CANARY, SCRAMBLE_OUT_STRIDE);
        }
    rig_close(&rig);
}

Test(cpu_parts, costly_batches_are_computed_by_several_threads_at_once)
{
    struct rig rig;
    rig_open(&rig, &two_threads, 1000000, 128);
    struct rig_job *j = rig_prepare(&rig, 0, 64);

    rig_row(&rig, j, 0)->param |= SCRAMBLE_WAIT;
    rig_row(&rig, j, 63)->param |= SCRAMBLE_WAIT;
    cr_assert_eq(rig_submit(&rig, j), 0);
    while (atomic_load_explicit(&rig.self.waiting, memory_order_relaxed) != 2)
        sched_yield();
    cr_assert(!rig_poll(&rig, j));
    atomic_store_explicit(&rig.self.gate, 1, memory_order_release);
    rig_finish(&rig, j);
    cr_assert_eq(rig_wrong_rows(&rig, j), 0);
    cr_assert_eq(rig.self.calls, 8);
    rig_close(&rig);
}

Test(cpu_parts, submitting_without_load_is_our_own_mistake, .signal = SIGABRT)
{
    struct rig rig;
    struct scramble stranger = {0};
    rig_open(&rig, &in_caller, 0, 16);
    struct rig_job *j = rig_prepare(&rig, 0, 1);

    j->job.self = &stranger;
    rig_submit(&rig, j);
}

Test(cpu_parts, too_many_threads_are_refused_with_a_reason)
{
    const struct variant v = {.backend = "cpu", .threads = 100000};
    struct rig rig;

    cr_assert_eq(rig_open_only(&rig, &v), -EINVAL);
    cr_assert_str_eq(rig.why.field, "threads");
    rig_close(&rig);
}

/* ---- threads ------------------------------------------------------------------------------------------- */

/* "12 (tg-cpu-0) S ...": is it one of ours, and in which state? */
static char thread_state(const char *id)
{
    char path[300], name[32] = "", state = 0;

    snprintf(path, sizeof(path), "/proc/self/task/%s/stat", id);
    FILE *f = fopen(path, "r");
    if (!f)
        return 0;
    int fields = fscanf(f, "%*d (%31[^)]) %c", name, &state);
    fclose(f);
    return fields == 2 && strncmp(name, "tg-cpu-", 7) == 0 ? state : 0;
}

/* Number of compute threads; those in @state only, unless it is 0. */
static uint32_t compute_threads(char state)
{
    DIR *tasks = opendir("/proc/self/task");
    uint32_t n = 0;

    for (struct dirent *d = readdir(tasks); d; d = readdir(tasks)) {
        char s = thread_state(d->d_name);
        n += s != 0 && (state == 0 || s == state);
    }
    closedir(tasks);
    return n;
}

Test(cpu_parts, threads_carry_names_and_end_with_the_device, .timeout = 300)
{
    struct rig rig;

    rig_open(&rig, &three_threads, 0, 16);
    cr_assert_eq(compute_threads(0), 3);
    rig_close(&rig);
    while (compute_threads(0) != 0) /* a joined thread leaves /proc a moment later */
        sched_yield();
}

static void wait_until_asleep(uint32_t threads)
{
    while (compute_threads('S') != threads)
        usleep(1000);
}

Test(cpu_parts, threads_without_work_sleep_and_wake_for_it, .timeout = 300)
{
    struct rig rig;

    rig_open(&rig, &three_threads, 50000, 256);
    for (int i = 0; i < 20; i++) {
        wait_until_asleep(3);
        struct rig_job *j = rig_prepare(&rig, 0, 1 + (uint32_t)i * 5);
        cr_assert_eq(rig_submit(&rig, j), 0);
        rig_finish(&rig, j);
        cr_assert_eq(rig_wrong_rows(&rig, j), 0);
        rig_retire(&rig, j);
    }
    rig_close(&rig);
}

/*
 * The executor's way to sleep: arm, look once more, wait. Without the ring at the end this would never
 * return.
 */
Test(cpu_parts, the_end_of_a_batch_wakes_a_sleeping_executor, .timeout = 300)
{
    struct rig rig;

    rig_open(&rig, &two_threads, 5000, 256);
    for (int i = 0; i < 5000; i++) {
        struct rig_job *j = rig_prepare(&rig, 0, 1 + (uint32_t)i % 50);
        cr_assert_eq(rig_submit(&rig, j), 0);
        while (!rig_poll(&rig, j)) {
            int64_t token = tg_doorbell_arm(rig.doorbell);
            bool ended = rig_poll(&rig, j);
            if (!ended)
                tg_doorbell_wait(rig.doorbell, token, UINT64_MAX);
            tg_doorbell_disarm(rig.doorbell);
            if (ended)
                break;
        }
        cr_assert_eq(rig_wrong_rows(&rig, j), 0);
        rig_retire(&rig, j);
    }
    rig_close(&rig);
}

Test(cpu_parts, nobody_rings_for_an_executor_that_is_awake)
{
    struct rig rig;
    rig_open(&rig, &two_threads, 5000, 256);
    struct rig_job *j = rig_prepare(&rig, 0, 50);

    cr_assert_eq(rig_submit(&rig, j), 0);
    rig_finish(&rig, j);
    rig.backend->close(rig.device); /* whoever would ring has done it by now */
    rig.device = NULL;
    cr_assert_eq(atomic_load_explicit(&rig.doorbell->rings, memory_order_relaxed), 0);
    rig_close(&rig);
}

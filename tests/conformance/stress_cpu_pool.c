/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compute threads under load, for ThreadSanitizer (Criterion cannot run under it): many small batches in
 * many parts, an executor that sleeps now and then, devices closed with work queued. Every row is compared
 * with the reference. Prints the seed and the cost of a batch; argv: batches, seed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "rig.h"

static struct rig rig;

static void check(struct rig_job *j)
{
    TG_ASSERT(j->job.fault == TG_FAULT_NONE && rig_wrong_rows(&rig, j) == 0);
    rig_retire(&rig, j);
}

static uint32_t submit_some(uint32_t rows_max)
{
    uint32_t submitted = 0;

    for (uint32_t s = 0; s < RIG_STREAMS; s++) {
        uint32_t rows = 1 + test_random(&rig.seed, rows_max);
        if (rig.jobs[s].running || rig.lane.lane->mask + 1 - tg_lane_used(rig.lane.lane) < rows)
            continue;
        struct rig_job *j = rig_prepare(&rig, s, rows);
        rig_cut(&rig, j, 1 + test_random(&rig.seed, 4));
        TG_ASSERT(rig_submit(&rig, j) == 0);
        submitted++;
    }
    return submitted;
}

static uint32_t reap(void)
{
    uint32_t ended = 0;

    for (uint32_t s = 0; s < RIG_STREAMS; s++)
        if (rig.jobs[s].running && rig_poll(&rig, &rig.jobs[s])) {
            check(&rig.jobs[s]);
            ended++;
        }
    return ended;
}

/* As the executor does it: announce sleep, look once more, sleep. Hangs if a wake-up is ever lost. */
static uint32_t sleep_and_reap(void)
{
    int64_t token = tg_doorbell_arm(rig.doorbell);
    uint32_t ended = reap();

    if (ended == 0 && token >= 0)
        tg_doorbell_wait(rig.doorbell, token, UINT64_MAX);
    tg_doorbell_disarm(rig.doorbell);
    return ended;
}

static void stress(uint32_t threads, uint32_t row_ns, uint32_t batches, uint64_t seed)
{
    const struct variant v = {.backend = "cpu", .threads = threads};
    uint32_t submitted = 0, ended = 0;

    rig_open(&rig, &v, row_ns, 1024);
    rig.seed = seed;
    uint64_t start_ns = test_now_ns();
    while (ended < batches) {
        if (submitted < batches)
            submitted += submit_some(row_ns ? 64 : 4);
        ended += reap();
        if (ended < submitted && test_random(&rig.seed, 4) == 0)
            ended += sleep_and_reap();
    }
    printf("threads %u, %" PRIu32 " ns a row: %.0f ns a batch, %u rows, %u parts\n", threads, row_ns,
           (double)(test_now_ns() - start_ns) / ended, rig.self.rows, rig.self.calls);
    TG_ASSERT(submitted >= batches);
    rig_close(&rig);
}

/* Close comes at any moment of a batch's life. */
static void close_at_any_moment(uint32_t threads, uint32_t rounds, uint64_t seed)
{
    const struct variant v = {.backend = "cpu", .threads = threads};

    for (uint32_t i = 0; i < rounds; i++) {
        rig_open(&rig, &v, 5000, 1024);
        rig.seed = seed + i + 1;
        submit_some(128);
        for (uint32_t spin = test_random(&rig.seed, 2000); spin > 0; spin--)
            __asm__ volatile("" ::: "memory");
        rig_close(&rig);
    }
}

int main(int argc, char **argv)
{
    uint32_t batches = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 20000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 20261120;

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("seed %" PRIu64 "\n", seed);
    for (uint32_t threads = 1; threads <= 4; threads *= 2) {
        stress(threads, 0, batches, seed);
        stress(threads, 5000, batches, seed);
        close_at_any_moment(threads, 200, seed);
    }
    return 0;
}

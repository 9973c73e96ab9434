/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the executor itself costs: rows from lanes into batches and back, on a device that computes nothing. One
 * thread plays worker and executor in turn; "executor" is the time within the executor's turns alone, "with the
 * worker's side" all of it. Figures are for people to read: nothing is asserted.
 *
 * bench-former [--rounds N] [--cpu N]
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "stage.h"

#define ROUNDS_MAX 1001
#define ROUND_ROWS 20480u

static struct {
    uint32_t rounds;
    int cpu;
} options = {101, -1};

struct shape {
    uint32_t lanes, max_batch, waiting; /* rows that wait in all lanes when the executor has its turn */
};

static const struct shape shapes[] = {
    {1, 256, 256}, {1, 256, 1}, {8, 256, 256}, {8, 256, 2048}, {64, 256, 256}, {64, 256, 4096},
    {8, 1, 256},   {8, 32, 256}, {8, 1024, 4096}, {64, 4096, 16384},
};

/* One round: the executor's own nanoseconds; all of them in @whole. */
static double run_round(struct stage *s, const struct shape *h, double *whole)
{
    uint64_t within = 0, begin = stage_now_ns();
    uint32_t done = 0;
    while (done < ROUND_ROWS) {
        uint64_t now = stage_now_ns();
        for (uint32_t l = 0; l < h->lanes; l++)
            stage_put(s, l, (h->waiting + h->lanes - 1) / h->lanes, now);
        uint64_t wake_ns = UINT64_MAX, start = stage_now_ns();
        while (tg_executor_turn(s->ex, start, &wake_ns))
            ;
        within += stage_now_ns() - start;
        done += stage_take(s);
    }
    *whole = (double)(stage_now_ns() - begin) / done;
    return (double)within / done;
}

static void measure(const struct shape *h)
{
    static double within[ROUNDS_MAX], whole[ROUNDS_MAX];
    static const struct tg_setting settings[] = {{"type", "noop", NULL}, {NULL, NULL, NULL}};
    struct stage s;
    struct stage_options o = {.backend = "null",
                              .settings = settings,
                              .lanes = h->lanes,
                              .lane_rows = 1024,
                              .max_batch = h->max_batch,
                              .streams = 2};
    stage_open(&s, &o);
    stage_start(&s, &o);
    for (uint32_t i = 0; i < options.rounds; i++)
        within[i] = run_round(&s, h, &whole[i]);
    stage_close(&s);
    stage_sort(within, options.rounds);
    stage_sort(whole, options.rounds);
    uint32_t mid = options.rounds / 2;
    printf("%5u %9u %7u %8.1f %8.1f %10.2f %10.2f %8.1f %8.1f\n", h->lanes, h->max_batch, h->waiting, within[0],
           within[mid], 1000 / within[0], 1000 / within[mid], whole[0], whole[mid]);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"rounds", required_argument, NULL, 'r'}, {"cpu", required_argument, NULL, 'c'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'r')
            options.rounds = (uint32_t)strtoul(optarg, NULL, 0);
        else if (c == 'c')
            options.cpu = atoi(optarg);
        else
            options.rounds = 0;
    }
    if (options.rounds < 1 || options.rounds > ROUNDS_MAX || optind != argc) {
        fprintf(stderr, "usage: bench-former [--rounds 1..%d] [--cpu N]\n", ROUNDS_MAX);
        return 2;
    }
    stage_pin(options.cpu);
    printf("                        executor, ns/row     million rows/s      whole, ns/row\n");
    printf("lanes max_batch waiting     best   median       best     median     best   median   (%u rounds of %u rows)\n",
           options.rounds, ROUND_ROWS);
    for (size_t i = 0; i < TG_ARRAY_SIZE(shapes); i++)
        measure(&shapes[i]);
    return 0;
}

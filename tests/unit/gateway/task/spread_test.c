/* SPDX-License-Identifier: Apache-2.0 */
/* Which device gets a row. Devices and time are played: each works off its queue, row by row, at a speed of its own. */
#include <criterion/criterion.h>
#include "gateway/base/clock.h"
#include "gateway/task/spread.h"
#include "gpu/pace.h"
#include "tests/support/seed.h"

#define DEVICES 4
#define WORKERS 3
#define QUEUE 256
#define ALL_DEVICES (((1u << DEVICES) - 1) << 1)

struct device {
    uint64_t row_ns, free_ns; /* a row takes so long; the one being run ends then */
    uint32_t queue[QUEUE], head, tail; /* whose rows wait, or run */
    uint64_t rows;
    struct pace_sum sum;
    struct tg_pace *pace;
};

static struct tg_arena arena;
static struct spread_load *loads;
static struct spread spreads[WORKERS];
static struct device devices[DEVICES + 1]; /* by number */
static uint64_t now_ns;

static void open_all(void)
{
    struct tg_pace *pace[TG_EXECUTORS_MAX] = {NULL};
    cr_assert_eq(tg_arena_init(&arena, 1u << 20, TG_ARENA_PRIVATE), 0);
    loads = tg_arena_alloc(&arena, WORKERS * sizeof(*loads), TG_CACHE_SEPARATION);
    now_ns = 1000 * NS_PER_S;
    for (uint32_t n = 1; n <= DEVICES; n++) {
        pace[n] = tg_arena_alloc(&arena, sizeof(struct tg_pace), TG_CACHE_SEPARATION);
        devices[n] = (struct device){.row_ns = 1000, .pace = pace[n]};
    }
    for (uint32_t w = 0; w < WORKERS; w++) {
        struct spread_options o = {loads, w, WORKERS, DEVICES + 1, 1, pace};
        cr_assert_eq(spread_init(&spreads[w], &arena, &o), 0);
    }
}

static void close_all(void)
{
    tg_arena_finish(&arena);
}

TestSuite(spread, .init = open_all, .fini = close_all);

/* A row of a worker's to one of @among. Returns which. */
static uint32_t send_one(uint32_t worker, uint32_t among)
{
    uint32_t n = spread_choose(&spreads[worker], 0, among, now_ns);
    struct device *d = &devices[n];
    cr_assert(among >> n & 1);
    cr_assert_lt(d->tail - d->head, QUEUE);
    if (d->head == d->tail)
        d->free_ns = now_ns + d->row_ns;
    d->queue[d->tail++ % QUEUE] = worker;
    spread_sent(&spreads[worker], n, 0, 1, now_ns);
    spread_tell(&spreads[worker], now_ns);
    return n;
}

/* The row that ends next, of all devices, comes back. Returns whose it was. */
static uint32_t end_one(void)
{
    struct device *next = NULL;
    for (uint32_t n = 1; n <= DEVICES; n++)
        if (devices[n].head != devices[n].tail && (!next || devices[n].free_ns < next->free_ns))
            next = &devices[n];
    uint32_t worker = next->queue[next->head++ % QUEUE];
    now_ns = next->free_ns;
    next->free_ns += next->row_ns;
    next->rows++;
    pace_note(&next->sum, next->pace, 1, next->row_ns, now_ns);
    spread_back(&spreads[worker], (uint32_t)(next - devices), 0, 1);
    spread_tell(&spreads[worker], now_ns);
    return worker;
}

/* All workers together keep so many rows out, until so many have come back. */
static void run(uint32_t out, uint64_t rows, uint32_t among)
{
    for (uint32_t i = 0; i < out; i++)
        send_one(i % WORKERS, among);
    for (uint64_t i = 0; i < rows; i++)
        send_one(end_one(), among);
}

static void drain(void)
{
    for (uint32_t n = 1; n <= DEVICES; n++)
        while (devices[n].head != devices[n].tail)
            end_one();
}

Test(spread, equal_devices_get_equal_shares)
{
    run(24, 40000, ALL_DEVICES);
    for (uint32_t n = 1; n <= DEVICES; n++)
        cr_assert(devices[n].rows > 9000 && devices[n].rows < 11000, "%u: %lu", n, (unsigned long)devices[n].rows);
}

Test(spread, shares_are_in_proportion_to_speed_whatever_the_speeds_are)
{
    uint64_t seed = test_seed("spread");
    for (uint32_t round = 0; round < 40; round++) {
        double speeds = 0, total = 0;
        close_all();
        open_all();
        for (uint32_t n = 1; n <= DEVICES; n++) {
            devices[n].row_ns = 1000 + test_random(&seed, 7000);
            speeds += 1.0 / (double)devices[n].row_ns;
        }
        run(96, 2000, ALL_DEVICES); /* until they are known */
        for (uint32_t n = 1; n <= DEVICES; n++)
            devices[n].rows = 0;
        for (uint32_t i = 0; i < 30000; i++)
            send_one(end_one(), ALL_DEVICES);
        for (uint32_t n = 1; n <= DEVICES; n++)
            total += (double)devices[n].rows;
        for (uint32_t n = 1; n <= DEVICES; n++) {
            double fair = total / (double)devices[n].row_ns / speeds, got = (double)devices[n].rows;
            cr_assert(got > fair * 0.85 && got < fair * 1.15, "device %u of %lu ns: %.0f rows, fair are %.0f", n,
                      (unsigned long)devices[n].row_ns, got, fair);
        }
    }
}

Test(spread, a_lone_row_goes_where_it_is_done_first)
{
    devices[3].row_ns = 100;
    run(4, 400, ALL_DEVICES);
    drain();
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(send_one(0, ALL_DEVICES), 3);
        end_one();
        now_ns += 1000;
    }
}

Test(spread, those_that_are_as_good_take_turns)
{
    uint32_t got[DEVICES + 1] = {0};
    for (uint32_t i = 0; i < 4 * DEVICES; i++)
        got[send_one(1, ALL_DEVICES)]++;
    for (uint32_t n = 1; n <= DEVICES; n++)
        cr_assert_eq(got[n], 4);
}

Test(spread, only_those_asked_for_are_chosen)
{
    for (uint32_t i = 0; i < 100; i++) {
        uint32_t n = send_one(0, 1u << 2 | 1u << 4);
        cr_assert(n == 2 || n == 4);
    }
    run(8, 1000, 1u << 1 | 1u << 3);
    cr_assert_gt(devices[3].rows, 400);
}

Test(spread, what_other_workers_have_there_counts)
{
    for (uint32_t i = 0; i < 50; i++)
        send_one(0, 1u << 1 | 1u << 2 | 1u << 3);
    now_ns += 10;
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(send_one(1, ALL_DEVICES), 4);
}

Test(spread, one_that_gives_nothing_back_is_sent_less_and_less)
{
    uint32_t to_it = 0;
    run(8, 1000, ALL_DEVICES);
    devices[2].free_ns += 20 * NS_PER_S; /* it hangs */
    for (uint32_t i = 0; i < 3000; i++)
        to_it += send_one(end_one(), ALL_DEVICES) == 2;
    cr_assert_lt(to_it, 20, "%u", to_it);
}

Test(spread, one_that_was_slow_is_tried_again_after_a_while)
{
    devices[4].row_ns = 50 * 1000;
    run(6, 2000, ALL_DEVICES);
    devices[4].row_ns = 1000;
    drain();
    uint64_t before = devices[4].rows;
    for (uint32_t second = 0; second < 20; second++) { /* so little to do that the slow one is not needed */
        now_ns += NS_PER_S;
        for (uint32_t i = 0; i < 4; i++) {
            send_one(0, ALL_DEVICES);
            end_one();
        }
    }
    cr_assert_gt(devices[4].rows, before + 4);
}

Test(spread, rows_of_a_large_task_count_as_many)
{
    run(4, 400, ALL_DEVICES);
    spread_sent(&spreads[0], 1, 0, 100, now_ns);
    spread_tell(&spreads[0], now_ns);
    now_ns++;
    for (uint32_t i = 0; i < 30; i++)
        cr_assert_neq(send_one(1, ALL_DEVICES), 1);
    spread_back(&spreads[0], 1, 0, 100);
}

/* ---- what executors say of themselves ---------------------------------------------------------------------------- */

static uint64_t told(void)
{
    return atomic_load(&devices[1].pace->row_ns);
}

Test(spread, a_batch_counts_for_as_much_as_its_rows)
{
    struct device *d = &devices[1];
    for (uint32_t i = 0; i < 200; i++) {
        pace_note(&d->sum, d->pace, 100, 100 * 50, 1);
        pace_note(&d->sum, d->pace, 1, 5000, 1);
    }
    cr_assert(told() > 80 && told() < 120, "%lu", (unsigned long)told()); /* (5000 + 5000) / 101 */
}

Test(spread, failing_quickly_does_not_look_like_being_fast)
{
    struct device *d = &devices[1];
    for (uint32_t i = 0; i < 20; i++)
        pace_note(&d->sum, d->pace, 10, 10000, 1);
    uint64_t sound = told();
    pace_note_failure(&d->sum, d->pace, 2);
    pace_note_failure(&d->sum, d->pace, 3);
    cr_assert_geq(told(), 4 * sound);
    for (uint32_t i = 0; i < 100; i++)
        pace_note_failure(&d->sum, d->pace, 4);
    cr_assert_leq(told(), PACE_NS_MAX);
    for (uint32_t i = 0; i < 500; i++)
        pace_note(&d->sum, d->pace, 10, 10000, 5);
    cr_assert(told() < 2 * sound, "and it is forgotten");
}

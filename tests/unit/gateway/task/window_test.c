/* SPDX-License-Identifier: Apache-2.0 */
/* The replay window: what it remembers, for how long, and that of many who note one name only one is first.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include "gateway/base/clock.h"
#include "gateway/task/window.h"

#define SECONDS 300
#define NOW (UINT64_C(5000000) * NS_PER_S)
#define THREADS 4
#define NAMES 5000

static struct tg_arena arena;
static struct window window;

static void make(uint32_t entries)
{
    cr_assert_eq(tg_arena_init(&arena, 1u << 20, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(window_init(&window, &arena, entries, SECONDS), 0);
}

static void end(void)
{
    tg_arena_finish(&arena);
}

static enum window_result note_number(uint32_t number, uint64_t now_ns)
{
    char name[32];
    int n = snprintf(name, sizeof(name), "nonce-%u", number);
    return window_note(&window, (struct tg_str){name, (size_t)n}, now_ns);
}

TestSuite(window, .fini = end);

Test(window, a_name_is_new_once)
{
    make(1000);
    cr_assert_eq(window_note(&window, TG_STR("n"), NOW), WINDOW_NEW);
    cr_assert_eq(window_note(&window, TG_STR("n"), NOW), WINDOW_SEEN);
    cr_assert_eq(window_note(&window, TG_STR("m"), NOW), WINDOW_NEW);
}

Test(window, names_are_compared_whole)
{
    make(1000);
    cr_assert_eq(window_note(&window, ((struct tg_str){"a\0b", 3}), NOW), WINDOW_NEW);
    cr_assert_eq(window_note(&window, ((struct tg_str){"a\0c", 3}), NOW), WINDOW_NEW);
    cr_assert_eq(window_note(&window, TG_STR("a"), NOW), WINDOW_NEW);
    cr_assert_eq(window_note(&window, ((struct tg_str){"a\0b", 3}), NOW), WINDOW_SEEN);
}

Test(window, a_name_is_forgotten_when_its_time_is_up)
{
    make(1000);
    note_number(1, NOW);
    cr_assert_eq(note_number(1, NOW + (SECONDS - 1) * NS_PER_S), WINDOW_SEEN);
    cr_assert_eq(note_number(1, NOW + SECONDS * NS_PER_S), WINDOW_NEW);
    cr_assert_eq(note_number(1, NOW + SECONDS * NS_PER_S), WINDOW_SEEN);
}

Test(window, being_seen_does_not_prolong_the_time)
{
    make(1000);
    note_number(1, NOW);
    for (uint64_t s = 1; s < SECONDS; s++)
        cr_assert_eq(note_number(1, NOW + s * NS_PER_S), WINDOW_SEEN);
    cr_assert_eq(note_number(1, NOW + SECONDS * NS_PER_S), WINDOW_NEW);
}

/* Workers read the clock once a turn: one may still live in the second before the one of the first sighting.
 */
Test(window, a_clock_that_lags_behind_the_first_sighting_is_no_way_round)
{
    make(1000);
    note_number(1, NOW + NS_PER_S);
    cr_assert_eq(note_number(1, NOW), WINDOW_SEEN);
    cr_assert_eq(note_number(1, NOW + NS_PER_S), WINDOW_SEEN);
}

/* Times are kept modulo 2^24 seconds. */
Test(window, works_across_the_wrap_of_its_clock)
{
    uint64_t wrap = (UINT64_C(1) << 24) * NS_PER_S;
    make(1000);
    note_number(1, wrap - 5 * NS_PER_S);
    cr_assert_eq(note_number(1, wrap + 5 * NS_PER_S), WINDOW_SEEN);
    cr_assert_eq(note_number(1, wrap + SECONDS * NS_PER_S), WINDOW_NEW);
}

Test(window, as_many_names_as_promised_fit)
{
    uint32_t evicted = 0;
    make(NAMES);
    for (uint32_t i = 0; i < NAMES; i++)
        evicted += note_number(i, NOW) == WINDOW_NEW_EVICTED;
    cr_assert_leq(evicted, NAMES / 100, "%u of %u evicted before the table was full", evicted, NAMES);
    uint32_t forgotten = 0;
    for (uint32_t i = 0; i < NAMES; i++)
        forgotten += note_number(i, NOW) != WINDOW_SEEN;
    cr_assert_leq(forgotten, 20 * evicted);
}

Test(window, a_full_bucket_forgets_its_oldest_and_says_so)
{
    make(1); /* one bucket of fifteen */
    for (uint32_t i = 0; i < 15; i++)
        cr_assert_eq(note_number(i, NOW + i * NS_PER_S), WINDOW_NEW);
    cr_assert_eq(note_number(15, NOW + 15 * NS_PER_S), WINDOW_NEW_EVICTED);
    for (uint32_t i = 1; i <= 15; i++)
        cr_assert_eq(note_number(i, NOW + 15 * NS_PER_S), WINDOW_SEEN, "name %u", i);
    cr_assert_eq(note_number(0, NOW + 16 * NS_PER_S), WINDOW_NEW_EVICTED);
}

Test(window, expired_entries_make_room_without_an_eviction)
{
    make(1);
    for (uint32_t i = 0; i < 15; i++)
        note_number(i, NOW);
    for (uint32_t i = 15; i < 30; i++)
        cr_assert_eq(note_number(i, NOW + SECONDS * NS_PER_S), WINDOW_NEW);
}

Test(window, two_windows_place_the_same_names_differently)
{
    struct window other;
    make(100);
    cr_assert_eq(window_init(&other, &arena, 100, SECONDS), 0);
    cr_assert_neq(siphash(&window.key, "n", 1), siphash(&other.key, "n", 1));
}

Test(window, too_little_memory_is_said_so)
{
    struct window w;
    make(100);
    cr_assert_eq(window_init(&w, &arena, 1u << 20, SECONDS), -ENOMEM);
}

/* ---- many threads ---------------------------------------------------------------------------------- */

static pthread_barrier_t start;

static void *note_all(void *first_sightings)
{
    uint32_t *news = first_sightings;
    pthread_barrier_wait(&start);
    for (uint32_t i = 0; i < NAMES; i++)
        *news += note_number(i, NOW) != WINDOW_SEEN;
    return NULL;
}

Test(window, of_many_threads_noting_one_name_exactly_one_is_first)
{
    pthread_t threads[THREADS];
    uint32_t news[THREADS] = {0}, sum = 0;
    make(8 * NAMES); /* room enough that nothing is evicted */
    pthread_barrier_init(&start, NULL, THREADS);
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, note_all, &news[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += news[i];
    }
    cr_assert_eq(sum, NAMES);
}

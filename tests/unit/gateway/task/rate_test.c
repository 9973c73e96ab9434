/* SPDX-License-Identifier: Apache-2.0 */
/* The rate limit by name: its window, its neighbours, and a full table. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include "gateway/base/clock.h"
#include "gateway/task/rate.h"

#define LIMIT 5
#define WINDOW_NS (RATE_WINDOW_S * NS_PER_S)
#define NOW (1000 * WINDOW_NS)
#define THREADS 4
#define HITS 2000

static struct tg_arena arena;
static struct rate rate;

static void begin(void)
{
    cr_assert_eq(tg_arena_init(&arena, 1u << 20, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(rate_init(&rate, &arena, LIMIT), 0);
}

static void end(void)
{
    tg_arena_finish(&arena);
}

static uint32_t allowed(struct tg_str name, uint32_t hits, uint64_t now_ns)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < hits; i++)
        n += rate_hit(&rate, name, now_ns);
    return n;
}

TestSuite(rate, .init = begin, .fini = end);

Test(rate, a_name_has_its_limit_in_each_window)
{
    cr_assert_eq(allowed(TG_STR("https://a.example"), 20, NOW), LIMIT);
    cr_assert_eq(allowed(TG_STR("https://a.example"), 20, NOW + WINDOW_NS - 1), 0);
    cr_assert_eq(allowed(TG_STR("https://a.example"), 20, NOW + WINDOW_NS), LIMIT);
}

Test(rate, names_do_not_share_a_limit)
{
    cr_assert_eq(allowed(TG_STR("https://a.example"), 20, NOW), LIMIT);
    cr_assert_eq(allowed(TG_STR("https://b.example"), 20, NOW), LIMIT);
}

Test(rate, zero_turns_it_off_and_a_new_limit_takes_effect)
{
    atomic_store_explicit(&rate.limit, 0, memory_order_relaxed);
    cr_assert_eq(allowed(TG_STR("a"), 100, NOW), 100);
    atomic_store_explicit(&rate.limit, 2, memory_order_relaxed);
    cr_assert_eq(allowed(TG_STR("a"), 100, NOW), 2);
    atomic_store_explicit(&rate.limit, 3, memory_order_relaxed);
    cr_assert_eq(allowed(TG_STR("a"), 100, NOW), 1);
}

Test(rate, a_flood_of_names_does_not_free_the_one_that_hits_most)
{
    char name[32];
    cr_assert_eq(allowed(TG_STR("flooder"), LIMIT, NOW), LIMIT);
    for (uint32_t i = 0; i < 50000; i++) {
        int n = snprintf(name, sizeof(name), "name-%u", i);
        rate_hit(&rate, (struct tg_str){name, (size_t)n}, NOW);
    }
    cr_assert_eq(allowed(TG_STR("flooder"), 20, NOW), 0, "names with fewer hits make room first");
}

static void *hit_one_name(void *count)
{
    *(uint32_t *)count = allowed(TG_STR("shared"), HITS, NOW);
    return NULL;
}

Test(rate, many_threads_together_get_the_limit_once)
{
    pthread_t threads[THREADS];
    uint32_t count[THREADS], sum = 0;
    atomic_store_explicit(&rate.limit, HITS, memory_order_relaxed);
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, hit_one_name, &count[i]), 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += count[i];
    }
    cr_assert_eq(sum, HITS);
}

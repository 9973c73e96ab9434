/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: capacity, generations, and what becomes of handles kept too long. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include "tg/pool.h"

struct thing {
    uint64_t a, b, c;
};

static struct tg_arena arena;

static struct tg_pool make(uint32_t capacity)
{
    struct tg_pool p;
    cr_assert_eq(tg_arena_init(&arena, 1 << 20, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(tg_pool_init(&p, &arena, sizeof(struct thing), capacity), 0);
    return p;
}

Test(pool, gives_each_object_once_and_then_says_no)
{
    struct tg_pool p = make(5);
    struct thing *seen[5];
    tg_handle h;
    for (int i = 0; i < 5; i++) {
        seen[i] = tg_pool_get(&p, &h);
        cr_assert_not_null(seen[i]);
        cr_assert_eq((uint32_t)h, (uint32_t)i, "lowest index first");
        for (int j = 0; j < i; j++)
            cr_assert_neq(seen[i], seen[j]);
    }
    tg_handle untouched = 77;
    cr_assert_null(tg_pool_get(&p, &untouched));
    cr_assert_eq(untouched, 77);
    cr_assert_eq(tg_pool_used(&p), 5);
}

Test(pool, objects_are_zero_at_first_and_keep_their_bytes_later)
{
    struct tg_pool p = make(1);
    tg_handle h;
    struct thing *t = tg_pool_get(&p, &h);
    cr_assert_eq(t->a + t->b + t->c, 0);
    t->c = 99;
    tg_pool_put(&p, h);
    t = tg_pool_get(&p, &h);
    cr_assert_eq(t->c, 99);
}

Test(pool, a_handle_resolves_until_its_object_is_returned)
{
    struct tg_pool p = make(4);
    tg_handle h;
    struct thing *t = tg_pool_get(&p, &h);
    cr_assert_eq(tg_pool_at(&p, h), (void *)t);
    tg_pool_put(&p, h);
    cr_assert_null(tg_pool_at(&p, h));
}

Test(pool, a_stale_handle_does_not_reach_the_next_owner)
{
    struct tg_pool p = make(4);
    tg_handle old, new;
    void *first = tg_pool_get(&p, &old);
    tg_pool_put(&p, old);
    void *second = tg_pool_get(&p, &new);
    cr_assert_eq(first, second, "last returned, first given");
    cr_assert_neq(old, new);
    cr_assert_null(tg_pool_at(&p, old));
    cr_assert_eq(tg_pool_at(&p, new), second);
}

Test(pool, no_handle_is_zero_and_none_was_never_given)
{
    struct tg_pool p = make(4);
    cr_assert_null(tg_pool_at(&p, 0));
    cr_assert_null(tg_pool_at(&p, (tg_handle)1 << 32), "live generation of an object never taken");
    tg_handle h;
    tg_pool_get(&p, &h);
    cr_assert_neq(h, 0);
    cr_assert_null(tg_pool_at(&p, h + 1), "another index");
    cr_assert_null(tg_pool_at(&p, h + ((tg_handle)2 << 32)), "a generation to come");
    cr_assert_null(tg_pool_at(&p, (h & ~(tg_handle)UINT32_MAX) | 4), "index beyond the end");
    cr_assert_null(tg_pool_at(&p, UINT64_MAX));
}

Test(pool, generations_survive_wrapping_round)
{
    struct tg_pool p = make(1);
    p.generations[0] = UINT32_MAX - 1; /* as if taken and returned 2^31 - 1 times */
    tg_handle last, next;
    void *t = tg_pool_get(&p, &last);
    cr_assert_eq(last >> 32, UINT32_MAX);
    cr_assert_eq(tg_pool_at(&p, last), t);
    tg_pool_put(&p, last);
    cr_assert_null(tg_pool_at(&p, 0), "generation 0 is free");
    tg_pool_get(&p, &next);
    cr_assert_eq(next >> 32, 1);
    cr_assert_null(tg_pool_at(&p, last));
}

Test(pool, random_traffic_keeps_the_books)
{
    struct tg_pool p = make(64);
    tg_handle live[64];
    uint32_t n = 0, seed = 12345;
    for (int i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        if ((seed >> 16) % 2 && n < 64) {
            struct thing *t = tg_pool_get(&p, &live[n]);
            t->a = live[n++];
        } else if (n > 0) {
            uint32_t victim = (seed >> 20) % n;
            cr_assert_eq(((struct thing *)tg_pool_at(&p, live[victim]))->a, live[victim]);
            tg_pool_put(&p, live[victim]);
            cr_assert_null(tg_pool_at(&p, live[victim]));
            live[victim] = live[--n];
        }
        cr_assert_eq(tg_pool_used(&p), n);
    }
}

Test(pool, returning_twice_stops_the_process, .signal = SIGABRT)
{
    struct tg_pool p = make(4);
    tg_handle h;
    tg_pool_get(&p, &h);
    tg_pool_put(&p, h);
    tg_pool_put(&p, h);
}

Test(pool, returning_a_foreign_handle_stops_the_process, .signal = SIGABRT)
{
    struct tg_pool p = make(4);
    tg_handle h;
    tg_pool_get(&p, &h);
    tg_pool_put(&p, h | 3);
}

Test(pool, says_why_it_cannot_be_made)
{
    struct tg_pool p;
    cr_assert_eq(tg_arena_init(&arena, 4096, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(tg_pool_init(&p, &arena, 64, 0), -EINVAL);
    cr_assert_eq(tg_pool_init(&p, &arena, 0, 4), -EINVAL);
    cr_assert_eq(tg_pool_init(&p, &arena, 64, 64), -ENOMEM);
    cr_assert_eq(tg_pool_init(&p, &arena, UINT32_MAX, UINT32_MAX), -ENOMEM);
    tg_handle h;
    cr_assert_null(tg_pool_get(&p, &h), "a pool that was not made is an empty one");
}

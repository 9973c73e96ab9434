/* SPDX-License-Identifier: Apache-2.0 */
/* The start-up arena: alignment, exhaustion, the seal, and shared memory seen through a second mapping. */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include "tg/arena.h"

Test(arena, hands_out_zeroed_memory_aligned_as_asked)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 1 << 20, TG_ARENA_PRIVATE), 0);
    for (size_t align = 1; align <= 65536; align *= 2) {
        char *p = tg_arena_alloc(&a, 3, align);
        cr_assert_not_null(p);
        cr_assert_eq((uintptr_t)p % align, 0);
        for (int i = 0; i < 3; i++)
            cr_assert_eq(p[i], 0);
        p[0] = p[1] = p[2] = 0x5a;
    }
    tg_arena_finish(&a);
}

Test(arena, pieces_never_overlap)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 1 << 16, TG_ARENA_PRIVATE), 0);
    char *end = a.base;
    for (size_t bytes = 1; bytes < 200; bytes++) {
        char *p = tg_arena_alloc(&a, bytes, 8);
        cr_assert(p >= end && p + bytes <= a.base + a.size);
        end = p + bytes;
    }
    tg_arena_finish(&a);
}

Test(arena, is_used_up_to_the_last_byte_and_then_says_no)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 8192, TG_ARENA_PRIVATE), 0);
    char *p = tg_arena_alloc(&a, 8000, 1);
    cr_assert_not_null(p);
    cr_assert_null(tg_arena_alloc(&a, 193, 1));
    cr_assert_null(tg_arena_alloc(&a, 150, 4096), "the gap counts too");
    char *last = tg_arena_alloc(&a, 192, 1);
    cr_assert_eq(last, p + 8000);
    last[191] = 1;
    cr_assert_null(tg_arena_alloc(&a, 1, 1));
    tg_arena_finish(&a);
}

Test(arena, refuses_a_size_that_would_overflow)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 4096, TG_ARENA_PRIVATE), 0);
    cr_assert_not_null(tg_arena_alloc(&a, 1, 1));
    cr_assert_null(tg_arena_alloc(&a, SIZE_MAX, 64));
    cr_assert_null(tg_arena_alloc(&a, SIZE_MAX - 62, 64));
    cr_assert_eq(a.used, 1, "a refusal takes nothing");
    tg_arena_finish(&a);
}

Test(arena, refuses_to_be_empty)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 0, TG_ARENA_PRIVATE), -EINVAL);
    cr_assert_eq(tg_arena_init(&a, 0, TG_ARENA_SHARED), -EINVAL);
    tg_arena_finish(&a);
}

Test(arena, reserving_more_than_the_machine_has_costs_nothing)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, (size_t)1 << 40, TG_ARENA_PRIVATE), 0);
    char *p = tg_arena_alloc(&a, (size_t)1 << 39, 4096);
    cr_assert_not_null(p);
    p[((size_t)1 << 39) - 1] = 1;
    tg_arena_finish(&a);
}

Test(arena, alloc_after_the_seal_stops_the_process, .signal = SIGABRT)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 4096, TG_ARENA_PRIVATE), 0);
    cr_assert_not_null(tg_arena_alloc(&a, 64, 64));
    tg_arena_seal(&a);
    tg_arena_alloc(&a, 64, 64);
}

Test(arena, an_alignment_that_is_no_power_of_two_stops_the_process, .signal = SIGABRT)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 4096, TG_ARENA_PRIVATE), 0);
    tg_arena_alloc(&a, 64, 48);
}

Test(arena, a_shared_one_is_the_same_memory_at_another_address)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 8192, TG_ARENA_SHARED), 0);
    cr_assert_geq(a.fd, 0);
    char *p = tg_arena_alloc(&a, 16, 16);
    char *other = mmap(NULL, a.size, PROT_READ | PROT_WRITE, MAP_SHARED, a.fd, 0);
    cr_assert_neq((void *)other, MAP_FAILED);
    cr_assert_neq(other, a.base);
    p[5] = 42;
    cr_assert_eq(other[p + 5 - a.base], 42);
    munmap(other, a.size);
    tg_arena_finish(&a);
}

Test(arena, nobody_can_resize_a_shared_one)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 8192, TG_ARENA_SHARED), 0);
    cr_assert_neq(ftruncate(a.fd, 0), 0);
    cr_assert_neq(ftruncate(a.fd, 16384), 0);
    tg_arena_finish(&a);
}

Test(arena, finish_twice_is_harmless)
{
    struct tg_arena a;
    cr_assert_eq(tg_arena_init(&a, 8192, TG_ARENA_SHARED), 0);
    tg_arena_finish(&a);
    tg_arena_finish(&a);
    cr_assert_null(a.base);
    cr_assert_eq(a.fd, -1);
}

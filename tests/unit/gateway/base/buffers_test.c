/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: what fits where, what happens when a class is used up, and that none is lost or given twice. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/base/buffers.h"
#include "tests/support/seed.h"

#define BYTES_MAX (1u << 20)
#define CLASS_BYTES (64u << 10)
#define COUNT_MIN 2
#define HEADER sizeof(struct buffer)

static struct tg_arena arena;
static struct buffer_pool pool;

static void begin(void)
{
    size_t bytes = buffer_pool_bytes(BYTES_MAX, CLASS_BYTES, COUNT_MIN);
    cr_assert_eq(tg_arena_init(&arena, bytes, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(buffer_pool_init(&pool, &arena, BYTES_MAX, CLASS_BYTES, COUNT_MIN), 0);
}

static void end(void)
{
    tg_arena_finish(&arena);
}

static uint32_t used(void)
{
    uint32_t sum = 0;
    for (uint32_t c = 0; c < BUFFER_CLASSES; c++)
        sum += pool.classes[c].used;
    return sum;
}

TestSuite(buffers, .init = begin, .fini = end);

Test(buffers, classes_grow_by_four_from_4_KiB)
{
    cr_assert_eq(buffer_class_bytes(0), 4096);
    for (uint32_t c = 1; c < BUFFER_CLASSES; c++)
        cr_assert_eq(buffer_class_bytes(c), 4 * buffer_class_bytes(c - 1));
    cr_assert_eq(buffer_class_bytes(BUFFER_CLASSES - 1), 256u << 20);
}

Test(buffers, the_smallest_class_that_holds_the_bytes_is_used)
{
    static const struct {
        size_t bytes;
        uint32_t size_class;
    } table[] = {
        {0, 0}, {1, 0}, {4096 - HEADER, 0}, {4097 - HEADER, 1}, {16384 - HEADER, 1}, {16385 - HEADER, 2}};
    for (size_t i = 0; i < TG_ARRAY_SIZE(table); i++) {
        struct buffer *b = buffer_get(&pool, table[i].bytes);
        cr_assert_eq(b->size_class, table[i].size_class, "%zu bytes", table[i].bytes);
        cr_assert_geq(buffer_capacity(b), table[i].bytes);
        buffer_put(&pool, b);
    }
}

Test(buffers, the_largest_promised_size_is_had_and_more_is_refused)
{
    struct buffer *b = buffer_get(&pool, BYTES_MAX);
    cr_assert_not_null(b);
    memset(b->data, 0x5a, BYTES_MAX);
    cr_assert_null(buffer_get(&pool, buffer_capacity(b) + 1));
}

Test(buffers, a_used_up_class_borrows_from_the_next_larger)
{
    uint32_t own = CLASS_BYTES / 4096;
    for (uint32_t i = 0; i < own; i++)
        cr_assert_eq(buffer_get(&pool, 100)->size_class, 0);
    struct buffer *b = buffer_get(&pool, 100);
    cr_assert_eq(b->size_class, 1);
    buffer_put(&pool, b);
    cr_assert_eq(pool.classes[1].used, 0, "and goes back where it came from");
}

Test(buffers, when_all_are_taken_there_is_none_until_one_returns)
{
    struct buffer *list = NULL, *b;
    while ((b = buffer_get(&pool, 1))) {
        b->next = list;
        list = b;
    }
    b = list;
    list = b->next;
    buffer_put(&pool, b);
    cr_assert_eq(buffer_get(&pool, 1), b);
    cr_assert_null(buffer_get(&pool, 1));
}

Test(buffers, the_last_returned_is_given_first_and_looks_new)
{
    struct buffer *a = buffer_get(&pool, 1), *b = buffer_get(&pool, 1);
    a->len = 77;
    buffer_put(&pool, b);
    buffer_put(&pool, a);
    struct buffer *again = buffer_get(&pool, 1);
    cr_assert_eq(again, a);
    cr_assert_eq(again->len, 0);
    cr_assert_null(again->next);
}

#define LARGE_BYTES (1u << 20) /* of the class; as many as may stay warm, and three more */
#define LARGE_COUNT (BUFFER_WARM_BYTES / LARGE_BYTES + 3)
#define PROBE (200u << 10) /* beyond the first page, which keeps the header */

static void take_large(struct buffer_pool *p, struct buffer **held, int fill)
{
    for (uint32_t i = 0; i < LARGE_COUNT; i++) {
        held[i] = buffer_get(p, 300 << 10);
        cr_assert_not_null(held[i]);
        cr_assert_geq(buffer_capacity(held[i]), 300 << 10);
        if (fill)
            memset(held[i]->data, fill, 300 << 10);
    }
}

static void return_large(struct buffer_pool *p, struct buffer **held)
{
    for (uint32_t i = 0; i < LARGE_COUNT; i++)
        buffer_put(p, held[i]);
}

Test(buffers, large_ones_stay_warm_up_to_a_bound_and_the_others_give_their_pages_back)
{
    struct buffer *held[LARGE_COUNT];
    struct tg_arena large;
    struct buffer_pool p;
    cr_assert_eq(tg_arena_init(&large, buffer_pool_bytes(LARGE_BYTES, 32u << 20, 2), TG_ARENA_PRIVATE), 0);
    cr_assert_eq(buffer_pool_init(&p, &large, LARGE_BYTES, 32u << 20, 2), 0);
    for (uint32_t round = 0; round < 3; round++) {
        take_large(&p, held, 0x5a);
        return_large(&p, held);
        cr_assert_eq(p.warm_bytes, BUFFER_WARM_BYTES);
        take_large(&p, held, 0);
        for (uint32_t i = 0; i < LARGE_COUNT; i++)
            cr_assert_eq(held[i]->data[PROBE], i < LARGE_COUNT - 3 ? 0x5a : 0, "warm ones are taken first");
        cr_assert_eq(p.warm_bytes, 0);
        return_large(&p, held);
    }
    tg_arena_finish(&large);
}

Test(buffers, an_arena_too_small_is_said_so)
{
    struct tg_arena small;
    struct buffer_pool p;
    cr_assert_eq(tg_arena_init(&small, 64 << 10, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(buffer_pool_init(&p, &small, BYTES_MAX, CLASS_BYTES, COUNT_MIN), -ENOMEM);
    tg_arena_finish(&small);
}

/* Each buffer is filled with its own number: overlap or double use shows as a foreign byte. */
Test(buffers, random_traffic_never_gives_the_same_bytes_twice)
{
    struct buffer *held[48];
    size_t size[48];
    uint32_t n = 0;
    uint64_t seed = test_seed("buffers");
    for (uint32_t step = 0; step < 4000; step++) {
        struct buffer *b = NULL;
        if (n < TG_ARRAY_SIZE(held) && test_random(&seed, 2)) {
            size[n] = test_random(&seed, test_random(&seed, 8) ? 5000 : 100000);
            b = buffer_get(&pool, size[n]);
        }
        if (b) {
            cr_assert_geq(buffer_capacity(b), size[n]);
            memset(b->data, (int)(uintptr_t)b >> 12 & 0xff, size[n]);
            held[n++] = b;
        } else if (n > 0) {
            uint32_t victim = test_random(&seed, n);
            b = held[victim];
            for (size_t i = 0; i < size[victim]; i++)
                cr_assert_eq((unsigned char)b->data[i], ((uintptr_t)b >> 12 & 0xff));
            buffer_put(&pool, b);
            held[victim] = held[--n];
            size[victim] = size[n];
        }
        cr_assert_eq(used(), n);
    }
}

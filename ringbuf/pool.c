/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools. A generation counts takings and returnings, so it is odd while its object is live; a handle carries
 * the generation it was given with and matches no later one until 2^31 further takings of the same object.
 */
#include <errno.h>
#include "tg/pool.h"

/* Lowest index on top of the stack: a pool that is never full touches only its first pages. */
static void fill_free_stack(struct tg_pool *p)
{
    for (uint32_t i = 0; i < p->capacity; i++)
        p->free[i] = p->capacity - 1 - i;
    p->free_count = p->capacity;
}

int tg_pool_init(struct tg_pool *p, struct tg_arena *arena, uint32_t stride, uint32_t capacity)
{
    *p = (struct tg_pool){0};
    if (stride == 0 || capacity == 0)
        return -EINVAL;
    struct tg_pool made = {.stride = stride, .capacity = capacity};
    made.objects = tg_arena_alloc(arena, (size_t)stride * capacity, TG_CACHE_SEPARATION);
    made.generations = tg_arena_alloc(arena, sizeof(uint32_t) * (size_t)capacity, TG_CACHE_SEPARATION);
    made.free = tg_arena_alloc(arena, sizeof(uint32_t) * (size_t)capacity, TG_CACHE_SEPARATION);
    if (!made.objects || !made.generations || !made.free)
        return -ENOMEM;
    fill_free_stack(&made);
    *p = made;
    return 0;
}

void *tg_pool_get(struct tg_pool *p, tg_handle *handle)
{
    if (TG_UNLIKELY(p->free_count == 0))
        return NULL;
    uint32_t index = p->free[--p->free_count];
    uint32_t generation = ++p->generations[index];
    *handle = (tg_handle)generation << 32 | index;
    return tg_pool_object(p, index);
}

void tg_pool_put(struct tg_pool *p, tg_handle handle)
{
    TG_ASSERT(tg_pool_at(p, handle) != NULL);
    uint32_t index = (uint32_t)handle;
    p->generations[index]++;
    p->free[p->free_count++] = index;
}

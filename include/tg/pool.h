/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed-size objects behind handles that know their generation: a handle kept too long no longer resolves.
 * Thread: one owner, no atomics.
 */
#ifndef TG_POOL_H
#define TG_POOL_H

#include "tg/arena.h"

/* Generation in the high half (never 0 for a live object), index in the low half. 0 is no object. */
typedef uint64_t tg_handle;

struct tg_pool {
    char *objects;
    uint32_t *generations; /* odd: live, even: free */
    uint32_t *free;        /* stack of free indices, last freed first: stays warm in cache */
    uint32_t free_count, capacity, stride;
};

/** Memory comes from @arena. Returns 0, -ENOMEM, -EINVAL (capacity 0). */
int tg_pool_init(struct tg_pool *p, struct tg_arena *arena, uint32_t stride, uint32_t capacity);

/** Take an object; its bytes are as the last owner left them (zero at first). NULL when all are taken. */
void *tg_pool_get(struct tg_pool *p, tg_handle *handle);

/** Give it back; every handle to it goes stale. Asserts on a stale or foreign handle. */
void tg_pool_put(struct tg_pool *p, tg_handle handle);

static inline void *tg_pool_object(const struct tg_pool *p, uint32_t index)
{
    return p->objects + (size_t)index * p->stride;
}

/** The object, or NULL if the handle is stale or was never one. */
static inline void *tg_pool_at(const struct tg_pool *p, tg_handle handle)
{
    uint32_t index = (uint32_t)handle;
    if (index >= p->capacity || p->generations[index] != (uint32_t)(handle >> 32) || !(handle >> 32 & 1))
        return NULL;
    return tg_pool_object(p, index);
}

static inline uint32_t tg_pool_used(const struct tg_pool *p)
{
    return p->capacity - p->free_count;
}

#endif

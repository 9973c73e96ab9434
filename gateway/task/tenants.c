/* SPDX-License-Identifier: Apache-2.0 */
/* Names in a table with open addressing, never more than half full. */
#include "tenants.h"

#include <errno.h>
#include <string.h>

#define BUCKETS_MIN 4

static uint32_t buckets_for(uint32_t names_max)
{
    uint32_t n = BUCKETS_MIN;
    while (n < 2 * (names_max + 1))
        n *= 2;
    return n;
}

static size_t names_bytes(uint32_t names_max)
{
    return (size_t)(names_max + 1) * (TENANT_NAME_BYTES_MAX + 1);
}

static size_t rows_bytes(uint32_t names_max, uint32_t instance_count)
{
    return (size_t)(names_max + 1) * instance_count * sizeof(uint64_t);
}

size_t tenants_bytes(uint32_t names_max, uint32_t instance_count)
{
    return names_bytes(names_max) + rows_bytes(names_max, instance_count) + buckets_for(names_max) * sizeof(uint16_t) +
           3 * TG_CACHE_SEPARATION;
}

int tenants_init(struct tenants *ts, struct tg_arena *arena, uint32_t names_max, uint32_t instance_count)
{
    uint32_t buckets = buckets_for(names_max);
    *ts = (struct tenants){
        .names_max = names_max,
        .instance_count = instance_count,
        .mask = buckets - 1,
        .names = tg_arena_alloc(arena, names_bytes(names_max), 1),
        .buckets = tg_arena_alloc(arena, buckets * sizeof(uint16_t), sizeof(uint16_t)),
        .rows = tg_arena_alloc(arena, rows_bytes(names_max, instance_count), TG_CACHE_SEPARATION),
    };
    if (!ts->names || !ts->buckets || !ts->rows)
        return -ENOMEM;
    memcpy(ts->names[TENANT_OTHER], "other", sizeof("other"));
    atomic_store_explicit(&ts->count, 1, memory_order_release); /* N1 */
    return 0;
}

/* A label without anything that would need escaping. */
static bool is_plain(struct tg_str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     memchr("-_.:@/+", c, 7);
        if (!plain)
            return false;
    }
    return name.len > 0 && name.len <= TENANT_NAME_BYTES_MAX;
}

/* Fowler, Noll and Vo. Whoever makes names collide makes his own lookups slow, by so many comparisons as there are names. */
static uint32_t hash(struct tg_str name)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < name.len; i++)
        h = (h ^ (uint8_t)name.ptr[i]) * 16777619u;
    return h ^ h >> 15;
}

static bool is_name(const struct tenants *ts, uint16_t tenant, struct tg_str name)
{
    const char *have = ts->names[tenant];
    return memcmp(have, name.ptr, name.len) == 0 && have[name.len] == '\0';
}

static uint16_t add(struct tenants *ts, uint32_t bucket, struct tg_str name)
{
    uint32_t n = atomic_load_explicit(&ts->count, memory_order_relaxed); /* our own */
    if (n > ts->names_max)
        return TENANT_OTHER;
    memcpy(ts->names[n], name.ptr, name.len);
    ts->buckets[bucket] = (uint16_t)n;
    atomic_store_explicit(&ts->count, n + 1, memory_order_release); /* N1 */
    return (uint16_t)n;
}

uint16_t tenants_find(struct tenants *ts, struct tg_str name)
{
    if (!is_plain(name) || tg_str_eq(name, TG_STR("other")))
        return TENANT_OTHER;
    uint32_t b = hash(name) & ts->mask;
    while (ts->buckets[b] && !is_name(ts, ts->buckets[b], name))
        b = (b + 1) & ts->mask;
    return ts->buckets[b] ? ts->buckets[b] : add(ts, b, name);
}

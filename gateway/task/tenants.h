/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sent the tasks of one worker: rows that came back, by name and intent. The first names to come keep their place for
 * good and the rest shares one, so that nobody outside can make it grow.
 * Thread: the worker; the control thread reads.
 */
#ifndef TG_TENANTS_H
#define TG_TENANTS_H

#include "gateway/base/metrics.h"
#include "tg/arena.h"

#define TENANT_NAME_BYTES_MAX 64
#define TENANT_OTHER 0 /* those without a name, with one that is no label, or that came too late */

struct tenants {
    uint32_t names_max, instance_count, mask;
    _Atomic uint32_t count; /* N1 pairs with N2: so many names are filled in, other included */
    char (*names)[TENANT_NAME_BYTES_MAX + 1];
    uint16_t *buckets;      /* by hash; the worker's own. 0: free */
    _Atomic uint64_t *rows; /* [tenant][instance]; relaxed, each is a number by itself */
};

/** Room in the arena for @names_max names besides other. */
size_t tenants_bytes(uint32_t names_max, uint32_t instance_count);
int tenants_init(struct tenants *ts, struct tg_arena *arena, uint32_t names_max, uint32_t instance_count);

/** The place of @name, which becomes known if there is room. */
uint16_t tenants_find(struct tenants *ts, struct tg_str name);

/** A row of @tenant that ran has come back. */
static inline void tenants_count(struct tenants *ts, uint32_t tenant, uint32_t instance)
{
    metrics_bump(&ts->rows[tenant * ts->instance_count + instance], 1);
}

/* ---- any thread ------------------------------------------------------------------------------------------ */

static inline uint32_t tenants_known(const struct tenants *ts)
{
    return atomic_load_explicit(&ts->count, memory_order_acquire); /* N2 */
}

static inline uint64_t tenants_rows(const struct tenants *ts, uint32_t tenant, uint32_t instance)
{
    return atomic_load_explicit(&ts->rows[tenant * ts->instance_count + instance], memory_order_relaxed);
}

#endif

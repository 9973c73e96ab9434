/* SPDX-License-Identifier: Apache-2.0 */
/* Estimates of when each executor would be through, and the choice between them. */
#include "spread.h"
#include <errno.h>

#define NS_PER_SECOND 1000000000ull
/* Who would be through within an eighth of the best one's time is as good as that one. */
#define TIE 8

size_t spread_bytes(uint32_t executor_count, uint32_t instance_count)
{
    return (size_t)instance_count * (executor_count * sizeof(struct spread_pace) + sizeof(uint32_t) + 1) +
           4 * TG_CACHE_SEPARATION;
}

int spread_init(struct spread *s, struct tg_arena *arena, const struct spread_options *o)
{
    *s = (struct spread){
        .loads = o->loads,
        .worker = o->worker,
        .worker_count = o->worker_count,
        .executor_count = o->executor_count,
        .instance_count = o->instance_count,
        .paces = tg_arena_alloc(arena, o->executor_count * o->instance_count * sizeof(*s->paces), TG_CACHE_SEPARATION),
        .rows_last = tg_arena_alloc(arena, o->instance_count * sizeof(*s->rows_last), 64),
        .last = tg_arena_alloc(arena, o->instance_count, 64),
    };
    if (!s->paces || !s->rows_last || !s->last)
        return -ENOMEM;
    for (uint32_t n = 1; n < o->executor_count; n++)
        s->pace[n] = o->pace[n];
    for (uint32_t i = 0; i < o->instance_count; i++) {
        s->rows_last[i] = 1;
        s->last[i] = (uint8_t)(o->worker % o->executor_count); /* workers do not begin with the same one */
    }
    return 0;
}

static struct spread_pace *pace_of(const struct spread *s, uint32_t number, uint32_t instance)
{
    return &s->paces[number * s->instance_count + instance];
}

/* ---- estimates ------------------------------------------------------------------------------------------------- */

static uint64_t since(uint64_t now_ns, uint64_t then_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0; /* the executor's clock may be a little ahead of our turn's */
}

static uint64_t row_ns(const struct spread *s, uint32_t number, uint32_t instance)
{
    return atomic_load_explicit(&s->pace[number][instance].row_ns, memory_order_relaxed);
}

static uint64_t ended_ns(const struct spread *s, uint32_t number, uint32_t instance)
{
    return atomic_load_explicit(&s->pace[number][instance].ended_ns, memory_order_relaxed);
}

/*
 * Our own backlog there. An executor that gives nothing back is at least as late as it has been silent, whatever its rows
 * cost before: a device that hangs is given less and less to do.
 */
static uint64_t own_ns(const struct spread *s, uint32_t number, uint64_t now_ns)
{
    uint64_t sum = 0, ended = s->since_ns[number];
    if (s->rows[number] == 0)
        return 0;
    for (uint32_t i = 0; i < s->instance_count; i++) {
        sum += pace_of(s, number, i)->rows * TG_MAX(row_ns(s, number, i), 1u);
        ended = TG_MAX(ended, ended_ns(s, number, i));
    }
    return TG_MAX(sum, since(now_ns, ended));
}

/* Nothing has been heard of it for some seconds and nothing of ours is there: it may have become better, so that one day
 * somebody tries. */
static uint64_t faded(const struct spread *s, uint32_t number, uint32_t instance, uint64_t now_ns)
{
    uint64_t known = row_ns(s, number, instance);
    uint64_t seconds = since(now_ns, ended_ns(s, number, instance)) / NS_PER_SECOND;
    return pace_of(s, number, instance)->rows > 0 ? known : known >> TG_MIN(seconds, 63u);
}

/* Who has not run any yet is taken to be as good as the best one. */
static void look_up_instance(struct spread *s, uint32_t instance, uint64_t now_ns)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t n = 1; n < s->executor_count; n++) {
        struct spread_pace *p = pace_of(s, n, instance);
        p->row_ns = faded(s, n, instance, now_ns);
        if (p->row_ns > 0)
            best = TG_MIN(best, p->row_ns);
    }
    for (uint32_t n = 1; n < s->executor_count; n++) {
        struct spread_pace *p = pace_of(s, n, instance);
        if (p->row_ns == 0)
            p->row_ns = best == UINT64_MAX ? 1 : best;
    }
}

static void tell(struct spread *s, uint64_t now_ns)
{
    struct spread_load *own = &s->loads[s->worker];
    s->changed = false;
    for (uint32_t n = 1; n < s->executor_count; n++)
        atomic_store_explicit(&own->ns[n - 1], own_ns(s, n, now_ns), memory_order_relaxed);
}

void spread_tell(struct spread *s, uint64_t now_ns)
{
    if (s->changed)
        tell(s, now_ns);
}

static void look_up(struct spread *s, uint64_t now_ns)
{
    s->now_ns = now_ns;
    tell(s, now_ns); /* changed or not: what has not come back is later than it was */
    for (uint32_t i = 0; i < s->instance_count; i++)
        look_up_instance(s, i, now_ns);
    for (uint32_t n = 1; n < s->executor_count; n++)
        s->backlog_ns[n] = 0;
    for (uint32_t w = 0; w < s->worker_count; w++)
        for (uint32_t n = 1; n < s->executor_count; n++)
            s->backlog_ns[n] += atomic_load_explicit(&s->loads[w].ns[n - 1], memory_order_relaxed);
}

/* ---- the choice ------------------------------------------------------------------------------------------------ */

static uint64_t finish_ns(const struct spread *s, uint32_t number, uint32_t instance)
{
    return s->backlog_ns[number] + s->rows_last[instance] * pace_of(s, number, instance)->row_ns;
}

/* The next of @among after @last, round and round. */
static uint32_t next_of(uint32_t among, uint32_t last)
{
    uint32_t later = among & ~((2u << last) - 1);
    return (uint32_t)__builtin_ctz(later ? later : among);
}

uint32_t spread_choose(struct spread *s, uint32_t instance, uint32_t among, uint64_t now_ns)
{
    uint64_t best = UINT64_MAX;
    uint32_t good = 0;
    if (s->now_ns != now_ns)
        look_up(s, now_ns);
    for (uint32_t bits = among; bits; bits &= bits - 1)
        best = TG_MIN(best, finish_ns(s, (uint32_t)__builtin_ctz(bits), instance));
    for (uint32_t bits = among; bits; bits &= bits - 1) {
        uint32_t n = (uint32_t)__builtin_ctz(bits);
        if (finish_ns(s, n, instance) <= best + best / TIE)
            good |= 1u << n;
    }
    s->last[instance] = (uint8_t)next_of(good, s->last[instance]);
    return s->last[instance];
}

/* ---- what is out ----------------------------------------------------------------------------------------------- */

void spread_sent(struct spread *s, uint32_t number, uint32_t instance, uint32_t rows, uint64_t now_ns)
{
    struct spread_pace *p = pace_of(s, number, instance);
    if (s->rows[number] == 0)
        s->since_ns[number] = now_ns;
    s->changed = true;
    s->rows[number] += rows;
    p->rows += rows;
    s->rows_last[instance] = rows;
    s->backlog_ns[number] += rows * p->row_ns;
}

void spread_back(struct spread *s, uint32_t number, uint32_t instance, uint32_t rows)
{
    s->changed = true;
    s->rows[number] -= rows;
    pace_of(s, number, instance)->rows -= rows;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Laying out a lane: header, completion array, row headers, then input and output rows on pages of their own.
 */
#include "tg/lane.h"

#define PAGE 4096u
#define STRIDE_MAX (UINT32_C(1) << 30)

_Static_assert(offsetof(struct tg_lane, claimed) == 1 * TG_CACHE_SEPARATION, "line 1: the worker's own");
_Static_assert(offsetof(struct tg_lane, published) == 2 * TG_CACHE_SEPARATION, "line 2: worker writes");
_Static_assert(offsetof(struct tg_lane, taken) == 3 * TG_CACHE_SEPARATION, "line 3: the executor's own");
_Static_assert(offsetof(struct tg_lane, done) == 4 * TG_CACHE_SEPARATION, "line 4: executor writes");
_Static_assert(sizeof(struct tg_lane) == 5 * TG_CACHE_SEPARATION, "nothing else");

struct layout {
    size_t completions, rows, in, out, bytes; /* offsets from the lane, and their end */
};

static size_t round_up(size_t n, size_t align)
{
    return (n + align - 1) & ~(align - 1);
}

static void check(const struct tg_lane_options *o)
{
    TG_ASSERT(o->rows >= 2 && (o->rows & (o->rows - 1)) == 0);
    TG_ASSERT(o->in_stride % 64 == 0 && o->in_stride <= STRIDE_MAX);
    TG_ASSERT(o->out_stride % 64 == 0 && o->out_stride <= STRIDE_MAX);
    TG_ASSERT(!o->recoverable || o->rows <= UINT32_C(1) << 28);
}

/* 2^31 rows of 2^30 bytes twice stay below 2^63: no sum here can overflow. */
static struct layout lay_out(const struct tg_lane_options *o)
{
    check(o);
    struct layout at = {.completions = sizeof(struct tg_lane)};
    at.rows = round_up(at.completions + o->rows * sizeof(uint32_t), TG_CACHE_SEPARATION);
    at.in = round_up(at.rows + o->rows * sizeof(struct tg_row), PAGE);
    at.out = round_up(at.in + (size_t)o->rows * o->in_stride, PAGE);
    at.bytes = round_up(at.out + (size_t)o->rows * o->out_stride, PAGE);
    return at;
}

size_t tg_lane_bytes(const struct tg_lane_options *o)
{
    return lay_out(o).bytes;
}

struct tg_lane *tg_lane_create(struct tg_arena *arena, const struct tg_lane_options *o)
{
    const struct layout at = lay_out(o);
    struct tg_lane *l = tg_arena_alloc(arena, at.bytes, PAGE);
    if (!l)
        return NULL;
    l->mask = o->rows - 1;
    l->in_stride = o->in_stride;
    l->out_stride = o->out_stride;
    l->worker = o->worker;
    l->runner = o->runner;
    l->priority = o->priority;
    l->size_class = o->size_class;
    l->recoverable = o->recoverable;
    l->executor = o->executor;
    l->bit = o->bit;
    l->completions_offset = at.completions;
    l->rows_offset = at.rows;
    l->in_offset = at.in;
    l->out_offset = at.out;
    return l; /* the arena's bytes are zero: so are all cursors */
}

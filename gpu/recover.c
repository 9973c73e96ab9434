/* SPDX-License-Identifier: Apache-2.0 */
/* Taking over lanes from a process that died at any instant. */
#include <errno.h>
#include <stdlib.h>
#include "recover.h"

/* Alone is safest, but a thousand rows one by one would outlast their deadlines: so many batches at most. */
#define BATCHES_MAX 256

/* The oldest row that is out; none is beyond it (see tg_lane_is_out()). */
static uint32_t oldest_out(struct tg_lane *l, uint32_t out)
{
    uint32_t cursor = l->taken;
    while (out > 0) {
        TG_ASSERT(l->taken - cursor <= l->mask);
        out -= tg_lane_is_out(l, --cursor);
    }
    return cursor;
}

/*
 * A completion that the dead process had begun has left its number in rows it did not get to hand back. It must go
 * before anything else is completed, or the numbers would come true.
 */
static void mark_out_again(struct tg_lane *l, uint32_t first)
{
    uint32_t done = atomic_load_explicit(&l->done, memory_order_relaxed); /* own cursor now */
    for (uint32_t c = first; c != l->taken; c++)
        if (tg_lane_is_out(l, c))
            tg_lane_row(l, c)->done_at = done + TG_LANE_OUT;
}

typedef void row_fn(void *context, struct tg_lane *l, uint32_t cursor);

/* @fn may complete the row. Returns how many there were. */
static uint32_t each_out(struct tg_lane *l, row_fn *fn, void *context)
{
    uint32_t out = tg_lane_out_count(l), left = out;
    if (out == 0)
        return 0;
    uint32_t cursor = oldest_out(l, out);
    mark_out_again(l, cursor);
    for (; left > 0; cursor++) {
        if (!tg_lane_is_out(l, cursor))
            continue;
        fn(context, l, cursor);
        left--;
    }
    return out;
}

/* ---- to be run once more ------------------------------------------------------------------------------- */

struct sorting {
    struct recovery *r;
    uint64_t now_ns;
    struct recovery_counts *counts;
};

static void keep(struct recovery *r, struct tg_lane *l, uint32_t cursor)
{
    struct batch_span *last = r->span_count > 0 ? &r->spans[r->span_count - 1] : NULL;
    r->rows++;
    if (last && last->lane == l && last->first + last->count == cursor)
        last->count++;
    else
        r->spans[r->span_count++] = (struct batch_span){l, cursor, 1};
}

static void sort_row(void *context, struct tg_lane *l, uint32_t cursor)
{
    struct sorting *s = context;
    const struct tg_row *row = tg_lane_row(l, cursor);
    if (row->attempts >= RECOVERY_ATTEMPTS_MAX) {
        s->counts->poisoned++;
        batch_drop_row(l, cursor, TG_POISON);
    } else if (s->now_ns >= row->deadline_ns) {
        s->counts->expired++;
        batch_drop_row(l, cursor, TG_TIMEOUT);
    } else {
        keep(s->r, l, cursor);
    }
}

int recovery_init(struct recovery *r, struct tg_lane *const *lanes, uint32_t lane_count, uint64_t now_ns,
                  struct recovery_counts *counts)
{
    struct sorting s = {r, now_ns, counts};
    size_t out = 0;
    *r = (struct recovery){0};
    for (uint32_t i = 0; i < lane_count; i++)
        out += tg_lane_out_count(lanes[i]);
    if (out == 0)
        return 0;
    r->spans = calloc(out, sizeof(*r->spans));
    if (!r->spans)
        return -ENOMEM;
    for (uint32_t i = 0; i < lane_count; i++)
        each_out(lanes[i], sort_row, &s);
    r->batch_rows = r->rows / BATCHES_MAX + 1;
    return 0;
}

void recovery_finish(struct recovery *r)
{
    free(r->spans);
    *r = (struct recovery){0};
}

static bool too_late(const struct batch_span *s, uint32_t i, uint64_t now_ns)
{
    return now_ns >= tg_lane_row(s->lane, s->first + i)->deadline_ns;
}

static void drop_late(struct recovery *r, struct batch_span *s, uint64_t now_ns, struct recovery_counts *counts)
{
    while (s->count > 0 && too_late(s, 0, now_ns)) {
        batch_drop_row(s->lane, s->first++, TG_TIMEOUT);
        s->count--;
        r->rows--;
        counts->expired++;
    }
}

struct tg_lane *recovery_lane(struct recovery *r, uint64_t now_ns, struct recovery_counts *counts)
{
    while (r->rows > 0) {
        struct batch_span *s = &r->spans[r->next];
        drop_late(r, s, now_ns, counts);
        if (s->count > 0)
            return s->lane;
        r->next++;
    }
    return NULL;
}

struct batch_span recovery_next(struct recovery *r, uint64_t now_ns, uint32_t max)
{
    struct batch_span *s = &r->spans[r->next];
    struct batch_span part = {s->lane, s->first, 0};
    uint32_t most = TG_MIN(max, r->batch_rows);
    while (part.count < TG_MIN(s->count, most) && !too_late(s, part.count, now_ns))
        tg_lane_row(s->lane, s->first + part.count++)->attempts++;
    s->first += part.count;
    s->count -= part.count;
    r->rows -= part.count;
    return part;
}

/* ---- to be refused --------------------------------------------------------------------------------------- */

static void refuse_row(void *context, struct tg_lane *l, uint32_t cursor)
{
    struct recovery_counts *counts = context;
    bool poison = tg_lane_row(l, cursor)->attempts >= RECOVERY_ATTEMPTS_MAX;
    *(poison ? &counts->poisoned : &counts->refused) += 1;
    batch_drop_row(l, cursor, poison ? TG_POISON : TG_DEVICE);
}

void recovery_refuse(struct tg_lane *const *lanes, uint32_t lane_count, struct recovery_counts *counts)
{
    for (uint32_t i = 0; i < lane_count; i++) {
        each_out(lanes[i], refuse_row, counts);
        for (uint32_t ready = tg_lane_ready(lanes[i]); ready > 0; ready--) {
            uint32_t cursor = tg_lane_take(lanes[i], 1);
            tg_lane_row(lanes[i], cursor)->attempts = 0; /* it was on no device: it may go to another */
            batch_drop_row(lanes[i], cursor, TG_DEVICE);
            counts->refused++;
        }
    }
}

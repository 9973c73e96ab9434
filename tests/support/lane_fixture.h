/* SPDX-License-Identifier: Apache-2.0 */
/* A lane in an arena of its own, and a way to begin anywhere in the 2^32 cursor values. */
#ifndef TG_TESTS_LANE_FIXTURE_H
#define TG_TESTS_LANE_FIXTURE_H

#include "tg/lane.h"

struct lane_fixture {
    struct tg_arena arena;
    struct tg_lane *lane;
};

static inline struct tg_lane *lane_fixture_init(struct lane_fixture *f, const struct tg_lane_options *o,
                                                enum tg_arena_kind kind)
{
    TG_ASSERT(tg_arena_init(&f->arena, tg_lane_bytes(o) + 4096, kind) == 0);
    f->lane = tg_lane_create(&f->arena, o);
    TG_ASSERT(f->lane != NULL);
    tg_arena_seal(&f->arena);
    return f->lane;
}

static inline void lane_fixture_finish(struct lane_fixture *f)
{
    tg_arena_finish(&f->arena);
    f->lane = NULL;
}

/* As if @rows rows had passed and @completions had been reported; only for a lane nobody uses yet. */
static inline void lane_start_at(struct tg_lane *l, uint32_t rows, uint32_t completions)
{
    l->claimed = l->retired = l->taken = rows;
    l->reaped = completions;
    l->retired_ahead = 0;
    atomic_store_explicit(&l->published, rows, memory_order_relaxed);
    atomic_store_explicit(&l->done, completions, memory_order_relaxed);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A batch former with lanes of every priority and size class, fed by hand and with time that stands still. */
#ifndef BATCH_RIG_H
#define BATCH_RIG_H

#include <criterion/criterion.h>
#include "gpu/batch.h"
#include "tests/support/lane_fixture.h"

#define RIG_CLASSES 2
#define RIG_TWINS 3 /* lanes of one priority and size class, as of three workers */
#define RIG_LANES (RIG_CLASSES * TG_PRIORITIES * RIG_TWINS)
#define RIG_ROWS 64
#define MS 1000000ull
#define SECOND (1000 * MS)

struct rig {
    struct tg_instance instance;
    struct batch_former former;
    struct tg_arena arena;
    struct batch_lane lanes[RIG_LANES];
    struct batch batch;
    struct batch_outcome outcome;
    uint32_t dropped_calls;
};

static struct rig rig;

static inline struct batch_lane *rig_lane(uint32_t size_class, enum tg_priority p, uint32_t twin)
{
    return &rig.lanes[(size_class * TG_PRIORITIES + p) * RIG_TWINS + twin];
}

/* Lanes begin at @first_cursor, so that spans wrap where the test wants them to. */
static inline void rig_open(uint32_t max_batch, uint32_t max_delay_us, uint32_t first_cursor)
{
    rig = (struct rig){.instance = {.max_batch = max_batch, .max_delay_us = max_delay_us, .streams = 1}};
    rig.instance.shape = (struct tg_shape){.size_classes = RIG_CLASSES};
    rig.former.instance = &rig.instance;
    rig.former.max_batch = max_batch;
    cr_assert_eq(tg_arena_init(&rig.arena, 16u << 20, TG_ARENA_PRIVATE), 0);
    for (uint32_t i = 0; i < RIG_LANES; i++) {
        struct tg_lane_options o = {.rows = RIG_ROWS, .in_stride = 64, .out_stride = 128, .bit = i};
        o.size_class = (uint8_t)(i / RIG_TWINS / TG_PRIORITIES);
        o.priority = (uint8_t)(i / RIG_TWINS % TG_PRIORITIES);
        o.in_stride <<= o.size_class;
        rig.lanes[i].lane = tg_lane_create(&rig.arena, &o);
        cr_assert_not_null(rig.lanes[i].lane);
        lane_start_at(rig.lanes[i].lane, first_cursor, 0);
    }
}

static inline void rig_close(void)
{
    tg_arena_finish(&rig.arena);
}

/* One row, published and rung for. */
static inline struct tg_row *rig_put(struct batch_lane *bl, uint64_t arrival_ns, uint64_t deadline_ns)
{
    uint32_t cursor = 0;
    cr_assert_eq(tg_lane_claim(bl->lane, 1, &cursor), 0);
    struct tg_row *row = tg_lane_row(bl->lane, cursor);
    *row = (struct tg_row){.arrival_ns = arrival_ns, .deadline_ns = deadline_ns, .status = TG_INTERNAL};
    tg_lane_publish(bl->lane);
    batch_lane_ready(&rig.former, bl);
    return row;
}

static inline void rig_dropped(void *context, struct tg_lane *lane)
{
    cr_assert_eq(context, (void *)&rig);
    cr_assert_not_null(lane);
    rig.dropped_calls++;
}

static inline uint32_t rig_form(uint64_t now_ns)
{
    return batch_form(&rig.former, now_ns, &rig.batch, &rig.outcome, rig_dropped, &rig);
}

/* Rows of @bl in the batch. */
static inline uint32_t rig_rows_of(const struct batch_lane *bl)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rig.batch.span_count; i++)
        n += rig.batch.spans[i].lane == bl->lane ? rig.batch.spans[i].count : 0;
    return n;
}

/* The worker's end: reap and retire all. Returns how many had @status. */
static inline uint32_t rig_reap(struct batch_lane *bl, enum tg_status status)
{
    uint32_t cursor, n = 0;
    while (tg_lane_reap(bl->lane, &cursor, 1) == 1) {
        n += tg_lane_row(bl->lane, cursor)->status == status;
        tg_lane_retire(bl->lane, cursor);
    }
    return n;
}

#endif

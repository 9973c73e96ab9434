/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch former under random traffic: lanes, priorities, arrivals, deadlines, delays and batch sizes at
 * random, beginning shortly before the cursors wrap. What must hold of every batch is checked from the
 * outside.
 */
#include "batch_rig.h"
#include "tests/support/seed.h"

#define ROWS_MAX 40000
#define STEPS 6000
#define ROUNDS 12

enum fate { WAITS, RUNS, ENDED };

static const uint64_t head_start[TG_PRIORITIES] = {0, 10 * MS, 100 * MS, 1000 * MS};

static struct {
    uint64_t random, now_ns, arrival_ns;
    uint32_t put, started, expired, ended;
    uint8_t fates[ROWS_MAX];
} world;

static uint32_t dice(uint32_t below)
{
    return test_random(&world.random, below);
}

static void put_some(void)
{
    struct batch_lane *bl = &rig.lanes[dice(RIG_LANES)];
    for (uint32_t n = 1 + dice(6); n > 0 && world.put < ROWS_MAX && tg_lane_used(bl->lane) < RIG_ROWS; n--) {
        uint64_t patience = dice(4) ? 10 * SECOND : dice(20) * MS + 1;
        struct tg_row *row = rig_put(bl, world.now_ns, world.now_ns + patience);
        row->task = world.put;
        world.fates[world.put++] = WAITS;
    }
}

static void check_row(struct tg_lane *lane, uint32_t cursor)
{
    const struct tg_row *row = tg_lane_row(lane, cursor);
    cr_assert_eq(world.fates[row->task], WAITS, "row %llu twice", (unsigned long long)row->task);
    cr_assert_gt(row->deadline_ns, world.now_ns, "started after its deadline");
    cr_assert_eq(row->start_ns, world.now_ns);
    cr_assert_eq(row->batch_rows, rig.batch.count);
    cr_assert_eq(row->out_len, lane->out_stride);
    world.fates[row->task] = RUNS;
    world.started++;
}

/* Segments name the rows of the spans, in order, each stretch within the ring. */
static void check_segments(void)
{
    const struct tg_segment *s = rig.batch.segments, *end = s + rig.batch.segment_count;
    for (uint32_t i = 0; i < rig.batch.span_count; i++) {
        const struct batch_span *span = &rig.batch.spans[i];
        for (uint32_t r = 0; r < span->count; s++) {
            cr_assert(s < end && s->count > 0 && s->count <= span->count - r);
            uint32_t cursor = span->first + r;
            cr_assert_eq(s->rows, tg_lane_row(span->lane, cursor));
            cr_assert_eq(s->in, tg_lane_in(span->lane, cursor));
            cr_assert_eq(s->out, tg_lane_out(span->lane, cursor));
            cr_assert_leq((cursor & span->lane->mask) + s->count, RIG_ROWS, "runs over the end of the ring");
            r += s->count;
        }
    }
    cr_assert_eq(s, end);
}

static void check_batch(void)
{
    const struct batch *b = &rig.batch;
    uint32_t rows = 0;
    cr_assert(b->count > 0 && b->count <= rig.instance.max_batch);
    cr_assert(b->span_count <= BATCH_SPANS_MAX && b->segment_count <= 2 * b->span_count);
    for (uint32_t i = 0; i < b->span_count; i++) {
        const struct batch_span *span = &b->spans[i];
        cr_assert_eq(span->lane->size_class, b->spans[0].lane->size_class, "size classes are mixed");
        for (uint32_t r = 0; r < span->count; r++)
            check_row(span->lane, span->first + r);
        rows += span->count;
    }
    cr_assert_eq(rows, b->count);
    cr_assert_eq(b->in_stride, b->spans[0].lane->in_stride);
    check_segments();
}

/* The device ends the batch at once, its spans in random order; the workers reap. */
static void end_batch(void)
{
    struct batch *b = &rig.batch;
    while (b->span_count > 0) {
        uint32_t i = dice(b->span_count);
        tg_lane_complete(b->spans[i].lane, b->spans[i].first, b->spans[i].count);
        b->spans[i] = b->spans[--b->span_count];
    }
}

static void reap_lane(struct tg_lane *lane)
{
    uint32_t cursor;
    while (tg_lane_reap(lane, &cursor, 1) == 1) {
        const struct tg_row *row = tg_lane_row(lane, cursor);
        bool expired = row->status == TG_TIMEOUT;
        cr_assert_eq(world.fates[row->task], expired ? WAITS : RUNS);
        cr_assert(!expired || (row->deadline_ns <= world.now_ns && row->start_ns == 0));
        world.fates[row->task] = ENDED;
        world.expired += expired;
        world.ended++;
        tg_lane_retire(lane, cursor);
    }
}

static void reap_all(void)
{
    for (uint32_t i = 0; i < RIG_LANES; i++)
        reap_lane(rig.lanes[i].lane);
}

/* Nothing formed: then nothing waits, or company is worth it for every class that has rows. */
static void check_nothing(void)
{
    uint64_t hold = rig.outcome.hold_until_ns;
    uint32_t waiting[RIG_CLASSES] = {0};
    for (uint32_t i = 0; i < RIG_LANES; i++) {
        struct tg_lane *lane = rig.lanes[i].lane;
        uint32_t ready = tg_lane_ready(lane);
        waiting[lane->size_class] += ready;
        const struct tg_row *first = tg_lane_row(lane, lane->taken);
        cr_assert(!ready || hold <= first->arrival_ns + rig.instance.max_delay_us * 1000ull, "held too long");
        cr_assert(!ready || hold < first->deadline_ns, "held to death");
    }
    for (uint32_t c = 0; c < RIG_CLASSES; c++)
        cr_assert_lt(waiting[c], rig.instance.max_batch, "a full batch is held");
    cr_assert(hold ? hold > world.now_ns : waiting[0] + waiting[1] == 0, "rows wait for nothing");
}

static void form_one(void)
{
    uint32_t before = world.expired;
    uint32_t n = rig_form(world.now_ns);
    cr_assert_eq(n, rig.batch.count);
    if (n > 0)
        check_batch();
    else
        check_nothing();
    end_batch();
    reap_all();
    cr_assert_eq(world.expired - before, rig.outcome.expired);
}

static void run_random(void)
{
    for (uint32_t step = 0; step < STEPS; step++) {
        world.now_ns += dice(3) ? 0 : dice(3 * (uint32_t)MS);
        if (dice(2))
            put_some();
        else
            form_one();
    }
    world.now_ns += 2 * SECOND; /* past every hold */
    while (rig.former.lanes > 0)
        form_one();
    cr_assert_eq(world.ended, world.put, "every row came back exactly once");
    cr_assert_eq(world.started + world.expired, world.put);
}

Test(batch_model, every_row_is_taken_exactly_once_and_by_the_rules)
{
    uint64_t seed = test_seed("batch_model");
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint64_t now = world.now_ns;
        memset(&world, 0, sizeof(world));
        world.random = seed + 2 * round;
        world.now_ns = now + 100 * SECOND;
        rig_open(1 + dice(dice(2) ? 4 : 100), dice(2) ? 0 : dice(5000), UINT32_MAX - dice(200));
        run_random();
        rig_close();
    }
}

/* With one lane a class, the order among the classes is exact: no row is passed by one that counts as
 * younger. */
static uint64_t best_virtual_arrival(void)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        struct tg_lane *lane = rig_lane(0, (enum tg_priority)p, 0)->lane;
        if (tg_lane_ready(lane) > 0)
            best = TG_MIN(best, tg_lane_row(lane, lane->taken)->arrival_ns + head_start[p]);
    }
    return best;
}

Test(batch_model, rows_leave_in_the_order_of_arrival_plus_head_start)
{
    world.random = test_seed("batch_model");
    rig_open(1, 0, 0);
    world.now_ns = 100 * SECOND;
    for (uint32_t step = 0; step < 20000; step++) {
        world.now_ns += dice(20 * (uint32_t)MS);
        struct batch_lane *bl = rig_lane(0, (enum tg_priority)dice(TG_PRIORITIES), 0);
        if (dice(2) && tg_lane_used(bl->lane) < RIG_ROWS)
            rig_put(bl, world.now_ns, UINT64_MAX);
        uint64_t due = best_virtual_arrival();
        if (dice(2) || due == UINT64_MAX)
            continue;
        cr_assert_eq(rig_form(world.now_ns), 1);
        struct tg_lane *lane = rig.batch.spans[0].lane;
        const struct tg_row *row = tg_lane_row(lane, rig.batch.spans[0].first);
        cr_assert_eq(row->arrival_ns + head_start[lane->priority], due);
        end_batch();
        rig_reap(rig_lane(0, (enum tg_priority)lane->priority, 0), TG_OK);
    }
    rig_close();
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The batch former: which rows go next, and with whom. */
#include "batch.h"

/*
 * Priorities are head starts: a row is served as if it had arrived that much later. Within a head start a higher
 * class always goes first; beyond it the older row wins, so nobody starves for longer than the difference.
 */
static const uint64_t head_start_ns[TG_PRIORITIES] = {
    [TG_REALTIME] = 0,
    [TG_INTERACTIVE] = 10 * 1000000ull,
    [TG_BATCH] = 100 * 1000000ull,
    [TG_BEST_EFFORT] = 1000 * 1000000ull,
};

static void queue_append(struct batch_queue *q, struct batch_lane *bl)
{
    bl->next = NULL;
    if (q->tail)
        q->tail->next = bl;
    else
        q->head = bl;
    q->tail = bl;
    q->lanes++;
}

static struct batch_lane *queue_pop(struct batch_queue *q)
{
    struct batch_lane *bl = q->head;
    q->head = bl->next;
    if (!q->head)
        q->tail = NULL;
    q->lanes--;
    return bl;
}

static struct batch_queue *queue_of(struct batch_former *f, const struct tg_lane *lane)
{
    return &f->queues[lane->size_class][lane->priority];
}

void batch_lane_ready(struct batch_former *f, struct batch_lane *bl)
{
    bl->ready = tg_lane_ready(bl->lane);
    if (bl->queued || bl->ready == 0)
        return;
    bl->queued = true;
    queue_append(queue_of(f, bl->lane), bl);
    f->lanes++;
}

/* The instant at which a queue's first row counts as arrived, UINT64_MAX if it is empty. */
static uint64_t queue_virtual_arrival(const struct batch_queue *q, enum tg_priority p)
{
    if (!q->head)
        return UINT64_MAX;
    return tg_lane_row(q->head->lane, q->head->lane->taken)->arrival_ns + head_start_ns[p];
}

/* The most urgent queue of one size class. Returns its virtual arrival. */
static uint64_t most_urgent(const struct batch_former *f, uint32_t size_class, enum tg_priority *priority)
{
    uint64_t best = UINT64_MAX;
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        uint64_t arrival = queue_virtual_arrival(&f->queues[size_class][p], (enum tg_priority)p);
        if (arrival < best) {
            best = arrival;
            *priority = (enum tg_priority)p;
        }
    }
    return best;
}

void batch_drop_row(struct tg_lane *lane, uint32_t cursor, enum tg_status status)
{
    struct tg_row *row = tg_lane_row(lane, cursor);
    row->start_ns = 0;
    row->batch_rows = 0;
    row->out_len = 0;
    row->status = (uint16_t)status;
    tg_lane_complete(lane, cursor, 1);
}

/* The row joins the batch, in the lane's last span if it continues it. False: no span is left. */
static bool batch_add_row(struct batch *b, struct tg_lane *lane, uint32_t cursor)
{
    struct batch_span *last = b->span_count ? &b->spans[b->span_count - 1] : NULL;
    if (!last || last->lane != lane || last->first + last->count != cursor) {
        if (b->span_count == BATCH_SPANS_MAX)
            return false;
        last = &b->spans[b->span_count++];
        *last = (struct batch_span){.lane = lane, .first = cursor};
    }
    last->count++;
    b->count++;
    return true;
}

/* It starts, unless a device says otherwise. */
static void begin_row(struct tg_lane *lane, struct tg_row *row, uint64_t now_ns)
{
    row->start_ns = now_ns;
    row->status = TG_OK;
    row->out_len = lane->out_stride;
}

/* Move up to @quota rows of a lane into the batch; expired ones leave on the way and do not count. */
static void take_rows(struct batch *b, struct batch_lane *bl, uint32_t quota, uint64_t now_ns,
                      struct batch_outcome *outcome, batch_dropped_fn *dropped, void *context)
{
    struct tg_lane *lane = bl->lane;
    uint32_t expired = 0;
    while (bl->ready > 0 && quota > 0) {
        uint32_t cursor = lane->taken;
        struct tg_row *row = tg_lane_row(lane, cursor);
        bool late = TG_UNLIKELY(now_ns >= row->deadline_ns);
        if (!late && !batch_add_row(b, lane, cursor))
            break;
        tg_lane_take(lane, 1); /* before anything that may complete it: nobody may take it again */
        bl->ready--;
        if (late) {
            batch_drop_row(lane, cursor, TG_TIMEOUT);
            expired++;
        } else {
            begin_row(lane, row, now_ns);
            quota--;
        }
    }
    if (expired) {
        outcome->expired += expired;
        dropped(context, lane);
    }
}

/* Fill @b from the queues of one size class, most urgent first, lanes of a queue sharing what room there is. */
static void fill(struct batch_former *f, uint32_t size_class, uint64_t now_ns, struct batch *b,
                 struct batch_outcome *outcome, batch_dropped_fn *dropped, void *context)
{
    uint32_t max = f->max_batch;
    enum tg_priority p = TG_REALTIME;
    while (b->count < max && b->span_count < BATCH_SPANS_MAX && most_urgent(f, size_class, &p) != UINT64_MAX) {
        struct batch_queue *q = &f->queues[size_class][p];
        uint32_t share = (max - b->count + q->lanes - 1) / q->lanes;
        struct batch_lane *bl = queue_pop(q);
        take_rows(b, bl, share, now_ns, outcome, dropped, context);
        if (bl->ready == 0)
            bl->ready = tg_lane_ready(bl->lane);
        if (bl->ready > 0) {
            queue_append(q, bl);
        } else {
            bl->queued = false;
            f->lanes--;
        }
    }
}

static void add_segment(struct batch *b, struct tg_lane *lane, uint32_t first, uint32_t count)
{
    b->segments[b->segment_count++] = (struct tg_segment){
        .in = tg_lane_in(lane, first),
        .out = tg_lane_out(lane, first),
        .rows = tg_lane_row(lane, first),
        .count = count,
    };
}

static void build_segments(struct batch *b)
{
    for (uint32_t i = 0; i < b->span_count; i++) {
        const struct batch_span *s = &b->spans[i];
        uint32_t to_end = s->lane->mask + 1 - (s->first & s->lane->mask);
        uint32_t head = TG_MIN(to_end, s->count);
        add_segment(b, s->lane, s->first, head);
        if (s->count > head)
            add_segment(b, s->lane, s->first + head, s->count - head);
        for (uint32_t r = 0; r < s->count; r++)
            tg_lane_row(s->lane, s->first + r)->batch_rows = b->count;
    }
    b->in_stride = b->spans[0].lane->in_stride;
    b->out_stride = b->spans[0].lane->out_stride;
}

/* Who waits in one size class: rows as last seen, and the earliest stamps of the lanes' first rows. */
struct crowd {
    uint32_t rows;
    uint64_t oldest_ns, deadline_ns;
};

/* Stops counting at @enough. */
static struct crowd waiting(const struct batch_former *f, uint32_t size_class, uint32_t enough)
{
    struct crowd c = {.oldest_ns = UINT64_MAX, .deadline_ns = UINT64_MAX};
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        for (const struct batch_lane *bl = f->queues[size_class][p].head; bl && c.rows < enough; bl = bl->next) {
            const struct tg_row *first = tg_lane_row(bl->lane, bl->lane->taken);
            c.rows += bl->ready;
            c.oldest_ns = TG_MIN(c.oldest_ns, first->arrival_ns);
            c.deadline_ns = TG_MIN(c.deadline_ns, first->deadline_ns);
        }
    }
    return c;
}

/* Is company worth waiting for? Then until when; 0 if not. Never at the price of a row's deadline. */
static uint64_t hold_until(const struct batch_former *f, uint32_t size_class, uint64_t now_ns)
{
    if (f->instance->max_delay_us == 0)
        return 0;
    struct crowd c = waiting(f, size_class, f->max_batch);
    uint64_t until = c.oldest_ns + f->instance->max_delay_us * 1000ull;
    bool hold = c.rows < f->max_batch && until > now_ns && until < c.deadline_ns;
    return hold ? until : 0;
}

/* The size class of the most urgent row that need not wait for company, -1 if there is none. */
static int next_class(const struct batch_former *f, uint64_t now_ns, uint64_t *hold_until_ns)
{
    int best_class = -1;
    uint64_t best = UINT64_MAX, held_until = UINT64_MAX;
    for (uint32_t c = 0; c < f->instance->shape.size_classes; c++) {
        enum tg_priority p = TG_REALTIME;
        uint64_t arrival = most_urgent(f, c, &p), until = arrival < best ? hold_until(f, c, now_ns) : 0;
        if (until) {
            held_until = TG_MIN(held_until, until);
        } else if (arrival < best) {
            best = arrival;
            best_class = (int)c;
        }
    }
    *hold_until_ns = best_class < 0 && held_until != UINT64_MAX ? held_until : 0;
    return best_class;
}

uint32_t batch_form(struct batch_former *f, uint64_t now_ns, struct batch *b, struct batch_outcome *outcome,
                    batch_dropped_fn *dropped, void *context)
{
    *outcome = (struct batch_outcome){0};
    b->count = b->span_count = b->segment_count = 0;
    while (f->lanes > 0 && b->count == 0) { /* again if all of a class had expired */
        int size_class = next_class(f, now_ns, &outcome->hold_until_ns);
        if (size_class < 0)
            return 0;
        fill(f, (uint32_t)size_class, now_ns, b, outcome, dropped, context);
    }
    if (b->count > 0)
        build_segments(b);
    return b->count;
}

void batch_of_span(struct batch *b, struct tg_lane *lane, uint32_t first, uint32_t count, uint64_t now_ns)
{
    b->segment_count = 0;
    b->span_count = 1;
    b->count = count;
    b->spans[0] = (struct batch_span){lane, first, count};
    for (uint32_t i = 0; i < count; i++)
        begin_row(lane, tg_lane_row(lane, first + i), now_ns);
    build_segments(b);
}

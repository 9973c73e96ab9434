/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch former: turns the rows waiting in many lanes into batches of one runner and one row size.
 * Work-conserving: a batch is whatever waits when a stream is free, up to max_batch; max_delay_us is the only
 * reason to hold one back. Rows whose deadline has passed are answered here and never reach a device.
 * Thread: the executor's host. No locks, no allocation, no system call.
 */
#ifndef TG_BATCH_H
#define TG_BATCH_H

#include "tg/gpu.h"

#define BATCH_SPANS_MAX 64

/* A lane with what the executor remembers about it. */
struct batch_lane {
    struct tg_lane *lane;
    struct batch_lane *next;  /* in its queue */
    uint32_t ready;           /* rows published and not taken, as last seen */
    bool queued;
};

/* Lanes of one priority and size class that have rows, served in turn. */
struct batch_queue {
    struct batch_lane *head, *tail;
    uint32_t lanes;
};

/* All that waits for one runner instance. */
struct batch_former {
    const struct tg_instance *instance;
    uint32_t max_batch; /* the instance's, on this device */
    struct batch_queue queues[TG_SIZE_CLASSES_MAX][TG_PRIORITIES];
    uint32_t lanes; /* lanes in all queues: 0 is nothing to do */
};

/* Consecutive rows of one lane. */
struct batch_span {
    struct tg_lane *lane;
    uint32_t first, count;
};

/* A formed batch: the spans to complete later, and the segments the device works on (a span may wrap: two). */
struct batch {
    uint32_t count, span_count, segment_count;
    struct batch_span spans[BATCH_SPANS_MAX];
    struct tg_segment segments[2 * BATCH_SPANS_MAX];
    uint32_t in_stride, out_stride;
};

/* What forming did besides. */
struct batch_outcome {
    uint32_t expired;   /* rows answered TG_TIMEOUT; they are in `dropped` */
    uint64_t hold_until_ns; /* nothing formed: wait for company until then */
};

/** Told of every span that is finished without running, so that its worker is rung. */
typedef void batch_dropped_fn(void *context, struct tg_lane *lane);

/** A lane rang. Queues it if it has rows. */
void batch_lane_ready(struct batch_former *f, struct batch_lane *bl);

/**
 * Form the next batch.
 * Returns the number of rows in @b; 0 if none wait, all had expired, or company is worth waiting for.
 */
uint32_t batch_form(struct batch_former *f, uint64_t now_ns, struct batch *b, struct batch_outcome *outcome,
                    batch_dropped_fn *dropped, void *context);

/** Complete a taken row with @status, without having run it. */
void batch_drop_row(struct tg_lane *lane, uint32_t cursor, enum tg_status status);

/** A batch of @count taken rows of one lane: those that an executor left behind when it died. */
void batch_of_span(struct batch *b, struct tg_lane *lane, uint32_t first, uint32_t count, uint64_t now_ns);

#endif

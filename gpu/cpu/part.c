/* SPDX-License-Identifier: Apache-2.0 */
/* Cuts a batch into parts and runs one part: a batch of its own, made of stretches of the job's segments. */
#include <errno.h>
#include "part.h"

/*
 * A part that touches more segments than this is run in several calls: the stack stays small, nobody
 * allocates.
 */
#define SEGMENTS_MAX 64
/* Kernels that work on several rows at a time get whole groups in all parts but the last. */
#define ROW_GROUP 8

uint32_t tg_cpu_part_rows(uint32_t count, uint32_t row_ns, uint32_t threads)
{
    if (row_ns == 0 || threads <= 1)
        return count;
    uint64_t parts_max = (uint64_t)threads * TG_CPU_PARTS_PER_THREAD;
    uint64_t share = (count + parts_max - 1) / parts_max;
    uint64_t worth = (TG_CPU_PART_NS + row_ns - 1) / row_ns;
    uint64_t rows = TG_MAX(share, worth);

    if (rows >= ROW_GROUP)
        rows = (rows + ROW_GROUP - 1) / ROW_GROUP * ROW_GROUP;
    return (uint32_t)TG_MIN(rows, (uint64_t)count);
}

/* Where we are in the job's segments. */
struct cursor {
    const struct tg_segment *segment;
    uint32_t row; /* within the segment */
};

static struct cursor seek(const struct tg_batch *batch, uint32_t row)
{
    struct cursor at = {batch->segments, row};

    while (at.row >= at.segment->count)
        at.row -= at.segment++->count;
    return at;
}

/* The stretch of at most @count rows at the cursor; the cursor moves behind it. */
static struct tg_segment stretch(const struct tg_batch *batch, struct cursor *at, uint32_t count)
{
    const struct tg_segment *s = at->segment;
    struct tg_segment piece = {
        .in = (const char *)s->in + (size_t)at->row * batch->in_stride,
        .out = (char *)s->out + (size_t)at->row * batch->out_stride,
        .rows = s->rows + at->row,
        .count = TG_MIN(s->count - at->row, count),
    };

    at->row += piece.count;
    if (at->row == s->count)
        *at = (struct cursor){s + 1, 0};
    return piece;
}

static struct tg_batch gather(const struct tg_batch *batch, struct cursor *at, uint32_t count,
                              struct tg_segment *segments)
{
    struct tg_batch piece = *batch;

    piece.segments = segments;
    piece.segment_count = piece.count = 0;
    piece.ready_ns = 0;
    while (piece.count < count && piece.segment_count < SEGMENTS_MAX) {
        segments[piece.segment_count] = stretch(batch, at, count - piece.count);
        piece.count += segments[piece.segment_count++].count;
    }
    return piece;
}

/* A positive result is a runner's mistake; it must not pass for success. */
static int run(const struct tg_job *job, struct tg_batch *batch, uint64_t *ready_ns)
{
    int rc = job->runner->run_batch(job->self, batch);

    *ready_ns = TG_MAX(*ready_ns, batch->ready_ns);
    return rc > 0 ? -EIO : rc;
}

static int run_whole(const struct tg_job *job, uint64_t *ready_ns)
{
    struct tg_batch batch = job->batch;

    batch.ready_ns = 0;
    return run(job, &batch, ready_ns);
}

int tg_cpu_part_run(const struct tg_job *job, uint32_t first, uint32_t count, uint64_t *ready_ns)
{
    struct tg_segment segments[SEGMENTS_MAX];
    int rc = 0;

    *ready_ns = 0;
    if (count == job->batch.count)
        return run_whole(job, ready_ns);
    struct cursor at = seek(&job->batch, first);
    while (count > 0 && rc == 0) {
        struct tg_batch piece = gather(&job->batch, &at, count, segments);
        rc = run(job, &piece, ready_ns);
        count -= piece.count;
    }
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lane: a single-producer single-consumer ring whose slots are the rows a device will read.
 *
 * It joins one worker to one executor for one runner, one priority class and one row size. The worker decodes a
 * request straight into the next free input row and publishes it; the executor takes a span of rows, lets the
 * device write the output rows at the same index, and completes them in any order; the worker reaps completions,
 * encodes answers from the output rows and retires the rows, in any order too.
 *
 *   claimed >= published >= taken >= ... >= retired       (cursors count rows since start and wrap at 2^32)
 *   done >= reaped                                        (these count completions, see `completions`)
 *
 * Batches on different streams end out of order, so `done` counts entries of a completion array that carries row
 * indices instead of rows themselves: a slow batch holds up no other row's answer.
 *
 * Lives in shared memory; offsets are from the lane itself, so a child process may map it elsewhere.
 * docs/memory-order.md lists the edges by label.
 */
#ifndef TG_LANE_H
#define TG_LANE_H

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include "tg/arena.h"

/* Everything about a row but its bytes. One cache line; ownership travels with the cursors. */
struct tg_row {
    /* written by the worker before it publishes */
    uint64_t task;        /* the worker's task handle, opaque to everyone else */
    uint64_t arrival_ns;  /* CLOCK_MONOTONIC, as all stamps */
    uint64_t deadline_ns; /* never started at or after this instant */
    uint64_t param;       /* the runner's own word (knn: k) */
    uint32_t in_len;      /* bytes of the input row in use */
    uint32_t part;        /* number of this row within its task */
    /* written by the executor before it completes */
    uint64_t start_ns;    /* when its batch was handed to the device; 0: never started */
    uint32_t batch_rows;  /* size of that batch */
    uint32_t out_len;     /* bytes of the output row in use */
    uint16_t status;      /* enum tg_status */
    uint8_t attempts;     /* batches it was in, of executors that died too; recoverable lanes only, 0: in none */
    /* the worker's own */
    uint8_t marks;
    /* the executor's: which completion it is, or one that is never reached; recoverable lanes only */
    uint32_t done_at;
};
_Static_assert(sizeof(struct tg_row) == 64, "a row header is one cache line");

/* marks */
#define TG_ROW_RETIRED 1u /* out of order: its space waits for an earlier row */
#define TG_ROW_REAPED 2u  /* come back, and held for an answer */

/* done_at of a row that is out: so far ahead of `done` that no row stays out long enough to see it pass. */
#define TG_LANE_OUT 0x7fffffffu

struct tg_lane {
    /* line 0: fixed after init */
    uint32_t mask; /* rows - 1 */
    uint32_t in_stride, out_stride;
    uint16_t worker, runner;
    uint8_t priority, size_class;
    bool recoverable; /* the executor is a process that may die: rows say how far it came */
    uint8_t executor; /* number of the one that serves it */
    uint32_t bit; /* lane's number on the doorbells, among those of its worker and its executor */
    uint64_t rows_offset, in_offset, out_offset, completions_offset;
    /* line 1: the worker's own */
    alignas(TG_CACHE_SEPARATION) uint32_t claimed;
    uint32_t retired, reaped;
    uint32_t retired_ahead; /* rows retired out of order, whose space waits for an earlier row */
    /* line 2: worker writes */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t published;
    /* line 3: the executor's own */
    alignas(TG_CACHE_SEPARATION) uint32_t taken;
    /* line 4: executor writes */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t done;
    _Atomic uint64_t device_ns; /* device time that its rows have had; relaxed: a number by itself */
};

struct tg_lane_options {
    uint32_t rows;                  /* power of two, 2 ... 2^31 */
    uint32_t in_stride, out_stride; /* bytes, multiples of 64 */
    uint16_t worker, runner;
    uint8_t priority, size_class, executor;
    bool recoverable; /* then at most 2^28 rows */
    uint32_t bit;
};

/** Bytes a lane takes, rows included. */
size_t tg_lane_bytes(const struct tg_lane_options *o);
/** Lay a lane out in @arena (page-aligned rows, so that they can be pinned). NULL if it does not fit. */
struct tg_lane *tg_lane_create(struct tg_arena *arena, const struct tg_lane_options *o);

static inline struct tg_row *tg_lane_row(struct tg_lane *l, uint32_t cursor)
{
    return (struct tg_row *)((char *)l + l->rows_offset) + (cursor & l->mask);
}

static inline void *tg_lane_in(struct tg_lane *l, uint32_t cursor)
{
    return (char *)l + l->in_offset + (size_t)(cursor & l->mask) * l->in_stride;
}

static inline void *tg_lane_out(struct tg_lane *l, uint32_t cursor)
{
    return (char *)l + l->out_offset + (size_t)(cursor & l->mask) * l->out_stride;
}

/* ---- worker ---------------------------------------------------------------------------------------- */

/**
 * Claim @n consecutive rows, all or nothing (their memory may wrap round the end of the ring).
 * @first  gets the cursor of the first one
 * Returns 0, or -EAGAIN when fewer than @n are free. Claimed rows are invisible until published.
 */
static inline int tg_lane_claim(struct tg_lane *l, uint32_t n, uint32_t *first)
{
    if (TG_UNLIKELY(l->mask + 1 - (l->claimed - l->retired) < n))
        return -EAGAIN;
    *first = l->claimed;
    l->claimed += n;
    return 0;
}

/** Give back the @n rows claimed last (a decode that failed half way). They must not be published yet. */
static inline void tg_lane_unclaim(struct tg_lane *l, uint32_t n)
{
    l->claimed -= n;
}

/** Make every claimed row visible to the executor. Ring the doorbell afterwards. */
static inline void tg_lane_publish(struct tg_lane *l)
{
    atomic_store_explicit(&l->published, l->claimed, memory_order_release); /* L1 pairs with L2 */
}

/** Cursors of completed rows, in order of completion. Returns how many were written to @cursors. */
static inline uint32_t tg_lane_reap(struct tg_lane *l, uint32_t *cursors, uint32_t max)
{
    uint32_t done = atomic_load_explicit(&l->done, memory_order_acquire); /* L4 pairs with L3 */
    const uint32_t *completions = (const uint32_t *)((char *)l + l->completions_offset);
    uint32_t n = TG_MIN(done - l->reaped, max);
    for (uint32_t i = 0; i < n; i++)
        cursors[i] = completions[(l->reaped + i) & l->mask];
    l->reaped += n;
    return n;
}

/**
 * The answer is encoded: the row may be used again. Any order; space comes back in order.
 * In the common order this leaves row headers alone: the next one may just be written on the executor's core.
 */
static inline void tg_lane_retire(struct tg_lane *l, uint32_t cursor)
{
    if (TG_UNLIKELY(cursor != l->retired)) {
        tg_lane_row(l, cursor)->marks |= TG_ROW_RETIRED;
        l->retired_ahead++;
        return;
    }
    l->retired++;
    while (TG_UNLIKELY(l->retired_ahead > 0) && (tg_lane_row(l, l->retired)->marks & TG_ROW_RETIRED)) {
        tg_lane_row(l, l->retired)->marks = 0;
        l->retired++;
        l->retired_ahead--;
    }
}

/** Rows claimed and not yet retired. */
static inline uint32_t tg_lane_used(const struct tg_lane *l)
{
    return l->claimed - l->retired;
}

/* ---- executor -------------------------------------------------------------------------------------- */

/** Rows published and not yet taken. */
static inline uint32_t tg_lane_ready(struct tg_lane *l)
{
    return atomic_load_explicit(&l->published, memory_order_acquire) - l->taken; /* L2 pairs with L1 */
}

/* What a successor must find if this process dies: out, and for the first time. */
static inline void tg_lane_mark_out(struct tg_lane *l, uint32_t first, uint32_t n)
{
    uint32_t done = atomic_load_explicit(&l->done, memory_order_relaxed); /* own cursor */
    for (uint32_t i = 0; i < n; i++) {
        tg_lane_row(l, first + i)->attempts = 1;
        tg_lane_row(l, first + i)->done_at = done + TG_LANE_OUT;
    }
}

/**
 * Take @n of the ready rows. Returns the cursor of the first. `taken` is the executor's own, but a process that takes
 * over from it counts on the order of the two stores: marked first, then taken.
 */
static inline uint32_t tg_lane_take(struct tg_lane *l, uint32_t n)
{
    uint32_t first = l->taken;
    if (l->recoverable)
        tg_lane_mark_out(l, first, n);
    __atomic_store_n(&l->taken, first + n, __ATOMIC_RELEASE); /* L5 pairs with L6 */
    return first;
}

/** Its rows had so much of the device. */
static inline void tg_lane_charge(struct tg_lane *l, uint64_t ns)
{
    uint64_t sum = atomic_load_explicit(&l->device_ns, memory_order_relaxed); /* ours; others only read */
    atomic_store_explicit(&l->device_ns, sum + ns, memory_order_relaxed);
}

/** Hand back @n consecutive rows whose header and output are final. Ring the worker's doorbell afterwards. */
static inline void tg_lane_complete(struct tg_lane *l, uint32_t first, uint32_t n)
{
    uint32_t done = atomic_load_explicit(&l->done, memory_order_relaxed); /* own cursor */
    uint32_t *completions = (uint32_t *)((char *)l + l->completions_offset);
    for (uint32_t i = 0; i < n; i++)
        completions[(done + i) & l->mask] = first + i;
    for (uint32_t i = 0; i < n && l->recoverable; i++) /* before `done`: afterwards the worker may use them again */
        tg_lane_row(l, first + i)->done_at = done + i;
    atomic_store_explicit(&l->done, done + n, memory_order_release); /* L3 pairs with L4 */
}

/* ---- executor that takes over from one that died ----------------------------------------------------- */

/** Rows that were taken and never completed. Both cursors count rows since start. */
static inline uint32_t tg_lane_out_count(const struct tg_lane *l)
{
    uint32_t taken = __atomic_load_n(&l->taken, __ATOMIC_ACQUIRE); /* L6 pairs with L5 */
    return taken - atomic_load_explicit(&l->done, memory_order_relaxed); /* the dead process's end is the edge */
}

/**
 * Is row @cursor still out? To be asked from the newest taken row backwards, until tg_lane_out_count() of them are found:
 * an executor that died while taking may have marked rows it did not take, and those lie beyond, on rows long retired.
 */
static inline bool tg_lane_is_out(struct tg_lane *l, uint32_t cursor)
{
    const struct tg_row *row = tg_lane_row(l, cursor);
    uint32_t ahead = row->done_at - atomic_load_explicit(&l->done, memory_order_relaxed); /* as above */
    return row->attempts > 0 && ahead <= TG_LANE_OUT;
}

#endif

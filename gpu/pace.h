/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much of its device a row has lately cost an executor, by instance: what workers go by when they choose between
 * several (struct tg_pace). Both sums forget a sixteenth with every batch, so that a large batch counts for as much as
 * its rows do and the quotient follows the load; and half with every second that passed without one, so that the first
 * batch after a pause says more than all before it.
 * Thread: the executor's host.
 */
#ifndef TG_GPU_PACE_H
#define TG_GPU_PACE_H

#include "tg/gpu.h"

#define PACE_FORGETS 16
#define PACE_ROW_UNITS 256 /* a row, so that little is lost by forgetting */
#define PACE_NS_MAX (1000 * 1000000ull)

struct pace_sum {
    uint64_t ns, rows; /* rows in units */
};

static inline void pace_publish(struct tg_pace *to, uint64_t row_ns, uint64_t now_ns)
{
    atomic_store_explicit(&to->row_ns, TG_MIN(TG_MAX(row_ns, 1u), PACE_NS_MAX), memory_order_relaxed);
    atomic_store_explicit(&to->ended_ns, now_ns, memory_order_relaxed);
}

static inline void pace_forget(struct pace_sum *s, const struct tg_pace *to, uint64_t now_ns)
{
    uint64_t ended_ns = atomic_load_explicit(&to->ended_ns, memory_order_relaxed); /* our own */
    uint64_t seconds = now_ns > ended_ns ? (now_ns - ended_ns) / 1000000000u : 0;
    s->ns >>= TG_MIN(seconds, 63u);
    s->rows >>= TG_MIN(seconds, 63u);
}

/** A batch of @rows rows came back well, having had @ns of the device. */
static inline void pace_note(struct pace_sum *s, struct tg_pace *to, uint32_t rows, uint64_t ns, uint64_t now_ns)
{
    pace_forget(s, to, now_ns);
    s->ns = s->ns - s->ns / PACE_FORGETS + ns;
    s->rows = s->rows - s->rows / PACE_FORGETS + (uint64_t)rows * PACE_ROW_UNITS;
    pace_publish(to, s->ns * PACE_ROW_UNITS / s->rows, now_ns);
}

/** One failed. Failing is quick, and must not look like being fast: the device costs twice as much from here on. */
static inline void pace_note_failure(struct pace_sum *s, struct tg_pace *to, uint64_t now_ns)
{
    uint64_t row_ns = atomic_load_explicit(&to->row_ns, memory_order_relaxed); /* our own */
    s->ns = TG_MIN(TG_MAX(s->ns, 1u) * 2, PACE_NS_MAX * PACE_FORGETS);
    pace_publish(to, TG_MAX(row_ns, 1u) * 2, now_ns);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters and histograms of one worker. One writer each; a scrape reads them relaxed and sums over workers, so
 * a number is never torn and never goes back.
 */
#ifndef TG_METRICS_H
#define TG_METRICS_H

#include <stdalign.h>
#include <stdatomic.h>
#include "tg/gpu.h"

enum metric {
#define COUNTER(ident, name, help) METRIC_##ident,
#include "metrics.def"
#undef COUNTER
    METRIC_COUNT
};

/* Outcome of a task as the IICP metrics name it. */
enum task_outcome { OUTCOME_SUCCESS, OUTCOME_ERROR, OUTCOME_TIMEOUT, OUTCOME_REFUSED, OUTCOMES };

/* Upper bounds in ms: the union of the Spec's and the reference nodes' buckets; +Inf is implied. */
#define LATENCY_BUCKETS 10
extern const uint32_t latency_bucket_ms[LATENCY_BUCKETS];

/* Tasks of one intent and QoS class. */
struct task_metrics {
    _Atomic uint64_t outcomes[OUTCOMES];
    _Atomic uint64_t latency[LATENCY_BUCKETS + 1]; /* not cumulative */
    _Atomic uint64_t latency_sum_us;
};

struct metrics {
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t counters[METRIC_COUNT];
    _Atomic uint64_t connections_open;
    struct task_metrics (*tasks)[TG_PRIORITIES]; /* [intent slot]: one per instance, and one for all others */
    uint32_t intent_slots;
};

static inline void metrics_bump(_Atomic uint64_t *m, uint64_t n)
{
    atomic_store_explicit(m, atomic_load_explicit(m, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void metrics_add(struct metrics *m, enum metric which, uint64_t n)
{
    metrics_bump(&m->counters[which], n);
}

/** A task got its outcome after @latency_us. */
void metrics_task(struct metrics *m, uint32_t intent_slot, enum tg_priority p, enum task_outcome outcome,
                  uint64_t latency_us);

/* Text of an exposition, appended to the caller's buffer; what does not fit is dropped and `overflow` set. */
struct metrics_text {
    char *buf;
    size_t len, cap;
    bool overflow;
};

void metrics_printf(struct metrics_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Everything in metrics.def plus the IICP families, summed over @workers (Prometheus text 0.0.4). */
void metrics_export(struct metrics_text *t, struct metrics *const *workers, uint32_t worker_count,
                    struct tg_instance *const *instances, uint32_t instance_count);

extern const char *const priority_names[TG_PRIORITIES];

#endif

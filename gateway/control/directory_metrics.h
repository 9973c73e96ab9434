/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control thread counts about directories. One writer, the control thread; scrapes read relaxed,
 * since each number stands alone.
 */
#ifndef TG_DIRECTORY_METRICS_H
#define TG_DIRECTORY_METRICS_H

#include "gateway/base/metrics.h"

enum beat_failure {
#define BEAT_FAILURE(ident, label) BEAT_FAILURE_##ident,
#include "directory_metrics.def"
    BEAT_FAILURES
};

enum directory_counter {
#define DIRECTORY_COUNTER(ident, name, help) DIRECTORY_COUNTER_##ident,
#include "directory_metrics.def"
    DIRECTORY_COUNTERS
};

struct directory_metrics {
    _Atomic uint64_t failures[BEAT_FAILURES];
    _Atomic uint64_t counters[DIRECTORY_COUNTERS];
};

static inline void directory_count(struct directory_metrics *m, enum directory_counter which)
{
    metrics_bump(&m->counters[which], 1);
}

/** Prometheus text. Thread: any. */
void directory_metrics_export(const struct directory_metrics *m, struct metrics_text *t);

#endif

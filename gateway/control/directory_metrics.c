/* SPDX-License-Identifier: Apache-2.0 */
/* The control thread's counters as text. */
#include "directory_metrics.h"

static const char *const failure_labels[BEAT_FAILURES] = {
#define BEAT_FAILURE(ident, label) label,
#include "directory_metrics.def"
};

static const struct {
    const char *name, *help;
} counters[DIRECTORY_COUNTERS] = {
#define DIRECTORY_COUNTER(ident, name, help) {name, help},
#include "directory_metrics.def"
};

static uint64_t value(const _Atomic uint64_t *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

void directory_metrics_export(const struct directory_metrics *m, struct metrics_text *t)
{
    metrics_printf(t, "# HELP iicp_heartbeat_failures_total Heartbeats that the directory did not accept\n"
                      "# TYPE iicp_heartbeat_failures_total counter\n");
    for (unsigned i = 0; i < BEAT_FAILURES; i++)
        metrics_printf(t, "iicp_heartbeat_failures_total{reason=\"%s\"} %llu\n", failure_labels[i],
                       (unsigned long long)value(&m->failures[i]));
    for (unsigned i = 0; i < DIRECTORY_COUNTERS; i++)
        metrics_printf(t, "# HELP %s %s\n# TYPE %s counter\n%s %llu\n", counters[i].name, counters[i].help,
                       counters[i].name, counters[i].name, (unsigned long long)value(&m->counters[i]));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Counting, and the Prometheus text. */
#include <stdarg.h>
#include <stdio.h>
#include "metrics.h"

const uint32_t latency_bucket_ms[LATENCY_BUCKETS] = {10, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000};

const char *const priority_names[TG_PRIORITIES] = {"realtime", "interactive", "batch", "best_effort"};

static const char *const outcome_names[OUTCOMES] = {"success", "error", "timeout", "refused"};

static const struct {
    const char *name, *help;
} counter_info[METRIC_COUNT] = {
#define COUNTER(ident, name, help) {name, help},
#include "metrics.def"
#undef COUNTER
};

void metrics_task(struct metrics *m, uint32_t intent_slot, enum tg_priority p, enum task_outcome outcome,
                  uint64_t latency_us)
{
    struct task_metrics *t = &m->tasks[intent_slot][p];
    metrics_bump(&t->outcomes[outcome], 1);
    if (outcome == OUTCOME_REFUSED)
        return;
    uint32_t b = 0;
    while (b < LATENCY_BUCKETS && latency_us > latency_bucket_ms[b] * 1000ull)
        b++;
    metrics_bump(&t->latency[b], 1);
    metrics_bump(&t->latency_sum_us, latency_us);
}

void metrics_printf(struct metrics_text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->buf + t->len, t->cap - t->len, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= t->cap - t->len)
        t->overflow = true;
    else
        t->len += (size_t)n;
}

static uint64_t load(_Atomic uint64_t *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

static void export_counter(struct metrics_text *t, struct metrics *const *workers, uint32_t n, enum metric which)
{
    uint64_t sum = 0;
    for (uint32_t w = 0; w < n; w++)
        sum += load(&workers[w]->counters[which]);
    metrics_printf(t, "# HELP %s %s.\n# TYPE %s counter\n%s %llu\n", counter_info[which].name,
                   counter_info[which].help, counter_info[which].name, counter_info[which].name,
                   (unsigned long long)sum);
}

/* One intent and class, summed over the workers. */
static void sum_tasks(struct task_metrics *sum, struct metrics *const *workers, uint32_t n, uint32_t slot, uint32_t p)
{
    *sum = (struct task_metrics){0};
    for (uint32_t w = 0; w < n; w++) {
        struct task_metrics *t = &workers[w]->tasks[slot][p];
        for (uint32_t o = 0; o < OUTCOMES; o++)
            metrics_bump(&sum->outcomes[o], load(&t->outcomes[o]));
        for (uint32_t b = 0; b <= LATENCY_BUCKETS; b++)
            metrics_bump(&sum->latency[b], load(&t->latency[b]));
        metrics_bump(&sum->latency_sum_us, load(&t->latency_sum_us));
    }
}

static void export_outcomes(struct metrics_text *t, struct task_metrics *sum, const char *intent, const char *qos)
{
    for (uint32_t o = 0; o < OUTCOMES; o++)
        if (load(&sum->outcomes[o]) > 0)
            metrics_printf(t, "iicp_tasks_total{status=\"%s\",intent=\"%s\",qos=\"%s\"} %llu\n", outcome_names[o],
                           intent, qos, (unsigned long long)load(&sum->outcomes[o]));
}

static void export_latency(struct metrics_text *t, struct task_metrics *sum, const char *intent, const char *qos)
{
    uint64_t count = 0;
    for (uint32_t b = 0; b <= LATENCY_BUCKETS; b++)
        count += load(&sum->latency[b]);
    if (count == 0)
        return;
    uint64_t below = 0;
    for (uint32_t b = 0; b < LATENCY_BUCKETS; b++) {
        below += load(&sum->latency[b]);
        metrics_printf(t, "iicp_task_latency_ms_bucket{intent=\"%s\",qos=\"%s\",le=\"%u\"} %llu\n", intent, qos,
                       latency_bucket_ms[b], (unsigned long long)below);
    }
    metrics_printf(t, "iicp_task_latency_ms_bucket{intent=\"%s\",qos=\"%s\",le=\"+Inf\"} %llu\n", intent, qos,
                   (unsigned long long)count);
    metrics_printf(t, "iicp_task_latency_ms_sum{intent=\"%s\",qos=\"%s\"} %.3f\n", intent, qos,
                   (double)load(&sum->latency_sum_us) / 1000);
    metrics_printf(t, "iicp_task_latency_ms_count{intent=\"%s\",qos=\"%s\"} %llu\n", intent, qos,
                   (unsigned long long)count);
}

typedef void export_family(struct metrics_text *, struct task_metrics *, const char *intent, const char *qos);

static void export_tasks(struct metrics_text *t, struct metrics *const *workers, uint32_t worker_count,
                         struct tg_instance *const *instances, uint32_t instance_count, export_family *family)
{
    for (uint32_t slot = 0; slot <= instance_count; slot++) {
        const char *intent = slot < instance_count ? instances[slot]->intent : "other";
        for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
            struct task_metrics sum;
            sum_tasks(&sum, workers, worker_count, slot, p);
            family(t, &sum, intent, priority_names[p]);
        }
    }
}

/* As answers say: no kind of runner counts tokens, and a counter that is missing looks like a fault. */
static void export_tokens(struct metrics_text *t, struct tg_instance *const *instances, uint32_t instance_count)
{
    metrics_printf(t, "# HELP iicp_tokens_used_total Tokens that tasks used, as their answers say.\n"
                      "# TYPE iicp_tokens_used_total counter\n");
    for (uint32_t i = 0; i < instance_count; i++)
        metrics_printf(t, "iicp_tokens_used_total{intent=\"%s\"} 0\n", instances[i]->intent);
}

void metrics_export(struct metrics_text *t, struct metrics *const *workers, uint32_t worker_count,
                    struct tg_instance *const *instances, uint32_t instance_count)
{
    metrics_printf(t, "# HELP iicp_tasks_total Tasks answered, by outcome, intent and QoS class.\n"
                      "# TYPE iicp_tasks_total counter\n");
    export_tasks(t, workers, worker_count, instances, instance_count, export_outcomes);
    metrics_printf(t, "# HELP iicp_task_latency_ms From a task's arrival to its outcome, refusals left out.\n"
                      "# TYPE iicp_task_latency_ms histogram\n");
    export_tasks(t, workers, worker_count, instances, instance_count, export_latency);
    export_tokens(t, instances, instance_count);
    for (uint32_t m = 0; m < METRIC_COUNT; m++)
        export_counter(t, workers, worker_count, (enum metric)m);
    uint64_t open = 0;
    for (uint32_t w = 0; w < worker_count; w++)
        open += load(&workers[w]->connections_open);
    metrics_printf(t, "# HELP taskgate_connections_open Connections open now.\n"
                      "# TYPE taskgate_connections_open gauge\ntaskgate_connections_open %llu\n",
                   (unsigned long long)open);
}

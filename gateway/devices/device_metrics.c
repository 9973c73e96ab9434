/* SPDX-License-Identifier: Apache-2.0 */
/* Prometheus text about executors: sums over all of them, and each device's own under its name. docs/metrics.md */
#include "gateway/task/ready.h"
#include "gateway/gateway.h"

/* ---- sums -------------------------------------------------------------------------------------------------------- */

static void add(struct tg_executor_stats *sum, const struct tg_executor_stats *s)
{
    sum->batches += s->batches;
    sum->rows += s->rows;
    sum->rows_expired += s->rows_expired;
    sum->rows_failed += s->rows_failed;
    sum->rows_requeued += s->rows_requeued;
    sum->rows_poisoned += s->rows_poisoned;
    sum->faults += s->faults;
    sum->sleeps += s->sleeps;
    sum->inflight += s->inflight;
    sum->batch_rows_max = TG_MAX(sum->batch_rows_max, s->batch_rows_max);
}

void executors_stats(const struct gateway *g, struct tg_executor_stats *sum)
{
    struct tg_executor_stats s;
    *sum = (struct tg_executor_stats){0};
    for (uint32_t i = 0; i < g->executor_count; i++) {
        tg_executor_stats(g->executors[i], &s);
        add(sum, &s);
    }
    for (uint32_t i = 0; i < g->devices.count; i++) {
        device_stats(&g->devices.list[i], &s);
        add(sum, &s);
    }
}

void devices_counts(const struct gateway *g, struct tg_keeper_counts *sum)
{
    *sum = (struct tg_keeper_counts){0};
    for (uint32_t i = 0; i < g->devices.count; i++) {
        struct tg_keeper_counts n = device_counts(&g->devices.list[i]);
        sum->deaths += n.deaths;
        sum->hangs += n.hangs;
        sum->restarts += n.restarts;
        sum->withdrawals += n.withdrawals;
    }
}

/* ---- one by one -------------------------------------------------------------------------------------------------- */

typedef double value_fn(const struct gateway *g, const struct device *d);

static double up(const struct gateway *g, const struct device *d)
{
    (void)g;
    return device_reasons(d) == 0;
}

static double batches(const struct gateway *g, const struct device *d)
{
    struct tg_executor_stats s;
    (void)g;
    device_stats(d, &s);
    return (double)s.batches;
}

static double rows(const struct gateway *g, const struct device *d)
{
    struct tg_executor_stats s;
    (void)g;
    device_stats(d, &s);
    return (double)s.rows;
}

static double inflight(const struct gateway *g, const struct device *d)
{
    struct tg_executor_stats s;
    (void)g;
    device_stats(d, &s);
    return s.inflight;
}

static double busy_seconds(const struct gateway *g, const struct device *d)
{
    struct layout_lanes lanes = layout_lanes_of(g, d->number);
    uint64_t ns = 0;
    for (uint32_t i = 0; i < lanes.per_worker * g->worker_count; i++)
        ns += atomic_load_explicit(&lanes.first[i]->device_ns, memory_order_relaxed);
    return (double)ns / 1e9;
}

static double deaths(const struct gateway *g, const struct device *d)
{
    (void)g;
    return (double)device_counts(d).deaths;
}

static const struct {
    const char *name, *type, *help;
    value_fn *value;
} families[] = {
    {"taskgate_device_up", "gauge", "Whether the device serves", up},
    {"taskgate_device_batches_total", "counter", "Batches handed to this device", batches},
    {"taskgate_device_rows_total", "counter", "Rows that came back from this device", rows},
    {"taskgate_device_batches_inflight", "gauge", "Batches on this device now", inflight},
    {"taskgate_device_busy_seconds_total", "counter", "Time this device was busy", busy_seconds},
    {"taskgate_device_deaths_total", "counter", "Processes of this device that died or were killed", deaths},
};

static void head(struct metrics_text *t, const char *name, const char *type, const char *help)
{
    metrics_printf(t, "# HELP %s %s.\n# TYPE %s %s\n", name, help, name, type);
}

static void export_info(const struct gateway *g, struct metrics_text *t)
{
    head(t, "taskgate_device_info", "gauge", "Which device it is");
    for (uint32_t i = 0; i < g->devices.count; i++) {
        struct tg_executor_info info;
        device_describe(&g->devices.list[i], &info);
        metrics_printf(t, "taskgate_device_info{device=\"%s\",name=\"%s\",gpu=\"%s\"} 1\n", g->devices.list[i].name,
                       info.device, info.gpu);
    }
}

static void export_reasons_of(const char *name, uint32_t reasons, struct metrics_text *t)
{
    for (uint32_t r = 0; r < READY_REASONS; r++)
        if (DEVICE_REASONS >> r & 1)
            metrics_printf(t, "taskgate_device_reason{device=\"%s\",reason=\"%s\"} %u\n", name,
                           ready_words[r], reasons >> r & 1);
}

static void export_reasons(const struct gateway *g, struct metrics_text *t)
{
    uint32_t missing = devices_missing(g);
    if (g->devices.count == 0 && !missing)
        return;
    head(t, "taskgate_device_reason", "gauge", "Why the device does not serve");
    if (missing)
        export_reasons_of(DEVICE_MISSING, missing, t);
    for (uint32_t i = 0; i < g->devices.count; i++)
        export_reasons_of(g->devices.list[i].name, device_reasons(&g->devices.list[i]), t);
}

static void export_row_seconds(const struct gateway *g, struct metrics_text *t)
{
    head(t, "taskgate_device_row_seconds", "gauge",
         "Device time that a row has lately cost, by which tasks are spread");
    for (uint32_t i = 0; i < g->devices.count; i++)
        for (uint32_t k = 0; k < g->instance_count; k++) {
            const struct device *d = &g->devices.list[i];
            if (tg_instance_served_by(g->instances[k], d->number))
                metrics_printf(t, "taskgate_device_row_seconds{device=\"%s\",intent=\"%s\"} %.9f\n", d->name,
                               g->instances[k]->intent,
                               (double)atomic_load_explicit(&d->pace[k].row_ns, memory_order_relaxed) / 1e9);
        }
}

void devices_export(const struct gateway *g, struct metrics_text *t)
{
    export_reasons(g, t);
    if (g->devices.count == 0)
        return;
    export_info(g, t);
    for (uint32_t f = 0; f < TG_ARRAY_SIZE(families); f++) {
        head(t, families[f].name, families[f].type, families[f].help);
        for (uint32_t i = 0; i < g->devices.count; i++)
            metrics_printf(t, "%s{device=\"%s\"} %.17g\n", families[f].name, g->devices.list[i].name,
                           families[f].value(g, &g->devices.list[i]));
    }
    export_row_seconds(g, t);
}

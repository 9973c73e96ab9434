/* SPDX-License-Identifier: Apache-2.0 */
/* What was sampled, for those who ask: /metrics, the apportioning of energy, the log. Reads, and never waits. */
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "sampler.h"

#include <string.h>

enum { GAUGE, COUNTER };

static const struct {
    const char *metric, *help;
    int type;
    double factor;
} readings[READINGS] = {
#define READING(ident, metric, type, factor, function, help) [READING_##ident] = {metric, help, type, factor},
#include "readings.def"
#undef READING
};

static uint64_t value_of(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static uint32_t gpus_of(const struct telemetry *t)
{
    return atomic_load_explicit(&t->gpu_count, memory_order_acquire); /* T2 */
}

static uint64_t age_ns(const struct telemetry *t, uint64_t now_ns)
{
    uint64_t last = atomic_load_explicit(&t->sampled_ns, memory_order_acquire); /* T6 */
    last = TG_MAX(last, t->started_ns);
    return now_ns > last ? now_ns - last : 0;
}

static bool ever_sampled(const struct telemetry *t)
{
    return value_of(&t->sampled_ns) != 0;
}

bool telemetry_fresh(const struct telemetry *t, uint64_t now_ns)
{
    return ever_sampled(t) && age_ns(t, now_ns) <= t->options.stale_ns;
}

bool telemetry_energy(const struct telemetry *t, const char *uuid, struct telemetry_energy *out)
{
    uint64_t sampled_ns = atomic_load_explicit(&t->sampled_ns, memory_order_acquire); /* T6 */
    for (uint32_t i = 0; i < gpus_of(t); i++) {
        uint64_t v = value_of(&t->gpus[i].values[READING_ENERGY]);
        if (v == TELEMETRY_ABSENT || strcmp(t->gpus[i].uuid, uuid) != 0)
            continue;
        *out = (struct telemetry_energy){sampled_ns, v};
        return true;
    }
    return false;
}

/* ---- Prometheus text --------------------------------------------------------------------------------------- */

static void family(struct metrics_text *out, const char *metric, const char *type, const char *help)
{
    metrics_printf(out, "# HELP %s %s.\n# TYPE %s %s\n", metric, help, metric, type);
}

/* A family without a single value is not mentioned at all. */
static void export_reading(const struct telemetry *t, uint32_t r, struct metrics_text *out)
{
    bool begun = false;
    for (uint32_t i = 0; i < gpus_of(t); i++) {
        uint64_t v = value_of(&t->gpus[i].values[r]);
        if (v == TELEMETRY_ABSENT)
            continue;
        if (!begun)
            family(out, readings[r].metric, readings[r].type == COUNTER ? "counter" : "gauge", readings[r].help);
        begun = true;
        metrics_printf(out, "%s{gpu=\"%s\"} %.15g\n", readings[r].metric, t->gpus[i].uuid,
                       (double)v * readings[r].factor);
    }
}

static void export_identity(const struct telemetry *t, struct metrics_text *out)
{
    uint32_t n = gpus_of(t);
    if (n == 0)
        return;
    family(out, "taskgate_gpu_info", "gauge", "GPUs that were found");
    for (uint32_t i = 0; i < n; i++)
        metrics_printf(out, "taskgate_gpu_info{gpu=\"%s\",name=\"%s\",pci=\"%s\",driver=\"%s\"} 1\n",
                       t->gpus[i].uuid, t->gpus[i].name, t->gpus[i].pci, t->driver);
}

static void export_lost(const struct telemetry *t, struct metrics_text *out)
{
    if (gpus_of(t) == 0)
        return;
    family(out, "taskgate_gpu_lost", "gauge", "1: the driver has lost this GPU");
    for (uint32_t i = 0; i < gpus_of(t); i++)
        metrics_printf(out, "taskgate_gpu_lost{gpu=\"%s\"} %u\n", t->gpus[i].uuid,
                       atomic_load_explicit(&t->gpus[i].lost, memory_order_relaxed));
}

static void export_gpu_xids(const struct gpu *g, struct metrics_text *out)
{
    uint32_t kinds = atomic_load_explicit(&g->xid_kinds, memory_order_acquire); /* T4 */
    uint64_t other = value_of(&g->xids_other);
    for (uint32_t k = 0; k < kinds; k++)
        metrics_printf(out, "taskgate_gpu_xid_total{gpu=\"%s\",xid=\"%llu\"} %llu\n", g->uuid,
                       (unsigned long long)g->xids[k].number, (unsigned long long)value_of(&g->xids[k].count));
    if (other > 0)
        metrics_printf(out, "taskgate_gpu_xid_total{gpu=\"%s\",xid=\"other\"} %llu\n", g->uuid,
                       (unsigned long long)other);
}

static void export_xids(const struct telemetry *t, struct metrics_text *out)
{
    if (gpus_of(t) == 0)
        return;
    family(out, "taskgate_gpu_xid_total", "counter", "Errors that the driver reported, by XID");
    for (uint32_t i = 0; i < gpus_of(t); i++)
        export_gpu_xids(&t->gpus[i], out);
}

void telemetry_export(const struct telemetry *t, uint64_t now_ns, struct metrics_text *out)
{
    bool fresh = telemetry_fresh(t, now_ns);
    family(out, "taskgate_gpu_telemetry_up", "gauge", "1: samples of the GPUs are coming in");
    metrics_printf(out, "taskgate_gpu_telemetry_up %u\n", fresh);
    family(out, "taskgate_gpu_telemetry_age_seconds", "gauge", "Time since the last sample, or since the start");
    metrics_printf(out, "taskgate_gpu_telemetry_age_seconds %.3f\n", (double)age_ns(t, now_ns) / 1e9);
    export_identity(t, out);
    export_xids(t, out);
    if (!fresh)
        return; /* nothing is better than what was true once */
    export_lost(t, out);
    for (uint32_t r = 0; r < READINGS; r++)
        export_reading(t, r, out);
}

/* ---- the log ----------------------------------------------------------------------------------------------- */

/* Before the first sample there may be no driver, which the thread says itself; but it may hang there too. */
void telemetry_watch(struct telemetry *t, uint64_t now_ns)
{
    bool stale = age_ns(t, now_ns) > t->options.stale_ns;
    if (stale == t->told_stale)
        return;
    t->told_stale = stale;
    if (stale)
        log_warn("no news of the GPUs for %llu ms: their readings are left out of /metrics",
                 (unsigned long long)(t->options.stale_ns / NS_PER_MS));
    else
        log_info("there is news of the GPUs again");
}

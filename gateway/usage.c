/* SPDX-License-Identifier: Apache-2.0 */
/* Counters of lanes and workers on one side, energy on the other, and every interval the sum of both. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/telemetry/apportion.h"
#include "gateway/telemetry/telemetry.h"
#include "gateway.h"

/* Someone who is charged: an intent or a tenant. */
struct charges {
    uint64_t *device_ns;           /* since the last look */
    uint64_t *pending_ns;          /* since energy was charged last */
    _Atomic uint64_t *total_ns;    /* written by the control thread; relaxed, each is a number by itself */
    _Atomic uint64_t *microjoules; /* likewise */
    struct apportion_past past;
    uint32_t count;
};

struct usage {
    struct telemetry *telemetry; /* NULL: no GPU is looked at */
    char gpu[96];                /* whose energy is charged; empty: nobody's */
    struct charges intents, tenants; /* tenants.count 0: not asked for */
    /* the control thread's own */
    uint64_t due_ns, energy_from_ns;
    struct telemetry_energy energy;
    uint64_t *lane_ns;  /* [lane], as last seen */
    uint64_t *rows;     /* [worker][tenant of it][intent], as last seen */
    uint64_t *weights;  /* [tenant], of one intent */
    uint16_t *merged;   /* [worker][tenant of it]: tenant here */
    uint32_t *mapped;   /* [worker]: so many of those are filled in */
    char (*names)[TENANT_NAME_BYTES_MAX + 1];
    _Atomic uint32_t charging; /* energy has been read of that GPU; relaxed, it only grows */
    _Atomic uint32_t named; /* N3 pairs with N4: so many names are filled in */
};

/* ---- device time ------------------------------------------------------------------------------------------- */

static uint64_t lane_ns(const struct tg_lane *l)
{
    return atomic_load_explicit(&l->device_ns, memory_order_relaxed);
}

static void add_to(_Atomic uint64_t *total, uint64_t n)
{
    metrics_bump(total, n); /* the control thread alone writes */
}

static void look_at_lanes(struct gateway *g, struct usage *u)
{
    memset(u->intents.device_ns, 0, u->intents.count * sizeof(uint64_t));
    for (uint32_t i = 0; i < g->lane_count; i++) {
        uint64_t now = lane_ns(g->lanes[i]);
        u->intents.device_ns[g->lanes[i]->runner] += now - u->lane_ns[i];
        u->lane_ns[i] = now;
    }
    for (uint32_t i = 0; i < u->intents.count; i++)
        u->intents.pending_ns[i] += u->intents.device_ns[i];
}

/* ---- tenants ----------------------------------------------------------------------------------------------- */

static uint32_t named(const struct usage *u)
{
    return atomic_load_explicit(&u->named, memory_order_acquire); /* N4 */
}

/* Workers learn names one by one; here each has one place, whoever learnt it. */
static uint16_t place_of(struct usage *u, const char *name)
{
    uint32_t n = named(u);
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(u->names[i], name) == 0)
            return (uint16_t)i;
    if (n == u->tenants.count)
        return TENANT_OTHER;
    snprintf(u->names[n], sizeof(u->names[n]), "%s", name);
    atomic_store_explicit(&u->named, n + 1, memory_order_release); /* N3 */
    return (uint16_t)n;
}

static void map_names(const struct gateway *g, struct usage *u, uint32_t worker)
{
    const struct tenants *ts = g->workers[worker].tasks.tenants;
    uint32_t known = tenants_known(ts);
    for (; u->mapped[worker] < known; u->mapped[worker]++)
        u->merged[worker * u->tenants.count + u->mapped[worker]] = place_of(u, ts->names[u->mapped[worker]]);
}

/* Rows of one intent that came back since the last look, by tenant. */
static void weigh(const struct gateway *g, struct usage *u, uint32_t intent)
{
    memset(u->weights, 0, u->tenants.count * sizeof(uint64_t));
    for (uint32_t w = 0; w < g->worker_count; w++)
        for (uint32_t t = 0; t < u->mapped[w]; t++) {
            uint32_t at = w * u->tenants.count + t;
            uint64_t now = tenants_rows(g->workers[w].tasks.tenants, t, intent);
            u->weights[u->merged[at]] += now - u->rows[at * u->intents.count + intent];
            u->rows[at * u->intents.count + intent] = now;
        }
}

static void look_at_tenants(const struct gateway *g, struct usage *u)
{
    memset(u->tenants.device_ns, 0, u->tenants.count * sizeof(uint64_t));
    for (uint32_t w = 0; w < g->worker_count; w++)
        map_names(g, u, w);
    for (uint32_t i = 0; i < u->intents.count; i++) {
        weigh(g, u, i);
        apportion_by(u->intents.device_ns[i], u->weights, u->tenants.count, u->tenants.device_ns);
    }
    for (uint32_t t = 0; t < u->tenants.count; t++) {
        u->tenants.pending_ns[t] += u->tenants.device_ns[t];
        add_to(&u->tenants.total_ns[t], u->tenants.device_ns[t]);
    }
}

/* ---- energy ------------------------------------------------------------------------------------------------ */

static void charge(struct charges *c, uint64_t microjoules, uint64_t interval_ns)
{
    memset(c->device_ns, 0, c->count * sizeof(uint64_t)); /* has been added everywhere; room for the parts */
    apportion_busy(&c->past, microjoules, interval_ns, c->pending_ns, c->count, c->device_ns);
    for (uint32_t i = 0; i < c->count; i++)
        add_to(&c->microjoules[i], c->device_ns[i]);
    memset(c->pending_ns, 0, c->count * sizeof(uint64_t));
}

/* With every new sample. The first one, and one after the driver's counter began anew, only say where to count from. */
static void look_at_energy(struct usage *u, uint64_t now)
{
    struct telemetry_energy e;
    if (!u->gpu[0] || !telemetry_energy(u->telemetry, u->gpu, &e) || e.sampled_ns == u->energy.sampled_ns)
        return;
    bool counts = u->energy.sampled_ns != 0 && e.millijoules >= u->energy.millijoules;
    uint64_t microjoules = counts ? (e.millijoules - u->energy.millijoules) * 1000 : 0;
    charge(&u->intents, microjoules, now - u->energy_from_ns);
    charge(&u->tenants, microjoules, now - u->energy_from_ns);
    atomic_store_explicit(&u->charging, 1, memory_order_relaxed);
    u->energy = e;
    u->energy_from_ns = now;
}

/* ---- the control thread's look ----------------------------------------------------------------------------- */

static uint64_t turn(void *self, uint64_t now)
{
    struct gateway *g = self;
    struct usage *u = g->usage;
    if (now < u->due_ns)
        return u->due_ns;
    look_at_lanes(g, u);
    if (u->tenants.count > 0)
        look_at_tenants(g, u);
    if (u->telemetry) {
        look_at_energy(u, now);
        telemetry_watch(u->telemetry, now);
    }
    u->due_ns = now + g->config.telemetry_interval_ms * NS_PER_MS;
    return u->due_ns;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static bool charges_init(struct charges *c, uint32_t count)
{
    c->count = count;
    c->device_ns = calloc(count + 1, sizeof(uint64_t));
    c->pending_ns = calloc(count + 1, sizeof(uint64_t));
    c->total_ns = calloc(count + 1, sizeof(uint64_t));
    c->microjoules = calloc(count + 1, sizeof(uint64_t));
    return c->device_ns && c->pending_ns && c->total_ns && c->microjoules;
}

static void charges_finish(struct charges *c)
{
    free(c->device_ns);
    free(c->pending_ns);
    free(c->total_ns);
    free(c->microjoules);
}

static bool tenants_room(const struct gateway *g, struct usage *u)
{
    uint32_t tenants = g->config.telemetry_tenants ? g->config.telemetry_tenants + 1 : 0;
    size_t places = (size_t)g->worker_count * tenants + 1;
    u->rows = calloc(places * g->instance_count, sizeof(*u->rows));
    u->merged = calloc(places, sizeof(*u->merged));
    u->mapped = calloc(g->worker_count, sizeof(*u->mapped));
    u->weights = calloc(tenants + 1, sizeof(*u->weights));
    u->names = calloc(tenants + 1, sizeof(*u->names));
    return charges_init(&u->tenants, tenants) && u->rows && u->merged && u->mapped && u->weights && u->names;
}

static void open_telemetry(const struct gateway *g, struct usage *u)
{
    struct telemetry_options o = {
        .library = g->config.telemetry_nvml,
        .interval_ns = g->config.telemetry_interval_ms * NS_PER_MS,
        .stale_ns = g->config.telemetry_stale_ms * NS_PER_MS,
    };
    char why[256] = "";
    int rc = o.library[0] ? telemetry_create(&o, &u->telemetry, why, sizeof(why)) : 0;
    if (rc < 0)
        log_write(rc == -ENOENT ? TG_LOG_INFO : TG_LOG_WARN, "GPUs are not watched: %s", why[0] ? why : strerror(-rc));
}

/* The GPU that tasks run on, if the device is one, or the one that the configuration names. */
static void choose_gpu(const struct gateway *g, struct usage *u)
{
    struct tg_executor_info info = {0};
    if (g->process.keeper)
        tg_keeper_describe(g->process.keeper, &info);
    else if (g->executor_count > 0)
        tg_executor_describe(g->executors[0], &info);
    if (u->telemetry)
        snprintf(u->gpu, sizeof(u->gpu), "%s", g->config.telemetry_gpu[0] ? g->config.telemetry_gpu : info.gpu);
}

static bool usage_init(struct gateway *g, struct usage *u)
{
    u->lane_ns = calloc(g->lane_count + 1, sizeof(*u->lane_ns));
    if (!u->lane_ns || !charges_init(&u->intents, g->instance_count) || !tenants_room(g, u))
        return false;
    if (u->tenants.count > 0)
        place_of(u, "other");
    open_telemetry(g, u);
    choose_gpu(g, u);
    u->energy_from_ns = clock_now_ns();
    return true;
}

void usage_open(struct gateway *g)
{
    struct control_part part = {.name = "usage", .turn = turn, .self = g};
    g->usage = calloc(1, sizeof(*g->usage));
    if (!g->usage || !usage_init(g, g->usage)) {
        log_error("usage: out of memory");
        usage_close(g);
        return;
    }
    if (g->usage->telemetry || g->usage->tenants.count > 0) /* nothing to be done every so often else */
        control_add(g->control, &part);
}

void usage_close(struct gateway *g)
{
    struct usage *u = g->usage;
    if (!u)
        return;
    telemetry_destroy(u->telemetry);
    charges_finish(&u->intents);
    charges_finish(&u->tenants);
    free(u->lane_ns);
    free(u->rows);
    free(u->weights);
    free(u->merged);
    free(u->mapped);
    free(u->names);
    free(u);
    g->usage = NULL;
}

/* ---- Prometheus text --------------------------------------------------------------------------------------- */

static void family(struct metrics_text *t, const char *name, const char *help)
{
    metrics_printf(t, "# HELP %s %s.\n# TYPE %s counter\n", name, help, name);
}

static uint64_t intent_ns(const struct gateway *g, uint32_t intent)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < g->lane_count; i++)
        if (g->lanes[i]->runner == intent)
            ns += lane_ns(g->lanes[i]);
    return ns;
}

static void export_seconds(const struct gateway *g, struct metrics_text *t, const char *name, const char *help)
{
    family(t, name, help);
    for (uint32_t i = 0; i < g->instance_count; i++)
        metrics_printf(t, "%s{intent=\"%s\"} %.9f\n", name, g->instances[i]->intent, (double)intent_ns(g, i) / 1e9);
}

static uint64_t value(const _Atomic uint64_t *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

static void export_energy(const struct gateway *g, const struct usage *u, struct metrics_text *t)
{
    family(t, "taskgate_gpu_energy_joules_total", "Energy of the GPU charged to tasks, by intent");
    for (uint32_t i = 0; i < u->intents.count; i++)
        metrics_printf(t, "taskgate_gpu_energy_joules_total{intent=\"%s\"} %.6f\n", g->instances[i]->intent,
                       (double)value(&u->intents.microjoules[i]) / 1e6);
}

static void export_tenants(const struct usage *u, struct metrics_text *t, const char *name, const char *help,
                           const _Atomic uint64_t *amounts, double unit)
{
    uint32_t n = named(u);
    family(t, name, help);
    for (uint32_t i = 0; i < n; i++)
        metrics_printf(t, "%s{tenant=\"%s\"} %.9f\n", name, u->names[i], (double)value(&amounts[i]) / unit);
}

/* Without a GPU whose energy is known nothing is charged to it: absent is the truth, zero is not. */
void usage_export(const struct gateway *g, struct metrics_text *t)
{
    const struct usage *u = g->usage;
    export_seconds(g, t, "taskgate_device_seconds_total", "Time the device was busy, by intent");
    if (!u)
        return;
    if (u->tenants.count > 0)
        export_tenants(u, t, "taskgate_tenant_device_seconds_total", "Time the device was busy, by who sent the tasks",
                       u->tenants.total_ns, 1e9);
    bool charging = atomic_load_explicit(&u->charging, memory_order_relaxed);
    if (charging) {
        export_seconds(g, t, "taskgate_gpu_seconds_total", "Time the GPU was busy with tasks, by intent");
        export_energy(g, u, t);
    }
    if (charging && u->tenants.count > 0)
        export_tenants(u, t, "taskgate_tenant_gpu_energy_joules_total",
                       "Energy of the GPU charged to tasks, by who sent them", u->tenants.microjoules, 1e6);
    if (u->telemetry)
        telemetry_export(u->telemetry, clock_now_ns(), t);
}

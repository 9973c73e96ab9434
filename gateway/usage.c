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
    uint64_t *parts;               /* room for what is apportioned */
    _Atomic uint64_t *total_ns;    /* written by the control thread; relaxed, each is a number by itself */
    _Atomic uint64_t *microjoules; /* likewise */
    uint32_t count;
};

/* A GPU whose energy is charged, and who has kept it busy since that was done last. */
struct charged_gpu {
    char uuid[96];
    struct telemetry_energy energy;
    uint64_t from_ns;
    uint64_t *intent_ns, *tenant_ns;
    struct apportion_past intents, tenants;
};

struct usage {
    struct telemetry *telemetry; /* NULL: no GPU is looked at */
    uint32_t gpu_count;          /* 0: nobody is charged for energy */
    uint32_t gpu_of[TG_EXECUTORS_MAX]; /* by number: which of gpus it drives; gpu_count: none of them */
    struct charges intents, tenants; /* tenants.count 0: not asked for */
    /* the control thread's own */
    struct charged_gpu gpus[TG_DEVICES_MAX];
    uint64_t due_ns;
    uint64_t *lane_ns;  /* [lane], as last seen */
    uint64_t *used_ns;  /* [gpu, and one more for the rest][intent], since the last look */
    uint64_t *rows;     /* [worker][tenant of it][intent], as last seen */
    uint64_t *weights;  /* [tenant], of one intent */
    uint16_t *merged;   /* [worker][tenant of it]: tenant here */
    uint32_t *mapped;   /* [worker]: so many of those are filled in */
    char (*names)[TENANT_NAME_BYTES_MAX + 1];
    _Atomic uint32_t charging; /* energy has been read of a GPU; relaxed, it only grows */
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

static uint64_t *used_of(const struct usage *u, uint32_t gpu, uint32_t intent)
{
    return &u->used_ns[gpu * u->intents.count + intent];
}

static void look_at_lanes(struct gateway *g, struct usage *u)
{
    memset(u->used_ns, 0, (u->gpu_count + 1) * u->intents.count * sizeof(uint64_t));
    for (uint32_t i = 0; i < g->lane_count; i++) {
        uint64_t now = lane_ns(g->lanes[i]);
        *used_of(u, u->gpu_of[g->lanes[i]->executor], g->lanes[i]->runner) += now - u->lane_ns[i];
        u->lane_ns[i] = now;
    }
    for (uint32_t k = 0; k < u->gpu_count; k++)
        for (uint32_t i = 0; i < u->intents.count; i++)
            u->gpus[k].intent_ns[i] += *used_of(u, k, i);
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

/* What an intent had of one GPU, or of what is none, by the weights of those who sent its rows. */
static void charge_tenants(struct usage *u, uint32_t gpu, uint32_t intent)
{
    struct charges *c = &u->tenants;
    memset(c->parts, 0, c->count * sizeof(uint64_t));
    apportion_by(*used_of(u, gpu, intent), u->weights, c->count, c->parts);
    for (uint32_t t = 0; t < c->count; t++) {
        add_to(&c->total_ns[t], c->parts[t]);
        if (gpu < u->gpu_count)
            u->gpus[gpu].tenant_ns[t] += c->parts[t];
    }
}

static void look_at_tenants(const struct gateway *g, struct usage *u)
{
    for (uint32_t w = 0; w < g->worker_count; w++)
        map_names(g, u, w);
    for (uint32_t i = 0; i < u->intents.count; i++) {
        weigh(g, u, i);
        for (uint32_t k = 0; k <= u->gpu_count; k++)
            charge_tenants(u, k, i);
    }
}

/* ---- energy ------------------------------------------------------------------------------------------------ */

static void charge(struct charges *c, struct apportion_past *past, uint64_t *busy_ns, uint64_t microjoules,
                   uint64_t interval_ns)
{
    memset(c->parts, 0, c->count * sizeof(uint64_t));
    apportion_busy(past, microjoules, interval_ns, busy_ns, c->count, c->parts);
    for (uint32_t i = 0; i < c->count; i++)
        add_to(&c->microjoules[i], c->parts[i]);
    memset(busy_ns, 0, c->count * sizeof(uint64_t));
}

/* With every new sample. The first one, and one after the driver's counter began anew, only say where to count from. */
static void look_at_energy(struct usage *u, struct charged_gpu *gpu, uint64_t now)
{
    struct telemetry_energy e;
    if (!telemetry_energy(u->telemetry, gpu->uuid, &e) || e.sampled_ns == gpu->energy.sampled_ns)
        return;
    bool counts = gpu->energy.sampled_ns != 0 && e.millijoules >= gpu->energy.millijoules;
    uint64_t microjoules = counts ? (e.millijoules - gpu->energy.millijoules) * 1000 : 0;
    charge(&u->intents, &gpu->intents, gpu->intent_ns, microjoules, now - gpu->from_ns);
    charge(&u->tenants, &gpu->tenants, gpu->tenant_ns, microjoules, now - gpu->from_ns);
    atomic_store_explicit(&u->charging, 1, memory_order_relaxed);
    gpu->energy = e;
    gpu->from_ns = now;
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
        for (uint32_t k = 0; k < u->gpu_count; k++)
            look_at_energy(u, &u->gpus[k], now);
        telemetry_watch(u->telemetry, now);
    }
    u->due_ns = now + g->config.telemetry_interval_ms * NS_PER_MS;
    return u->due_ns;
}

/* ---- life -------------------------------------------------------------------------------------------------- */

static bool charges_init(struct charges *c, uint32_t count)
{
    c->count = count;
    c->parts = calloc(count + 1, sizeof(uint64_t));
    c->total_ns = calloc(count + 1, sizeof(uint64_t));
    c->microjoules = calloc(count + 1, sizeof(uint64_t));
    return c->parts && c->total_ns && c->microjoules;
}

static void charges_finish(struct charges *c)
{
    free(c->parts);
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

static uint32_t find_gpu(struct usage *u, const char *uuid)
{
    uint32_t k = 0;
    while (k < u->gpu_count && strcmp(u->gpus[k].uuid, uuid) != 0)
        k++;
    if (k == u->gpu_count) {
        snprintf(u->gpus[k].uuid, sizeof(u->gpus[k].uuid), "%s", uuid);
        u->gpu_count++;
    }
    return k;
}

/* The GPUs that tasks run on, each for its own tasks, or for all of them the one that the configuration names. */
static void choose_gpus(const struct gateway *g, struct usage *u)
{
    const char *named = g->config.telemetry_gpu;
    for (uint32_t n = 0; n < TG_EXECUTORS_MAX; n++)
        u->gpu_of[n] = named[0] && u->telemetry ? find_gpu(u, named) : UINT32_MAX;
    for (uint32_t i = 0; i < g->devices.count && u->telemetry && !named[0]; i++) {
        const struct device *d = &g->devices.list[i];
        struct tg_executor_info info;
        device_describe(d, &info);
        if (info.gpu[0] || d->visible[0]) /* one that is not up yet is known by what it is to see */
            u->gpu_of[d->number] = find_gpu(u, info.gpu[0] ? info.gpu : d->visible);
    }
    for (uint32_t n = 0; n < TG_EXECUTORS_MAX; n++)
        u->gpu_of[n] = TG_MIN(u->gpu_of[n], u->gpu_count);
}

static bool gpus_room(struct usage *u)
{
    u->used_ns = calloc((size_t)(u->gpu_count + 1) * (u->intents.count + 1), sizeof(*u->used_ns));
    bool room = u->used_ns != NULL;
    for (uint32_t k = 0; k < u->gpu_count; k++) {
        struct charged_gpu *gpu = &u->gpus[k];
        gpu->intent_ns = calloc(u->intents.count + 1, sizeof(uint64_t));
        gpu->tenant_ns = calloc(u->tenants.count + 1, sizeof(uint64_t));
        gpu->from_ns = clock_now_ns();
        room = room && gpu->intent_ns && gpu->tenant_ns;
    }
    return room;
}

static bool usage_init(struct gateway *g, struct usage *u)
{
    u->lane_ns = calloc(g->lane_count + 1, sizeof(*u->lane_ns));
    if (!u->lane_ns || !charges_init(&u->intents, g->instance_count) || !tenants_room(g, u))
        return false;
    if (u->tenants.count > 0)
        place_of(u, "other");
    open_telemetry(g, u);
    choose_gpus(g, u);
    return gpus_room(u);
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
    for (uint32_t k = 0; k < u->gpu_count; k++) {
        free(u->gpus[k].intent_ns);
        free(u->gpus[k].tenant_ns);
    }
    free(u->used_ns);
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

/* On all devices, or, with @u, on the GPUs that are charged for. */
static uint64_t intent_ns(const struct gateway *g, const struct usage *u, uint32_t intent)
{
    uint64_t ns = 0;
    for (uint32_t i = 0; i < g->lane_count; i++)
        if (g->lanes[i]->runner == intent && (!u || u->gpu_of[g->lanes[i]->executor] < u->gpu_count))
            ns += lane_ns(g->lanes[i]);
    return ns;
}

static void export_seconds(const struct gateway *g, const struct usage *u, struct metrics_text *t, const char *name,
                           const char *help)
{
    family(t, name, help);
    for (uint32_t i = 0; i < g->instance_count; i++)
        metrics_printf(t, "%s{intent=\"%s\"} %.9f\n", name, g->instances[i]->intent, (double)intent_ns(g, u, i) / 1e9);
}

static uint64_t value(const _Atomic uint64_t *m)
{
    return atomic_load_explicit(m, memory_order_relaxed);
}

static void export_energy(const struct gateway *g, const struct usage *u, struct metrics_text *t)
{
    family(t, "taskgate_gpu_energy_joules_total", "Energy of GPUs charged to tasks, by intent");
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
    export_seconds(g, NULL, t, "taskgate_device_seconds_total", "Time devices were busy, by intent");
    if (!u)
        return;
    if (u->tenants.count > 0)
        export_tenants(u, t, "taskgate_tenant_device_seconds_total", "Time devices were busy, by who sent the tasks",
                       u->tenants.total_ns, 1e9);
    bool charging = atomic_load_explicit(&u->charging, memory_order_relaxed);
    if (charging) {
        export_seconds(g, u, t, "taskgate_gpu_seconds_total", "Time GPUs were busy with tasks, by intent");
        export_energy(g, u, t);
    }
    if (charging && u->tenants.count > 0)
        export_tenants(u, t, "taskgate_tenant_gpu_energy_joules_total",
                       "Energy of GPUs charged to tasks, by who sent them", u->tenants.microjoules, 1e6);
    if (u->telemetry)
        telemetry_export(u->telemetry, clock_now_ns(), t);
}

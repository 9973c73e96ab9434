/* SPDX-License-Identifier: Apache-2.0 */
/* How many threads there are, and where the lanes between them lie. */
#include <errno.h>
#include <stdlib.h>
#include "gateway/base/log.h"
#include "gateway.h"

#define WORKERS_AUTO_MAX 8
/* A runner is cheap if a row costs no more: then handing it to another thread costs more than computing it. */
#define CHEAP_ROW_NS 50000
/* On so few cores another thread would only take turns with the worker. */
#define FEW_CORES 2
#define ROWS_MIN 16

static bool all_cheap(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (tg_instance_served_by(g->instances[i], 0) && g->instances[i]->shape.row_ns > CHEAP_ROW_NS)
            return false;
    return true;
}

/* Half of what may run, and beside executors no more than there are cores left: siblings share one. */
static uint32_t workers_chosen(const struct gateway *g)
{
    const struct topology *t = g->topology;
    uint32_t cpus = machine_capacity(&t->machine), cores = machine_cores_allowed(&t->machine);
    if (t->wish.worker_cpus.count > 0)
        return TG_MIN(t->wish.worker_cpus.count, (uint32_t)ADMISSION_WORKERS_MAX);
    uint32_t executors = g->devices.count + layout_cpu_needed(g);
    uint32_t share = g->inline_executors ? cpus : TG_MIN(cpus / 2, cores > executors ? cores - executors : 1);
    return TG_MIN(TG_MAX(share, 1u), (uint32_t)WORKERS_AUTO_MAX);
}

uint32_t layout_compute_threads(const struct gateway *g)
{
    uint32_t half = machine_capacity(&g->topology->machine) / 2;
    return g->config.executor_cpu_threads ? g->config.executor_cpu_threads : TG_MAX(half, 1u);
}

void layout_choose(struct gateway *g)
{
    switch (g->config.executor_mode) {
    case CONFIG_EXECUTOR_INLINE:
        g->inline_executors = true;
        break;
    case CONFIG_EXECUTOR_THREAD:
    case CONFIG_EXECUTOR_PROCESS:
        g->inline_executors = false;
        break;
    default:
        g->inline_executors = machine_capacity(&g->topology->machine) <= FEW_CORES && all_cheap(g);
    }
    g->worker_count = g->config.server_workers ? g->config.server_workers : workers_chosen(g);
    g->executor_count = g->inline_executors ? g->worker_count : 1;
}

bool layout_cpu_needed(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (tg_instance_served_by(g->instances[i], 0))
            return true;
    return false;
}

/* ---- lanes ----------------------------------------------------------------------------------------------------- */

uint32_t layout_executors(const struct gateway *g)
{
    return g->devices.count + 1;
}

static uint32_t lanes_of_instance(const struct gateway *g, uint32_t number, uint32_t instance)
{
    const struct tg_instance *in = g->instances[instance];
    return tg_instance_served_by(in, number) ? in->shape.size_classes * TG_PRIORITIES : 0;
}

static uint32_t lanes_per_worker(const struct gateway *g, uint32_t number)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->instance_count; i++)
        n += lanes_of_instance(g, number, i);
    return n;
}

struct layout_lanes layout_lanes_of(const struct gateway *g, uint32_t number)
{
    uint32_t before = 0;
    for (uint32_t n = 0; n < number; n++)
        before += lanes_per_worker(g, n) * g->worker_count;
    return (struct layout_lanes){g->lanes + before, lanes_per_worker(g, number)};
}

static uint32_t stride(uint32_t bytes)
{
    return TG_MAX((bytes + 63) / 64 * 64, 64u);
}

/* Fewer rows where they are large, so that a lane stays within its memory; never fewer than a task may need. */
static uint32_t lane_rows(const struct gateway *g, const struct tg_shape *s, uint32_t size_class)
{
    uint32_t rows = g->config.lane_rows;
    uint64_t row_bytes = (uint64_t)stride(s->in_bytes[size_class]) + stride(s->out_bytes[size_class]);
    uint32_t least = ROWS_MIN;
    while (least < s->rows_per_task_max)
        least *= 2;
    while (rows > least && rows * row_bytes > g->config.lane_bytes)
        rows /= 2;
    return TG_MAX(rows, least);
}

/* Where a lane belongs. */
struct lane_place {
    uint32_t executor, worker, instance, priority, size_class, bit;
};

static struct tg_lane_options lane_options(const struct gateway *g, const struct lane_place *at)
{
    const struct tg_shape *s = &g->instances[at->instance]->shape;
    return (struct tg_lane_options){
        .rows = lane_rows(g, s, at->size_class),
        .in_stride = stride(s->in_bytes[at->size_class]),
        .out_stride = stride(s->out_bytes[at->size_class]),
        .worker = (uint16_t)at->worker,
        .runner = (uint16_t)at->instance,
        .priority = (uint8_t)at->priority,
        .size_class = (uint8_t)at->size_class,
        .executor = (uint8_t)at->executor,
        .recoverable = at->executor > 0 && g->devices.process,
        .bit = at->bit,
    };
}

typedef int lane_fn(struct gateway *g, const struct tg_lane_options *o, uint32_t number, size_t *bytes);

/* Those between one worker and one executor. */
static int each_between(struct gateway *g, struct lane_place at, lane_fn *fn, uint32_t *number, size_t *bytes)
{
    for (at.instance = 0; at.instance < g->instance_count; at.instance++) {
        uint32_t classes = lanes_of_instance(g, at.executor, at.instance) / TG_PRIORITIES;
        for (at.priority = 0; at.priority < TG_PRIORITIES; at.priority++)
            for (at.size_class = 0; at.size_class < classes; at.size_class++) {
                struct tg_lane_options o = lane_options(g, &at);
                int rc = fn(g, &o, (*number)++, bytes);
                if (rc < 0)
                    return rc;
                at.bit++;
            }
    }
    return 0;
}

/* Every lane there is to be, in the order of g->lanes: by executor, worker, instance, priority, size class. */
static int each_lane(struct gateway *g, lane_fn *fn, size_t *bytes)
{
    uint32_t number = 0;
    int rc = 0;
    for (uint32_t n = 0; n < layout_executors(g); n++)
        for (uint32_t w = 0; rc == 0 && w < g->worker_count; w++)
            rc = each_between(g, (struct lane_place){.executor = n, .worker = w}, fn, &number, bytes);
    return rc;
}

static int add_bytes(struct gateway *g, const struct tg_lane_options *o, uint32_t number, size_t *bytes)
{
    (void)number;
    *bytes += tg_lane_bytes(o) + 4096;
    g->lane_count++;
    return 0;
}

static int create(struct gateway *g, const struct tg_lane_options *o, uint32_t number, size_t *bytes)
{
    (void)bytes;
    topology_lane_memory(g, o->worker, o->executor, g->shared.base + g->shared.used, tg_lane_bytes(o));
    g->lanes[number] = tg_lane_create(&g->shared, o);
    return g->lanes[number] ? 0 : -ENOMEM;
}

/* What lies beside the lanes: a doorbell for each worker and executor, keepers, and how fast devices are. */
static size_t other_bytes(const struct gateway *g)
{
    uint32_t executors = layout_executors(g), bells = 2 * g->worker_count + executors;
    return bells * (tg_doorbell_bytes(TG_MAX(g->worker_count, executors)) + TG_CACHE_SEPARATION) +
           g->devices.count * (tg_keeper_bytes() + g->instance_count * sizeof(struct tg_pace) + TG_CACHE_SEPARATION) +
           g->worker_count * sizeof(struct spread_load) + 2 * 4096;
}

static int check_bits(const struct gateway *g)
{
    for (uint32_t n = 0; n < layout_executors(g); n++)
        if (lanes_per_worker(g, n) > TG_DOORBELL_LANES) {
            log_error("too many runners: %u lanes between a worker and an executor, %u are possible",
                      lanes_per_worker(g, n), TG_DOORBELL_LANES);
            return -ENOSPC;
        }
    return 0;
}

size_t layout_lane_bytes(struct gateway *g)
{
    size_t bytes = 0;
    g->lane_count = 0;
    each_lane(g, add_bytes, &bytes);
    return bytes;
}

int layout_lanes(struct gateway *g)
{
    size_t bytes = other_bytes(g) + layout_lane_bytes(g);
    int rc = check_bits(g);
    if (rc < 0)
        return rc;
    g->lanes = calloc(g->lane_count, sizeof(*g->lanes));
    if (!g->lanes)
        return -ENOMEM;
    rc = tg_arena_init(&g->shared, bytes, TG_ARENA_SHARED);
    if (rc < 0) {
        log_error("cannot reserve %zu bytes for lanes", bytes);
        return rc;
    }
    g->loads = tg_arena_alloc(&g->shared, g->worker_count * sizeof(*g->loads), TG_CACHE_SEPARATION);
    rc = g->loads ? each_lane(g, create, &bytes) : -ENOMEM;
    return rc == 0 ? devices_make_room(g) : rc;
}

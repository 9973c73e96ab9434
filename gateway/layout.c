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
        if (!g->instances[i]->on_gpu && g->instances[i]->shape.row_ns > CHEAP_ROW_NS)
            return false;
    return true;
}

/* Half of what may run, and beside an executor no more than there are cores left: siblings share one. */
static uint32_t workers_chosen(const struct gateway *g)
{
    const struct topology *t = g->topology;
    uint32_t cpus = machine_capacity(&t->machine), cores = machine_cores_allowed(&t->machine);
    if (t->wish.worker_cpus.count > 0)
        return TG_MIN(t->wish.worker_cpus.count, (uint32_t)ADMISSION_WORKERS_MAX);
    uint32_t share = g->inline_executors ? cpus : TG_MIN(cpus / 2, cores - 1);
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

uint32_t layout_lanes_per_worker(const struct gateway *g)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->instance_count; i++)
        n += g->instances[i]->shape.size_classes * TG_PRIORITIES;
    return n;
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

static struct tg_lane_options lane_options(const struct gateway *g, uint32_t worker, uint32_t instance,
                                           uint32_t priority, uint32_t size_class, uint32_t bit)
{
    const struct tg_shape *s = &g->instances[instance]->shape;
    return (struct tg_lane_options){
        .rows = lane_rows(g, s, size_class),
        .in_stride = stride(s->in_bytes[size_class]),
        .out_stride = stride(s->out_bytes[size_class]),
        .worker = (uint16_t)worker,
        .runner = (uint16_t)instance,
        .priority = (uint8_t)priority,
        .size_class = (uint8_t)size_class,
        .recoverable = g->gpu ? gpu_in_process(g) && g->instances[instance]->on_gpu
                              : g->config.executor_mode == CONFIG_EXECUTOR_PROCESS,
        .bit = bit,
    };
}

typedef int lane_fn(struct gateway *g, const struct tg_lane_options *o, uint32_t number, size_t *bytes);

/* Every lane there is to be, in the order of g->lanes: by worker, instance, priority, size class. */
static int each_lane(struct gateway *g, lane_fn *fn, size_t *bytes)
{
    uint32_t number = 0;
    for (uint32_t w = 0; w < g->worker_count; w++) {
        uint32_t bit = 0;
        for (uint32_t i = 0; i < g->instance_count; i++)
            for (uint32_t p = 0; p < TG_PRIORITIES; p++)
                for (uint32_t c = 0; c < g->instances[i]->shape.size_classes; c++) {
                    struct tg_lane_options o = lane_options(g, w, i, p, c, bit++);
                    int rc = fn(g, &o, number++, bytes);
                    if (rc < 0)
                        return rc;
                }
    }
    return 0;
}

static int add_bytes(struct gateway *g, const struct tg_lane_options *o, uint32_t number, size_t *bytes)
{
    (void)g, (void)number;
    *bytes += tg_lane_bytes(o) + 4096;
    return 0;
}

static int create(struct gateway *g, const struct tg_lane_options *o, uint32_t number, size_t *bytes)
{
    (void)bytes;
    topology_lane_memory(g, o->worker, g->shared.base + g->shared.used, tg_lane_bytes(o));
    g->lanes[number] = tg_lane_create(&g->shared, o);
    return g->lanes[number] ? 0 : -ENOMEM;
}

struct tg_lane *layout_lane(const struct gateway *g, uint32_t worker, uint32_t instance, uint32_t priority,
                            uint32_t size_class)
{
    uint32_t n = worker * layout_lanes_per_worker(g);
    for (uint32_t i = 0; i < instance; i++)
        n += g->instances[i]->shape.size_classes * TG_PRIORITIES;
    return g->lanes[n + priority * g->instances[instance]->shape.size_classes + size_class];
}

size_t layout_lane_bytes(struct gateway *g)
{
    size_t bytes = 4096;
    each_lane(g, add_bytes, &bytes);
    return bytes;
}

int layout_lanes(struct gateway *g)
{
    uint32_t per_worker = layout_lanes_per_worker(g);
    if (per_worker > TG_DOORBELL_LANES) {
        log_error("too many runners: %u lanes per worker, %u are possible", per_worker, TG_DOORBELL_LANES);
        return -ENOSPC;
    }
    g->lane_count = per_worker * g->worker_count;
    g->lanes = calloc(g->lane_count, sizeof(*g->lanes));
    if (!g->lanes)
        return -ENOMEM;
    size_t bytes = layout_lane_bytes(g);
    size_t doorbells = (2 * g->worker_count + 1) * (tg_doorbell_bytes(g->worker_count + 1) + TG_CACHE_SEPARATION);
    int rc = tg_arena_init(&g->shared, bytes + doorbells + tg_keeper_bytes() + 4096, TG_ARENA_SHARED);
    if (rc < 0) {
        log_error("cannot reserve %zu bytes for lanes", bytes);
        return rc;
    }
    return each_lane(g, create, &bytes);
}

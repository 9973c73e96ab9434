/* SPDX-License-Identifier: Apache-2.0 */
/* Executors: one for all workers, one as a turn of each, one in a process of its own; and a GPU's beside the cpu's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/log.h"
#include "gateway.h"

struct tg_doorbell *executors_doorbell(struct gateway *g, uint32_t lines, int event_fd)
{
    void *memory = tg_arena_alloc(&g->shared, tg_doorbell_bytes(lines), TG_CACHE_SEPARATION);
    return memory ? tg_doorbell_init(memory, lines, event_fd) : NULL;
}

static const char *backend_name(const struct gateway *g)
{
    static const char *const names[] = {[CONFIG_DEVICE_NULL] = "null", [CONFIG_DEVICE_FAULT] = "fault"};
    uint32_t device = g->config.executor_device;
    return device < TG_ARRAY_SIZE(names) && names[device] ? names[device] : "cpu";
}

/* The GPU's executor serves all workers; the cpu's may be a turn of each. */
static int gpu_executor_create(struct gateway *g, struct tg_executor **ex)
{
    struct tg_doorbell *workers[ADMISSION_WORKERS_MAX], *doorbell = executors_doorbell(g, g->worker_count, -1);
    struct tg_error why = {0};
    for (uint32_t w = 0; w < g->worker_count; w++)
        workers[w] = g->workers[w].doorbell;
    if (!doorbell)
        return -ENOMEM;
    struct tg_executor_options o = {
        .host = &g->host,
        .backend = "cuda",
        .backend_spec = g->config.executor_gpu,
        .gpu = true,
        .instances = g->instances,
        .instance_count = g->instance_count,
        .lanes = g->lanes,
        .lane_count = g->lane_count,
        .worker_count = g->worker_count,
        .threaded = true,
        .doorbell = doorbell,
        .workers = workers,
        .line = TASKS_GPU_LINE,
        .spin_us = g->config.executor_power == CONFIG_POWER_SAVE ? 0 : g->config.executor_spin_us,
        .cpu = -1,
    };
    int rc = gpu_in_process(g) ? device_start(g, &o, &why) : tg_executor_create(&o, ex, &why);
    if (rc < 0) {
        log_error("cannot open the GPU: %s", why.message[0] ? why.message : strerror(-rc));
        return gpu_give_up(g) ? 0 : rc;
    }
    for (uint32_t w = 0; w < g->worker_count; w++)
        g->workers[w].tasks.gpu_executor = doorbell;
    return 0;
}

static int executor_create(struct gateway *g, uint32_t index)
{
    struct tg_doorbell *workers[ADMISSION_WORKERS_MAX];
    uint32_t first = g->inline_executors ? index : 0;
    uint32_t per_worker = layout_lanes_per_worker(g);
    for (uint32_t w = 0; w < g->worker_count; w++)
        workers[w] = g->workers[w].doorbell;
    struct tg_doorbell *doorbell = executors_doorbell(g, g->worker_count, -1);
    if (!doorbell)
        return -ENOMEM;
    struct tg_error why = {0};
    struct tg_executor_options o = {
        .host = &g->host,
        .backend = backend_name(g),
        .backend_spec = g->config.executor_device_settings[0] ? g->config.executor_device_settings : NULL,
        .threads = g->inline_executors ? 0 : layout_compute_threads(g),
        .instances = g->instances,
        .instance_count = g->instance_count,
        .lanes = g->lanes + (size_t)first * per_worker,
        .lane_count = g->inline_executors ? per_worker : g->lane_count,
        .worker_count = g->worker_count,
        .threaded = !g->inline_executors,
        .doorbell = doorbell,
        .device_doorbell = g->workers[first].doorbell,
        .workers = workers,
        .line = 0,
        .spin_us = g->config.executor_power == CONFIG_POWER_SAVE ? 0 : g->config.executor_spin_us,
        .cpu = topology_executor_cpu(g, index),
    };
    bool process = g->config.executor_mode == CONFIG_EXECUTOR_PROCESS && !g->gpu; /* which has it, if there is one */
    int rc = process ? device_start(g, &o, &why) : tg_executor_create(&o, &g->executors[index], &why);
    if (rc < 0) {
        log_error("cannot open device %s: %s", o.backend, why.message[0] ? why.message : strerror(-rc));
        return rc;
    }
    g->executor_count = process ? 0 : index + 1;
    for (uint32_t w = first; w < (g->inline_executors ? first + 1 : g->worker_count); w++) {
        g->workers[w].tasks.executor = doorbell;
        g->workers[w].executor = g->inline_executors ? g->executors[index] : NULL;
    }
    return 0;
}

/* A GPU may serve all there is. */
static bool cpu_needed(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (!g->instances[i]->on_gpu)
            return true;
    return false;
}

int executors_create(struct gateway *g)
{
    uint32_t wanted = g->executor_count;
    struct tg_executor *gpu = NULL;
    g->executor_count = 0;
    g->executors = calloc(wanted + 1, sizeof(struct tg_executor *));
    int rc = g->executors ? 0 : -ENOMEM;
    if (rc == 0 && g->gpu)
        rc = gpu_executor_create(g, &gpu);
    for (uint32_t i = 0; rc == 0 && i < wanted && cpu_needed(g); i++)
        rc = executor_create(g, i);
    if (gpu)
        g->executors[g->executor_count++] = gpu;
    if (rc < 0)
        return rc;
    struct tg_executor_info info;
    if (g->process.keeper)
        tg_keeper_describe(g->process.keeper, &info);
    else
        tg_executor_describe(g->executors[g->gpu ? g->executor_count - 1 : 0], &info);
    snprintf(g->device, sizeof(g->device), "%s", info.device);
    g->node.device = g->device;
    g->node.io = g->workers[0].io;
    return 0;
}

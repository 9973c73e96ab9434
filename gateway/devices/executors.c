/* SPDX-License-Identifier: Apache-2.0 */
/* Executors: the cpu's, one for all workers or one as a turn of each, and one for each device beside it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/log.h"
#include "gateway/gateway.h"

struct tg_doorbell *executors_doorbell(struct gateway *g, uint32_t lines, int event_fd)
{
    void *memory = tg_arena_alloc(&g->shared, tg_doorbell_bytes(lines), TG_CACHE_SEPARATION);
    return memory ? tg_doorbell_init(memory, lines, event_fd) : NULL;
}

struct tg_executor_options executors_options(const struct gateway *g, uint32_t number,
                                             struct tg_doorbell *workers[static ADMISSION_WORKERS_MAX])
{
    struct layout_lanes lanes = layout_lanes_of(g, number);
    for (uint32_t w = 0; w < g->worker_count; w++)
        workers[w] = g->workers[w].doorbell;
    return (struct tg_executor_options){
        .host = &g->host,
        .number = number,
        .instances = g->instances,
        .instance_count = g->instance_count,
        .lanes = lanes.first,
        .lane_count = lanes.per_worker * g->worker_count,
        .worker_count = g->worker_count,
        .threaded = true,
        .workers = workers,
        .spin_us = g->config.executor_power == CONFIG_POWER_SAVE ? 0 : g->config.executor_spin_us,
        .cpu = topology_executor_cpu(g, number),
    };
}

/* Devices that play others are beside the cpu's executor, not in its place. */
static const char *backend_name(const struct gateway *g)
{
    static const char *const names[] = {[CONFIG_DEVICE_NULL] = "null", [CONFIG_DEVICE_FAULT] = "fault"};
    uint32_t device = g->config.executor_device;
    return g->devices.count == 0 && device < TG_ARRAY_SIZE(names) && names[device] ? names[device] : "cpu";
}

static int executor_create(struct gateway *g, uint32_t index)
{
    struct tg_doorbell *workers[ADMISSION_WORKERS_MAX];
    struct tg_executor_options o = executors_options(g, 0, workers);
    const struct config_listen *settings = &g->config.executor_device_settings;
    uint32_t first = g->inline_executors ? index : 0, served = g->inline_executors ? 1 : g->worker_count;
    struct tg_doorbell *doorbell = executors_doorbell(g, g->worker_count, -1);
    struct tg_error why = {0};
    if (!doorbell)
        return -ENOMEM;
    o.backend = backend_name(g);
    o.backend_spec = g->devices.count == 0 && settings->count > 0 ? settings->address[0] : NULL;
    o.threads = g->inline_executors ? 0 : layout_compute_threads(g);
    o.lanes += first * (o.lane_count / g->worker_count);
    o.lane_count = served * (o.lane_count / g->worker_count);
    o.threaded = !g->inline_executors;
    o.doorbell = doorbell;
    o.device_doorbell = g->workers[first].doorbell;
    int rc = tg_executor_create(&o, &g->executors[index], &why);
    if (rc < 0) {
        log_error("cannot open device %s: %s", o.backend, why.message[0] ? why.message : strerror(-rc));
        return rc;
    }
    g->executor_count = index + 1;
    for (uint32_t w = first; w < first + served; w++) {
        g->workers[w].tasks.links[0].doorbell = doorbell;
        g->workers[w].executor = g->inline_executors ? g->executors[index] : NULL;
    }
    return 0;
}

/* What is running, in one line: the first device, and how many there are. */
static void describe(struct gateway *g)
{
    struct tg_executor_info info;
    uint32_t count = g->devices.count;
    if (count > 0)
        device_describe(&g->devices.list[0], &info);
    else
        tg_executor_describe(g->executors[0], &info);
    if (count > 1)
        snprintf(g->device, sizeof(g->device), "%u x %s", count, info.device);
    else
        snprintf(g->device, sizeof(g->device), "%s", info.device);
    g->node.device = g->device;
    g->node.io = g->workers[0].io;
}

int executors_create(struct gateway *g)
{
    uint32_t wanted = layout_cpu_needed(g) ? g->executor_count : 0;
    g->executor_count = 0;
    g->executors = calloc(wanted + 1, sizeof(struct tg_executor *));
    int rc = g->executors ? devices_start(g) : -ENOMEM;
    for (uint32_t i = 0; rc == 0 && i < wanted; i++)
        rc = executor_create(g, i);
    if (rc == 0)
        describe(g);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The driver is asked by a process of its own; the plan counts on every GPU on the bus. */
#include "host_sight.h"
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include "gateway/gateway.h"
#include "gpu/backend.h"

/* ---- is a GPU wanted? ------------------------------------------------------------------------------------- */

static bool leaves_gpu(const struct config *c)
{
    return c->executor_device == CONFIG_DEVICE_AUTO || c->executor_device == CONFIG_DEVICE_CUDA;
}

const struct config_runner *host_runner_with(const struct config *c, const char *key, const char *value)
{
    for (size_t i = 0; i < c->runner_count; i++)
        for (size_t k = 0; k < c->runners[i].option_count; k++)
            if (strcmp(c->runners[i].options[k].key, key) == 0 &&
                strcmp(c->runners[i].options[k].value, value) == 0)
                return &c->runners[i];
    return NULL;
}

static enum gpu_wish wish_of(const struct config *c, char who[static 96])
{
    const struct config_runner *placed = host_runner_with(c, "device", "cuda");
    snprintf(who, 96, "executor.device");
    if (c->executor_device == CONFIG_DEVICE_CUDA)
        return GPU_REQUIRED;
    if (placed)
        snprintf(who, 96, "runner.%s.device", placed->name);
    return placed ? GPU_REQUIRED : leaves_gpu(c) ? GPU_WELCOME : GPU_UNWANTED;
}

/* ---- the driver ------------------------------------------------------------------------------------------- */

/* It answers without touching a device. A pointer to data becomes one to a function by its bytes, as POSIX has it. */
static int driver_version(void)
{
    int (*get)(int *version) = NULL, version = 0;
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void *found = library ? dlsym(library, "cuDriverGetVersion") : NULL;
    memcpy(&get, &found, sizeof(get));
    if (get && get(&version) != 0)
        version = 0;
    if (library)
        dlclose(library);
    return version;
}

/* ---- the plan --------------------------------------------------------------------------------------------- */

static uint32_t count_gpus(const struct machine *m)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->device_count; i++)
        n += m->devices[i].kind == MACHINE_GPU;
    return n;
}

/* A line of executor.gpu that names no device stands for all there are. */
static bool names_one(const char *line)
{
    return strstr(line, "device=") && !strstr(line, "device=all");
}

static uint64_t lock_bytes(const struct host_sight *s, const struct config *c)
{
    const struct tg_backend *cuda = tg_backend_find("cuda");
    bool used = s->wish == GPU_REQUIRED || (s->wish == GPU_WELCOME && s->probe.rc == 0);
    uint64_t most = 0;
    for (uint32_t i = 0; used && cuda->lock_bytes_max && i < TG_MAX(c->executor_gpu.count, 1u); i++) {
        const char *line = c->executor_gpu.count > 0 ? c->executor_gpu.address[i] : "";
        most += cuda->lock_bytes_max(line) * (names_one(line) ? 1 : TG_MAX(s->gpus_on_bus, 1u));
    }
    return TG_MIN(most, s->lane_bytes);
}

/* The configuration is lent: a plan wants one that it may keep. */
static void plan(struct host_sight *s, const struct config *config)
{
    static struct gateway g; /* large */
    struct config lent = *config;
    s->planned = gateway_plan_by_bus(&g, &lent);
    if (s->planned == 0) {
        s->topology = *g.topology;
        s->lane_bytes = layout_lane_bytes(&g);
        s->gpus_on_bus = count_gpus(&s->topology.machine);
        s->lock_bytes = lock_bytes(s, config);
    }
    g.config = (struct config){0};
    gateway_stop(&g);
}

const struct host_sight *host_sight(const struct config *config)
{
    static struct host_sight sight; /* large */
    static bool looked;
    if (looked)
        return &sight;
    looked = true;
    sight.wish = wish_of(config, sight.who);
    sight.driver = driver_version();
    sight.withheld = sight.wish == GPU_REQUIRED && !leaves_gpu(config);
    if (sight.wish != GPU_UNWANTED && !sight.withheld)
        sight.probe = gpu_probe_apart(NULL);
    plan(&sight, config);
    return &sight;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a GPU serves, and whom. The others are served by the cpu beside it. */
#include <errno.h>
#include "gateway/base/log.h"
#include "gateway.h"
#include "gpu/runner.h"
#include "gpu_probe.h"

static bool insists(const struct gateway *g)
{
    return g->config.executor_device == CONFIG_DEVICE_CUDA;
}

static bool allowed(const struct gateway *g)
{
    return insists(g) || g->config.executor_device == CONFIG_DEVICE_AUTO;
}

/* An instance that nobody placed goes where it can; larger batches are what a GPU is for. */
static void place(struct tg_instance *in)
{
    const struct tg_runner_cuda *part = tg_runner_cuda_part(in->runner);
    in->on_gpu = part && in->placement != TG_PLACE_CPU;
    if (in->on_gpu && in->max_batch == in->shape.max_batch)
        in->max_batch = TG_MAX(in->max_batch, part->batch_rows);
}

/* Placed on a GPU by name, or by what it is. */
static bool needs_gpu(const struct tg_instance *in)
{
    return in->placement == TG_PLACE_CUDA || !in->runner->run_batch;
}

/* Any that needs a GPU; NULL if none does. */
static const struct tg_instance *find_placed(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (needs_gpu(g->instances[i]))
            return g->instances[i];
    return NULL;
}

/* A GPU is refused by name only if somebody asked for it by name. */
static int without_gpu(const struct gateway *g, int rc, const char *why)
{
    const struct tg_instance *placed = find_placed(g);
    if (insists(g))
        log_error("executor.device = \"cuda\": %s", why);
    else if (placed && placed->placement == TG_PLACE_CUDA)
        log_error("runner.%s.device = \"cuda\": %s", placed->name, why);
    else if (placed)
        log_error("runner.%s: a %s runner computes on a GPU only: %s", placed->name, placed->runner->type, why);
    else
        log_info("no GPU: %s", why);
    return insists(g) || placed ? rc : 0;
}

/* What was placed on a GPU must be able to run there. */
static int check_placed(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++) {
        const struct tg_instance *in = g->instances[i];
        if (in->placement == TG_PLACE_CUDA && !tg_runner_cuda_part(in->runner)) {
            log_error("runner.%s.device = \"cuda\": a %s runner has no part for a GPU", in->name, in->runner->type);
            return -ENOTSUP;
        }
    }
    return 0;
}

bool gpu_in_process(const struct gateway *g)
{
    uint32_t mode = g->config.executor_mode;
    return g->gpu && (mode == CONFIG_EXECUTOR_AUTO || mode == CONFIG_EXECUTOR_PROCESS);
}

int gpu_choose(struct gateway *g)
{
    if (!allowed(g))
        return find_placed(g) ? without_gpu(g, -EINVAL, "executor.device leaves no GPU to it") : 0;
    int rc = check_placed(g);
    if (rc < 0)
        return rc;
    struct gpu_probe p = gpu_probe_apart();
    if (p.rc < 0)
        return without_gpu(g, p.rc, p.why.message);
    for (uint32_t i = 0; i < g->instance_count; i++) {
        place(g->instances[i]);
        g->gpu |= g->instances[i]->on_gpu;
    }
    return 0;
}

bool gpu_give_up(struct gateway *g)
{
    if (insists(g) || find_placed(g))
        return false;
    log_warn("the cpu serves what the GPU was to serve");
    for (uint32_t i = 0; i < g->instance_count; i++)
        g->instances[i]->on_gpu = false;
    g->gpu = false;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices there are beside the cpu, and whom they serve: the GPUs, or others that play them. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/log.h"
#include "gateway/gateway.h"
#include "gateway/task/ready.h"
#include "gpu/runner.h"
#include "gpu/spec.h"
#include "gpu_probe.h"

static bool insists(const struct gateway *g)
{
    return g->config.executor_device == CONFIG_DEVICE_CUDA;
}

static bool allowed(const struct gateway *g)
{
    return insists(g) || g->config.executor_device == CONFIG_DEVICE_AUTO;
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

/* ---- from lines of the configuration to devices ---------------------------------------------------------------- */

#define ALL "all"

/* A line of executor.gpu: which device, and the other settings. */
struct gpu_line {
    char device[96];
    char rest[264];
};

static int cut_line(const char *text, struct gpu_line *line)
{
    struct tg_str rest = {text, strlen(text)};
    size_t used = 0;
    snprintf(line->device, sizeof(line->device), "%s", ALL);
    line->rest[0] = '\0';
    while (rest.len > 0) {
        struct tg_str item = tg_spec_cut(&rest, ','), value = item, key = tg_spec_cut(&value, '=');
        bool device = tg_spec_is(key, "device");
        if (device && (value.len == 0 || value.len >= sizeof(line->device)))
            return -EINVAL;
        if (device)
            snprintf(line->device, sizeof(line->device), TG_STR_FMT, TG_STR_ARG(value));
        else
            used += (size_t)snprintf(line->rest + used, sizeof(line->rest) - used, "," TG_STR_FMT, TG_STR_ARG(item));
        if (used >= sizeof(line->rest))
            return -EINVAL;
    }
    return 0;
}

/* ---- what needs no look at the machine --------------------------------------------------------------- */

/* What was placed on a GPU must be able to run there. */
static int check_placed(const struct gateway *g)
{
    if (!allowed(g) && find_placed(g))
        return without_gpu(g, -EINVAL, "executor.device leaves no GPU to it");
    for (uint32_t i = 0; i < g->instance_count; i++) {
        const struct tg_instance *in = g->instances[i];
        if (in->placement == TG_PLACE_CUDA && !tg_runner_cuda_part(in->runner)) {
            log_error("runner.%s.device = \"cuda\": a %s runner has no part for a GPU", in->name,
                      in->runner->type);
            return -EINVAL;
        }
    }
    return 0;
}

static bool named_before(const struct config_listen *lines, uint32_t i, const struct gpu_line *line)
{
    struct gpu_line earlier;
    for (uint32_t k = 0; k < i; k++)
        if (cut_line(lines->address[k], &earlier) == 0 && strcasecmp(earlier.device, line->device) == 0)
            return true;
    return false;
}

static int refuse_twice(const char *device)
{
    log_error("executor.gpu: %s is named twice", device);
    return -EINVAL;
}

static int check_line(const struct config_listen *lines, uint32_t i)
{
    struct gpu_line line;
    if (cut_line(lines->address[i], &line) < 0) {
        log_error("executor.gpu: \"%s\" is too long, or names no device", lines->address[i]);
        return -EINVAL;
    }
    return named_before(lines, i, &line) ? refuse_twice(line.device) : 0;
}

static int check_mode(const struct gateway *g)
{
    if (allowed(g) || g->config.executor_mode != CONFIG_EXECUTOR_INLINE ||
        g->config.executor_device_settings.count <= 1)
        return 0;
    log_error("executor.device_settings: several devices need threads or processes of their own, and "
              "executor.mode is inline");
    return -EINVAL;
}

int gpu_check(const struct gateway *g)
{
    const struct config_listen *lines = &g->config.executor_gpu;
    int rc = check_placed(g);
    for (uint32_t i = 0; rc == 0 && i < lines->count; i++)
        rc = check_line(lines, i);
    return rc == 0 ? check_mode(g) : rc;
}

/* ---- the devices themselves -------------------------------------------------------------------------- */

/* The one of those seen that is meant, by index or by the beginning of its UUID; NULL: none, several, part of one. */
static const struct tg_device_info *find_seen(const struct gpu_probe *p, const char *device)
{
    const struct tg_device_info *found = NULL;
    char index[12];
    for (uint32_t i = 0; i < p->count; i++) {
        snprintf(index, sizeof(index), "%u", i);
        bool named = strlen(device) > strlen("GPU-") && strncasecmp(p->seen[i].gpu, device, strlen(device)) == 0;
        if (!named && strcmp(index, device) != 0)
            continue;
        if (found)
            return NULL;
        found = &p->seen[i];
    }
    return found;
}

static bool taken(const struct gateway *g, const char *visible)
{
    for (uint32_t i = 0; i < g->devices.count; i++)
        if (strcmp(g->devices.list[i].visible, visible) == 0)
            return true;
    return false;
}

/*
 * In a process of its own a device is the only one that the driver shows, hence number 0: that also reaches
 * parts of a GPU (MIG), of which a process sees but one. One that is not there is tried all the same: it may
 * come back.
 */
static int add_gpu(struct gateway *g, const struct gpu_line *line, const char *device,
                   const struct tg_device_info *seen)
{
    char spec[DEVICE_SPEC_BYTES];
    const char *visible = seen && seen->gpu[0] ? seen->gpu : device;
    if (taken(g, visible))
        return refuse_twice(device);
    snprintf(spec, sizeof(spec), "device=%s%s", g->devices.process ? "0" : visible, line->rest);
    struct device *d = device_add(g, "cuda", spec, visible);
    if (!d) {
        log_warn("executor.gpu: only %d devices are used, not %s", TG_DEVICES_MAX, device);
        return 0;
    }
    if (seen)
        snprintf(d->bus, sizeof(d->bus), "%s", seen->bus);
    if (!seen)
        log_warn("device %s: no GPU is \"%s\" now; `nvidia-smi -L` shows those that there are", d->name, device);
    return 0;
}

/* What the first look does not show may be there all the same: a process sees one part of a GPU (MIG), and
 * nothing of what the environment hides. */
static int add_named(struct gateway *g, const struct gpu_probe *p, const struct gpu_line *line)
{
    const struct tg_device_info *seen = find_seen(p, line->device);
    if (seen || !g->devices.process || !isalpha((unsigned char)line->device[0]))
        return add_gpu(g, line, line->device, seen);
    struct gpu_probe alone = gpu_probe_apart(line->device);
    return add_gpu(g, line, line->device, alone.rc == 0 && alone.count == 1 ? &alone.seen[0] : NULL);
}

static int add_line(struct gateway *g, const struct gpu_probe *p, const char *text)
{
    struct gpu_line line;
    int rc = cut_line(text, &line);
    if (rc < 0)
        return rc; /* gpu_check() has said why */
    if (strcmp(line.device, ALL) != 0)
        return add_named(g, p, &line);
    for (uint32_t i = 0; rc == 0 && i < p->count; i++)
        rc = add_gpu(g, &line, p->seen[i].gpu, &p->seen[i]);
    return rc;
}

static int add_gpus(struct gateway *g, const struct gpu_probe *p)
{
    const struct config_listen *lines = &g->config.executor_gpu;
    int rc = lines->count == 0 ? add_line(g, p, "") : 0;
    for (uint32_t i = 0; rc == 0 && i < lines->count; i++)
        rc = add_line(g, p, lines->address[i]);
    return rc;
}

/* ---- whom they serve ------------------------------------------------------------------------------------------- */

static uint32_t all_devices(const struct gateway *g)
{
    return ((1u << g->devices.count) - 1) << 1;
}

/*
 * An instance that nobody placed goes where it can; larger batches are what a GPU is for. Where nobody insists on a GPU,
 * the cpu stands in once none is left, as it would have served had there been none.
 */
static bool place(const struct gateway *g, struct tg_instance *in)
{
    const struct tg_runner_cuda *part = tg_runner_cuda_part(in->runner);
    if (!part || in->placement == TG_PLACE_CPU)
        return false;
    bool spare = in->placement == TG_PLACE_AUTO && in->runner->run_batch && !insists(g);
    in->spare_batch = TG_MIN(in->max_batch, in->shape.max_batch);
    in->executors = all_devices(g) | spare;
    if (in->max_batch == in->shape.max_batch)
        in->max_batch = TG_MAX(in->max_batch, part->batch_rows);
    return true;
}

static int choose_gpus(struct gateway *g)
{
    bool any = false;
    struct gpu_probe p = gpu_probe_apart(NULL);
    if (p.rc < 0) {
        g->devices.missing = ready_named(p.why.field) & DEVICE_REASONS;
        return without_gpu(g, p.rc, p.why.message);
    }
    int rc = add_gpus(g, &p);
    for (uint32_t i = 0; rc == 0 && i < g->instance_count; i++)
        any |= place(g, g->instances[i]);
    if (!any)
        g->devices.count = 0; /* nobody has a use for them */
    return rc;
}

/*
 * Devices that play GPUs: so that every failure can be seen without one. They serve all runners but those that are to be
 * computed on the cpu, where it is not the cpu that they are.
 */
static void choose_others(struct gateway *g)
{
    static const char *const names[] = {[CONFIG_DEVICE_NULL] = "null", [CONFIG_DEVICE_FAULT] = "fault"};
    const struct config_listen *settings = &g->config.executor_device_settings;
    uint32_t device = g->config.executor_device;
    const char *name = device < TG_ARRAY_SIZE(names) && names[device] ? names[device] : "cpu";
    if (!g->devices.process && settings->count <= 1)
        return;
    device_add(g, name, settings->count > 0 ? settings->address[0] : "", "");
    for (uint32_t i = 1; i < settings->count; i++)
        device_add(g, name, settings->address[i], "");
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (g->instances[i]->placement != TG_PLACE_CPU || strcmp(name, "cpu") == 0)
            g->instances[i]->executors = all_devices(g);
}

int gpu_choose(struct gateway *g)
{
    uint32_t mode = g->config.executor_mode;
    int rc = 0;
    g->devices.process = mode == CONFIG_EXECUTOR_PROCESS || (mode == CONFIG_EXECUTOR_AUTO && allowed(g));
    if (allowed(g))
        rc = choose_gpus(g);
    if (rc < 0 || g->devices.count > 0)
        return rc;
    g->devices.process = mode == CONFIG_EXECUTOR_PROCESS;
    choose_others(g);
    return 0;
}

void gpu_describe(struct gateway *g, const struct machine *m)
{
    for (uint32_t i = 0; i < m->device_count && allowed(g); i++)
        if (m->devices[i].kind == MACHINE_GPU) {
            struct device *d = device_add(g, "cuda", "", "");
            if (d)
                snprintf(d->bus, sizeof(d->bus), "%s", m->devices[i].bus);
        }
    for (uint32_t i = 0; i < g->instance_count && g->devices.count > 0; i++)
        place(g, g->instances[i]);
}

bool gpu_may_do_without(const struct gateway *g)
{
    return allowed(g) && !insists(g) && !find_placed(g) && layout_cpu_needed(g);
}

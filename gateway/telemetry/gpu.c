/* SPDX-License-Identifier: Apache-2.0 */
/* GPUs as they are found, sampled, lost and found again. */
#include "gateway/base/log.h"
#include "sampler.h"

#include <stdio.h>
#include <string.h>

static void put(_Atomic uint64_t *value, uint64_t v)
{
    atomic_store_explicit(value, v, memory_order_relaxed);
}

static uint32_t counted(const struct telemetry *t)
{
    return atomic_load_explicit(&t->gpu_count, memory_order_relaxed); /* our own */
}

/* ---- finding ----------------------------------------------------------------------------------------------- */

static void all_absent(struct gpu *g)
{
    for (uint32_t r = 0; r < READINGS; r++)
        put(&g->values[r], TELEMETRY_ABSENT);
}

void telemetry_make_plain(char *text)
{
    for (char *p = text; *p; p++)
        if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
            *p = '_';
}

static struct gpu *known(struct telemetry *t, const char *uuid)
{
    for (uint32_t i = 0; i < counted(t); i++)
        if (strcmp(t->gpus[i].uuid, uuid) == 0)
            return &t->gpus[i];
    return NULL;
}

static struct gpu *add(struct telemetry *t, const char *uuid, nvml_device handle)
{
    uint32_t n = counted(t);
    if (n == TELEMETRY_GPUS_MAX)
        return NULL;
    struct gpu *g = &t->gpus[n];
    struct nvml_pci pci = {0};
    snprintf(g->uuid, sizeof(g->uuid), "%s", uuid);
    if (nvml_call(&t->nvml, name, handle, g->name, (unsigned)sizeof(g->name)) != NVML_OK)
        g->name[0] = '\0';
    if (nvml_call(&t->nvml, pci, handle, &pci) == NVML_OK)
        snprintf(g->pci, sizeof(g->pci), "%.31s", pci.id);
    telemetry_make_plain(g->name);
    telemetry_make_plain(g->pci);
    all_absent(g);
    atomic_store_explicit(&t->gpu_count, n + 1, memory_order_release); /* T1 */
    log_info("GPU %s (%s) is watched", g->uuid, g->name);
    return g;
}

static int find_one(struct telemetry *t, unsigned index)
{
    nvml_device handle = NULL;
    char uuid[96] = "";
    int rc = t->nvml.by_index(index, &handle);
    if (rc == NVML_OK)
        rc = t->nvml.uuid(handle, uuid, sizeof(uuid));
    if (rc != NVML_OK)
        return rc;
    uuid[sizeof(uuid) - 1] = '\0';
    telemetry_make_plain(uuid);
    struct gpu *g = known(t, uuid);
    if (!g)
        g = add(t, uuid, handle);
    if (!g)
        return NVML_OK;
    g->handle = handle;
    if (t->events)
        nvml_call(&t->nvml, events_register, handle, NVML_EVENT_XID, t->events); /* some have none to give */
    return NVML_OK;
}

int gpus_find(struct telemetry *t)
{
    unsigned count = 0;
    int rc = t->nvml.count(&count);
    for (uint32_t i = 0; i < counted(t); i++)
        t->gpus[i].handle = NULL;
    for (unsigned i = 0; rc == NVML_OK && i < count; i++) {
        int one = find_one(t, i);
        if (one != NVML_OK)
            log_warn("GPU %u cannot be looked at: %s (%d)", i, nvml_reason(one), one);
    }
    return rc;
}

/* ---- sampling ---------------------------------------------------------------------------------------------- */

static void set_lost(struct gpu *g, bool lost)
{
    if (atomic_load_explicit(&g->lost, memory_order_relaxed) == lost)
        return;
    atomic_store_explicit(&g->lost, lost, memory_order_relaxed);
    if (lost)
        log_error("GPU %s is lost", g->uuid);
    else
        log_warn("GPU %s is back", g->uuid);
}

static void note_error(struct gpu *g, uint32_t r, int rc)
{
    if (rc == NVML_NOT_SUPPORTED || rc == NVML_NO_FUNCTION)
        g->refused[r] = true;
    else if (!g->told[r])
        log_warn("GPU %s: %s cannot be read: %s (%d)", g->uuid, read_metrics[r], nvml_reason(rc), rc);
    g->told[r] = true;
}

/* Returns false if the GPU is lost. */
static bool sample(struct telemetry *t, struct gpu *g)
{
    for (uint32_t r = 0; r < READINGS; r++) {
        uint64_t value = TELEMETRY_ABSENT;
        int rc = g->refused[r] ? NVML_OK : read_functions[r](&t->nvml, g->handle, &value);
        if (rc == NVML_GPU_IS_LOST)
            return false;
        put(&g->values[r], value);
        if (rc != NVML_OK)
            note_error(g, r, rc);
    }
    return true;
}

bool gpus_sample(struct telemetry *t)
{
    bool all = true;
    for (uint32_t i = 0; i < counted(t); i++) {
        struct gpu *g = &t->gpus[i];
        bool there = g->handle && sample(t, g);
        if (!there)
            all_absent(g);
        set_lost(g, !there);
        all &= there;
    }
    return all;
}

/* ---- events ------------------------------------------------------------------------------------------------ */

static void bump(_Atomic uint64_t *count)
{
    put(count, atomic_load_explicit(count, memory_order_relaxed) + 1); /* one writer */
}

/* Logged when it is the first of its kind: a storm of them must not fill the log. */
static void count_xid(struct gpu *g, uint64_t number)
{
    uint32_t kinds = atomic_load_explicit(&g->xid_kinds, memory_order_relaxed); /* our own */
    for (uint32_t i = 0; i < kinds; i++)
        if (g->xids[i].number == number) {
            bump(&g->xids[i].count);
            return;
        }
    if (kinds == TELEMETRY_XIDS_MAX) {
        bump(&g->xids_other);
        return;
    }
    log_error("GPU %s: XID %llu (further ones of this number are only counted)", g->uuid, (unsigned long long)number);
    g->xids[kinds].number = number;
    put(&g->xids[kinds].count, 1);
    atomic_store_explicit(&g->xid_kinds, kinds + 1, memory_order_release); /* T3 */
}

void gpus_note_event(struct telemetry *t, const struct nvml_event *e)
{
    if (!(e->type & NVML_EVENT_XID))
        return;
    for (uint32_t i = 0; i < counted(t); i++)
        if (t->gpus[i].handle == e->device)
            count_xid(&t->gpus[i], e->data);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libnvidia-ml.so.1 without a GPU: a double that tests load in its place. The file that FAKE_NVML names is its whole state
 * and is read anew at every call, so that a test changes the world by writing it. A line is a name and a number:
 *
 *   gpus 2                     GPUs there are; without it, one
 *   uuid.0 3                   its UUID ends with that and has zeros else; without it, GPU-fake-0
 *   power.0 251000             what a call gives for GPU 0 (units as NVML's); without it NVML_ERROR_NOT_SUPPORTED
 *   fail.power 999             the call fails with that, fail.power.1 for GPU 1 only; also fail.init, fail.by_index ...
 *   hang.power 1               the call does not come back while this line stands
 *   xid.0 79                   an event of GPU 0; each such line is delivered once
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "gateway/telemetry/library.h"

#define EXPORT __attribute__((visibility("default")))

#define INVALID_ARGUMENT 2
#define LOOK_MS 5
#define GPUS_MAX 32

/* Two samplers may be at it at once, one of them left behind: nothing here is written but by atomics. */
struct nvml_device_opaque {
    char unused;
};

static struct nvml_device_opaque devices[GPUS_MAX];

static unsigned index_of(nvml_device d)
{
    return (unsigned)(d - devices);
}

static void sleep_ms(long ms)
{
    struct timespec t = {0, ms * 1000000};
    nanosleep(&t, NULL);
}

/* ---- the script -------------------------------------------------------------------------------------------- */

/* The @skip-th line that begins with @name. */
static int find(const char *name, unsigned skip, unsigned long long *value)
{
    char line[192], have[96];
    const char *path = getenv("FAKE_NVML");
    FILE *f = path ? fopen(path, "re") : NULL;
    unsigned long long v;
    int found = 0;
    while (f && !found && fgets(line, sizeof(line), f))
        if (sscanf(line, "%95s %llu", have, &v) == 2 && strcmp(have, name) == 0 && skip-- == 0)
            found = 1;
    if (f)
        fclose(f);
    if (found)
        *value = v;
    return found;
}

static int find_of(const char *name, unsigned index, unsigned long long *value)
{
    char with_index[96];
    snprintf(with_index, sizeof(with_index), "%s.%u", name, index);
    return find(with_index, 0, value);
}

/* What every call does first. */
static int enter(const char *call, nvml_device d)
{
    char name[64];
    unsigned long long v;
    snprintf(name, sizeof(name), "hang.%s", call);
    while (find(name, 0, &v))
        sleep_ms(LOOK_MS);
    snprintf(name, sizeof(name), "fail.%s", call);
    if (find(name, 0, &v) || (d && find_of(name, index_of(d), &v)))
        return (int)v;
    return 0;
}

static int give(const char *call, const char *what, nvml_device d, unsigned long long *out)
{
    int rc = enter(call, d);
    return rc ? rc : find_of(what, index_of(d), out) ? 0 : NVML_NOT_SUPPORTED;
}

static int give_uint(const char *call, const char *what, nvml_device d, unsigned *out)
{
    unsigned long long v = 0;
    int rc = give(call, what, d, &v);
    if (rc == 0)
        *out = (unsigned)v;
    return rc;
}

/* ---- the calls --------------------------------------------------------------------------------------------- */

EXPORT int nvmlInit_v2(void);
EXPORT int nvmlInit_v2(void)
{
    return enter("init", NULL);
}

EXPORT int nvmlShutdown(void);
EXPORT int nvmlShutdown(void)
{
    return enter("shutdown", NULL);
}

EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned cap);
EXPORT int nvmlSystemGetDriverVersion(char *text, unsigned cap)
{
    snprintf(text, cap, "550.0 \"fake\"");
    return enter("driver", NULL);
}

EXPORT int nvmlDeviceGetCount_v2(unsigned *count);
EXPORT int nvmlDeviceGetCount_v2(unsigned *count)
{
    unsigned long long v = 1;
    int rc = enter("count", NULL);
    find("gpus", 0, &v);
    *count = (unsigned)v;
    return rc;
}

EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml_device *device);
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, nvml_device *device)
{
    if (index >= GPUS_MAX)
        return INVALID_ARGUMENT;
    *device = &devices[index];
    return enter("by_index", *device);
}

EXPORT int nvmlDeviceGetUUID(nvml_device d, char *text, unsigned cap);
EXPORT int nvmlDeviceGetUUID(nvml_device d, char *text, unsigned cap)
{
    unsigned long long v;
    if (find_of("uuid", index_of(d), &v))
        snprintf(text, cap, "GPU-00000000-0000-0000-0000-%012llx", v);
    else
        snprintf(text, cap, "GPU-fake-%u", index_of(d));
    return enter("uuid", d);
}

EXPORT int nvmlDeviceGetName(nvml_device d, char *text, unsigned cap);
EXPORT int nvmlDeviceGetName(nvml_device d, char *text, unsigned cap)
{
    snprintf(text, cap, "Fake \"GPU\"");
    return enter("name", d);
}

EXPORT int nvmlDeviceGetPciInfo_v3(nvml_device d, struct nvml_pci *pci);
EXPORT int nvmlDeviceGetPciInfo_v3(nvml_device d, struct nvml_pci *pci)
{
    memset(pci, 0, sizeof(*pci));
    pci->bus = index_of(d) + 1;
    snprintf(pci->id, sizeof(pci->id), "00000000:%02X:00.0", pci->bus);
    return enter("pci", d);
}

EXPORT int nvmlDeviceGetUtilizationRates(nvml_device d, struct nvml_utilization *u);
EXPORT int nvmlDeviceGetUtilizationRates(nvml_device d, struct nvml_utilization *u)
{
    int rc = give_uint("utilization", "utilization", d, &u->gpu);
    return rc ? rc : give_uint("utilization", "memory_utilization", d, &u->memory);
}

EXPORT int nvmlDeviceGetMemoryInfo(nvml_device d, struct nvml_memory *m);
EXPORT int nvmlDeviceGetMemoryInfo(nvml_device d, struct nvml_memory *m)
{
    int rc = give("memory", "memory", d, &m->total);
    m->used = m->total / 4;
    m->free = m->total - m->used;
    return rc;
}

EXPORT int nvmlDeviceGetPowerUsage(nvml_device d, unsigned *milliwatts);
EXPORT int nvmlDeviceGetPowerUsage(nvml_device d, unsigned *milliwatts)
{
    return give_uint("power", "power", d, milliwatts);
}

EXPORT int nvmlDeviceGetTotalEnergyConsumption(nvml_device d, unsigned long long *millijoules);
EXPORT int nvmlDeviceGetTotalEnergyConsumption(nvml_device d, unsigned long long *millijoules)
{
    return give("energy", "energy", d, millijoules);
}

EXPORT int nvmlDeviceGetTemperature(nvml_device d, int sensor, unsigned *celsius);
EXPORT int nvmlDeviceGetTemperature(nvml_device d, int sensor, unsigned *celsius)
{
    return sensor == NVML_SENSOR_GPU ? give_uint("temperature", "temperature", d, celsius) : INVALID_ARGUMENT;
}

EXPORT int nvmlDeviceGetClockInfo(nvml_device d, int domain, unsigned *megahertz);
EXPORT int nvmlDeviceGetClockInfo(nvml_device d, int domain, unsigned *megahertz)
{
    return give_uint("clock", domain == NVML_CLOCK_SM ? "clock" : "memory_clock", d, megahertz);
}

EXPORT int nvmlDeviceGetTotalEccErrors(nvml_device d, int severity, int since, unsigned long long *errors);
EXPORT int nvmlDeviceGetTotalEccErrors(nvml_device d, int severity, int since, unsigned long long *errors)
{
    if (since != NVML_SINCE_REBOOT)
        return INVALID_ARGUMENT;
    return give("ecc", severity == NVML_ECC_CORRECTED ? "ecc_corrected" : "ecc_uncorrected", d, errors);
}

EXPORT int nvmlDeviceGetCurrPcieLinkGeneration(nvml_device d, unsigned *generation);
EXPORT int nvmlDeviceGetCurrPcieLinkGeneration(nvml_device d, unsigned *generation)
{
    return give_uint("pcie_generation", "pcie_generation", d, generation);
}

EXPORT int nvmlDeviceGetCurrPcieLinkWidth(nvml_device d, unsigned *lanes);
EXPORT int nvmlDeviceGetCurrPcieLinkWidth(nvml_device d, unsigned *lanes)
{
    return give_uint("pcie_width", "pcie_width", d, lanes);
}

#ifndef OLD_DRIVER /* which lacks some calls altogether */
EXPORT int nvmlDeviceGetPcieThroughput(nvml_device d, int direction, unsigned *kilobytes);
EXPORT int nvmlDeviceGetPcieThroughput(nvml_device d, int direction, unsigned *kilobytes)
{
    return give_uint("pcie_throughput", direction == NVML_PCIE_SENT ? "pcie_sent" : "pcie_received", d, kilobytes);
}

/* ---- events ------------------------------------------------------------------------------------------------ */

static _Atomic unsigned delivered[GPUS_MAX]; /* events, by GPU; relaxed, each is a number by itself */

EXPORT int nvmlEventSetCreate(nvml_events *events);
EXPORT int nvmlEventSetCreate(nvml_events *events)
{
    *events = (nvml_events)(void *)devices;
    return enter("events_create", NULL);
}

EXPORT int nvmlEventSetFree(nvml_events events);
EXPORT int nvmlEventSetFree(nvml_events events)
{
    return events ? enter("events_free", NULL) : INVALID_ARGUMENT;
}

EXPORT int nvmlDeviceRegisterEvents(nvml_device d, unsigned long long types, nvml_events events);
EXPORT int nvmlDeviceRegisterEvents(nvml_device d, unsigned long long types, nvml_events events)
{
    return types == NVML_EVENT_XID && events ? enter("events_register", d) : INVALID_ARGUMENT;
}

static int next_event(struct nvml_event *e)
{
    unsigned long long gpus = 1, v;
    find("gpus", 0, &gpus);
    for (unsigned i = 0; i < gpus && i < GPUS_MAX; i++) {
        char name[32];
        snprintf(name, sizeof(name), "xid.%u", i);
        if (!find(name, atomic_load_explicit(&delivered[i], memory_order_relaxed), &v))
            continue;
        atomic_fetch_add_explicit(&delivered[i], 1, memory_order_relaxed);
        *e = (struct nvml_event){&devices[i], NVML_EVENT_XID, v, UINT32_MAX, UINT32_MAX};
        return 1;
    }
    return 0;
}

EXPORT int nvmlEventSetWait_v2(nvml_events events, struct nvml_event *e, unsigned wait_ms);
EXPORT int nvmlEventSetWait_v2(nvml_events events, struct nvml_event *e, unsigned wait_ms)
{
    int rc = enter("events_wait", NULL);
    for (unsigned waited = 0; rc == 0; waited += LOOK_MS) {
        if (next_event(e))
            return 0;
        if (waited >= wait_ms)
            return NVML_TIMEOUT;
        sleep_ms(LOOK_MS);
    }
    return rc;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVML as a table of functions, found in a library that is loaded at run time. Types and numbers are those of its public
 * API reference, written down anew: the header is not there where this is built.
 * Every function may hang, for as long as the driver does: only the sampler's thread calls them.
 */
#ifndef TG_TELEMETRY_LIBRARY_H
#define TG_TELEMETRY_LIBRARY_H

#include "tg/def.h"

/* ---- the library's types --------------------------------------------------------------------------------- */

typedef struct nvml_device_opaque *nvml_device;
typedef struct nvml_events_opaque *nvml_events;

struct nvml_pci {
    char id_short[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char id[32]; /* domain:bus:device.function */
};
_Static_assert(sizeof(struct nvml_pci) == 68, "as the library lays it out");

struct nvml_utilization {
    unsigned gpu, memory; /* percent of the last sample period */
};
_Static_assert(sizeof(struct nvml_utilization) == 8, "as the library lays it out");

struct nvml_memory {
    unsigned long long total, free, used;
};
_Static_assert(sizeof(struct nvml_memory) == 24, "as the library lays it out");

struct nvml_event {
    nvml_device device;
    unsigned long long type, data; /* an XID event: its number */
    unsigned gpu_instance, compute_instance;
};
_Static_assert(sizeof(void *) != 8 || sizeof(struct nvml_event) == 32, "as the library lays it out");

/* What its functions return; others are told by number. */
enum {
    NVML_OK = 0,
    NVML_NOT_SUPPORTED = 3,
    NVML_NO_PERMISSION = 4,
    NVML_DRIVER_NOT_LOADED = 9,
    NVML_TIMEOUT = 10,
    NVML_GPU_IS_LOST = 15,
    NVML_MISMATCH = 18, /* the library is not the kernel module's */
    NVML_NO_FUNCTION = 13,
};

enum { NVML_SENSOR_GPU = 0 };
enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEMORY = 2 };
enum { NVML_ECC_CORRECTED = 0, NVML_ECC_UNCORRECTED = 1 };
enum { NVML_SINCE_REBOOT = 0 };
enum { NVML_PCIE_SENT = 0, NVML_PCIE_RECEIVED = 1 };
#define NVML_EVENT_XID 8ull

/* ---- the table ------------------------------------------------------------------------------------------- */

struct nvml {
    void *handle;
#define CALL(ident, symbol, wanted, parameters) int (*ident) parameters;
#include "calls.def"
#undef CALL
};

/**
 * Load the library at @path, or of that name, and find its functions. What is OPTIONAL and not there returns
 * NVML_NO_FUNCTION when called through nvml_call(). Returns 0; -ENOENT: there is no such library; -EINVAL: it is
 * another one. @why says more.
 */
int nvml_load(const char *path, struct nvml *out, char *why, size_t cap);
void nvml_unload(struct nvml *n);

#define nvml_call(n, ident, ...) ((n)->ident ? (n)->ident(__VA_ARGS__) : NVML_NO_FUNCTION)

/** What a return value means, for the log. */
const char *nvml_reason(int rc);

#endif

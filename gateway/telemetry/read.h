/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One value of one GPU. Thread: the sampler's; may hang.
 */
#ifndef TG_TELEMETRY_READ_H
#define TG_TELEMETRY_READ_H

#include "library.h"

enum reading {
#define READING(ident, metric, type, factor, function, help) READING_##ident,
#include "readings.def"
#undef READING
    READINGS
};

/** Returns what NVML says; *value is set if that is NVML_OK. */
typedef int read_fn(const struct nvml *n, nvml_device d, uint64_t *value);

extern read_fn *const read_functions[READINGS];
extern const char *const read_metrics[READINGS]; /* what each is exported as */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* A function for each row of readings.def. */
#include "read.h"

static int keep(int rc, unsigned long long got, uint64_t *value)
{
    if (rc == NVML_OK)
        *value = got;
    return rc;
}

/* ---- those that are a single call -------------------------------------------------------------------------- */

#define READING(ident, metric, type, factor, function, help)
#define READING_UINT(ident, metric, type, factor, call, help)                    \
    static int read_##call(const struct nvml *n, nvml_device d, uint64_t *value) \
    {                                                                            \
        unsigned got = 0;                                                        \
        int rc = nvml_call(n, call, d, &got);                                    \
        return keep(rc, got, value);                                             \
    }
#define READING_KIND(ident, metric, type, factor, call, kind, help)               \
    static int read_##ident(const struct nvml *n, nvml_device d, uint64_t *value) \
    {                                                                             \
        unsigned got = 0;                                                         \
        int rc = nvml_call(n, call, d, kind, &got);                               \
        return keep(rc, got, value);                                              \
    }
#include "readings.def"
#undef READING

/* ---- the others -------------------------------------------------------------------------------------------- */

static int read_utilization(const struct nvml *n, nvml_device d, uint64_t *value)
{
    struct nvml_utilization u = {0};
    int rc = nvml_call(n, utilization, d, &u);
    return keep(rc, u.gpu, value);
}

static int read_memory_utilization(const struct nvml *n, nvml_device d, uint64_t *value)
{
    struct nvml_utilization u = {0};
    int rc = nvml_call(n, utilization, d, &u);
    return keep(rc, u.memory, value);
}

static int read_memory_size(const struct nvml *n, nvml_device d, uint64_t *value)
{
    struct nvml_memory m = {0};
    int rc = nvml_call(n, memory, d, &m);
    return keep(rc, m.total, value);
}

static int read_memory_used(const struct nvml *n, nvml_device d, uint64_t *value)
{
    struct nvml_memory m = {0};
    int rc = nvml_call(n, memory, d, &m);
    return keep(rc, m.used, value);
}

static int read_energy(const struct nvml *n, nvml_device d, uint64_t *value)
{
    unsigned long long millijoules = 0;
    int rc = nvml_call(n, energy, d, &millijoules);
    return keep(rc, millijoules, value);
}

static int read_ecc_corrected(const struct nvml *n, nvml_device d, uint64_t *value)
{
    unsigned long long errors = 0;
    int rc = nvml_call(n, ecc, d, NVML_ECC_CORRECTED, NVML_SINCE_REBOOT, &errors);
    return keep(rc, errors, value);
}

static int read_ecc_uncorrected(const struct nvml *n, nvml_device d, uint64_t *value)
{
    unsigned long long errors = 0;
    int rc = nvml_call(n, ecc, d, NVML_ECC_UNCORRECTED, NVML_SINCE_REBOOT, &errors);
    return keep(rc, errors, value);
}

read_fn *const read_functions[READINGS] = {
#define READING(ident, metric, type, factor, function, help) [READING_##ident] = function,
#include "readings.def"
#undef READING
};

const char *const read_metrics[READINGS] = {
#define READING(ident, metric, type, factor, function, help) [READING_##ident] = metric,
#include "readings.def"
#undef READING
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a machine's description. */
#include "machine.h"
#include <stdio.h>

void machine_flat(struct machine *out)
{
    cpu_set_t set;
    *out = (struct machine){.package_count = 1, .node_count = 1, .is_ours = true, .model = "unknown"};
    if (sched_getaffinity(0, sizeof(set), &set) < 0) {
        CPU_ZERO(&set);
        CPU_SET(0, &set);
    }
    for (uint32_t n = 0; n < MACHINE_CPUS_MAX; n++) {
        if (!CPU_ISSET(n, &set))
            continue;
        out->cpus[out->cpu_count++] =
            (struct machine_cpu){.number = (uint16_t)n, .core = (uint16_t)out->core_count++, .allowed = true};
    }
    out->quota_milli = machine_quota_milli("");
}

const struct machine_cpu *machine_cpu_find(const struct machine *m, uint32_t number)
{
    for (uint32_t i = 0; i < m->cpu_count; i++)
        if (m->cpus[i].number == number)
            return &m->cpus[i];
    return NULL;
}

void machine_allowed(const struct machine *m, cpu_set_t *out)
{
    CPU_ZERO(out);
    for (uint32_t i = 0; i < m->cpu_count; i++)
        if (m->cpus[i].allowed)
            CPU_SET(m->cpus[i].number, out);
}

uint32_t machine_cores_allowed(const struct machine *m)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (uint32_t i = 0; i < m->cpu_count; i++)
        if (m->cpus[i].allowed)
            CPU_SET(m->cpus[i].core, &cores);
    return (uint32_t)CPU_COUNT(&cores);
}

uint32_t machine_capacity(const struct machine *m)
{
    cpu_set_t allowed;
    machine_allowed(m, &allowed);
    uint32_t n = (uint32_t)CPU_COUNT(&allowed);
    if (m->quota_milli > 0)
        n = TG_MIN(n, (m->quota_milli + 999) / 1000);
    return TG_MAX(n, 1u);
}

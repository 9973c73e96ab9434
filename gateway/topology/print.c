/* SPDX-License-Identifier: Apache-2.0 */
/* Questions that all formats ask. */
#include "print.h"

static bool seat_of(const struct topology_seat *seats, uint32_t count, uint32_t cpu, uint32_t *index)
{
    for (*index = 0; *index < count; (*index)++)
        if (seats[*index].cpu == (int)cpu)
            return true;
    return false;
}

struct topology_tenant topology_tenant(const struct topology_plan *plan, uint32_t cpu)
{
    uint32_t i;
    if (seat_of(plan->executors, plan->executor_count, cpu, &i))
        return (struct topology_tenant){'E', i, &plan->executors[i]};
    if (seat_of(plan->workers, plan->worker_count, cpu, &i))
        return (struct topology_tenant){'W', i, &plan->workers[i]};
    return (struct topology_tenant){0};
}

void topology_cpus(const struct machine *m, int node, int package, cpu_set_t *out)
{
    CPU_ZERO(out);
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        const struct machine_cpu *c = &m->cpus[i];
        if ((node < 0 || c->node == node) && (package < 0 || c->package == package))
            CPU_SET(c->number, out);
    }
}

uint32_t topology_nodes(const struct machine *m, uint32_t package)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->node_count; i++)
        n += m->nodes[i].package == package;
    return n;
}

bool topology_device_at(const struct machine *m, const struct machine_device *d, int node)
{
    int home = d->nodes ? __builtin_ctzll(d->nodes) : m->node_count == 1 ? 0 : -1;
    return home == node;
}

const char *topology_kind_name(enum machine_device_kind kind)
{
    return kind == MACHINE_GPU ? "gpu" : "nic";
}

const char *topology_bytes(uint64_t bytes, char out[static 32])
{
    out[0] = '\0';
    if (bytes >= UINT64_C(1) << 30)
        snprintf(out, 32, "%.0f GiB", (double)bytes / (double)(1u << 30));
    else if (bytes > 0)
        snprintf(out, 32, "%.0f MiB", (double)bytes / (double)(1u << 20));
    return out;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Machines put together by hand. */
#include "machine_rig.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_core(struct machine *m, uint32_t package, uint32_t node, uint32_t cores, uint32_t smt)
{
    uint32_t core = m->core_count++;
    for (uint32_t t = 0; t < smt; t++)
        m->cpus[m->cpu_count++] = (struct machine_cpu){
            .number = (uint16_t)(t * cores + core),
            .core = (uint16_t)core,
            .package = (uint16_t)package,
            .node = (uint16_t)node,
            .thread = (uint8_t)t,
            .allowed = true,
        };
}

struct machine *machine_made(uint32_t packages, uint32_t nodes, uint32_t cores, uint32_t smt)
{
    struct machine *m = calloc(1, sizeof(*m));
    cr_assert(m);
    m->package_count = packages;
    m->node_count = packages * nodes;
    for (uint32_t n = 0; n < m->node_count; n++) {
        m->nodes[n] = (struct machine_node){.number = n, .package = (uint16_t)(n / nodes), .bytes = 1u << 30};
        for (uint32_t c = 0; c < cores; c++)
            add_core(m, n / nodes, n, m->node_count * cores, smt);
    }
    return m;
}

int machine_add(struct machine *m, enum machine_device_kind kind, const char *name, const char *bus, int node)
{
    struct machine_device *d = &m->devices[m->device_count++];
    *d = (struct machine_device){.kind = kind, .nodes = node < 0 ? 0 : UINT64_C(1) << node};
    snprintf(d->name, sizeof(d->name), "%s", name);
    snprintf(d->bus, sizeof(d->bus), "%s", bus);
    return (int)m->device_count - 1;
}

void machine_allow(struct machine *m, const char *list)
{
    struct cpu_list cpus;
    char why[CPU_LIST_WHY_BYTES] = "";
    cr_assert_eq(cpu_list_parse(list, &cpus, why), 0, "%s", why);
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        m->cpus[i].allowed = false;
        for (uint32_t k = 0; k < cpus.count; k++)
            m->cpus[i].allowed |= m->cpus[i].number == cpus.cpu[k];
    }
}

struct topology_wish wish_for(uint32_t workers, uint32_t executors)
{
    struct topology_wish w = {.pin = true, .workers = workers, .executors = executors};
    memset(w.gpu, -1, sizeof(w.gpu));
    return w;
}

struct topology_plan *plan_for(const struct machine *m, const struct topology_wish *w)
{
    struct topology_plan *plan = calloc(1, sizeof(*plan));
    const char *key = "";
    char why[TOPOLOGY_WHY_BYTES] = "";
    cr_assert(plan);
    cr_assert_eq(topology_plan_make(m, w, plan, &key, why), 0, "%s: %s", key, why);
    return plan;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The plan as a tree of text. */
#include "print.h"

#define LIST_BYTES 256

static void print_quota(FILE *out, const struct machine *m)
{
    if (m->quota_milli)
        fprintf(out, ", quota of %u.%02u cpus", m->quota_milli / 1000, m->quota_milli % 1000 / 10);
}

static void print_head(FILE *out, const struct machine *m, const struct topology_plan *plan)
{
    cpu_set_t allowed;
    machine_allowed(m, &allowed);
    fprintf(out, "%s: %u package%s, %u node%s, %u core%s, %u cpu%s; allowed: %d", m->model, PLURAL(m->package_count),
            PLURAL(m->node_count), PLURAL(m->core_count), PLURAL(m->cpu_count), CPU_COUNT(&allowed));
    print_quota(out, m);
    fprintf(out, "\n%s: %s\n", plan->pinned ? "pinned" : "not pinned", plan->reason);
}

static void print_device(FILE *out, const struct machine_device *d)
{
    fprintf(out, "    %s %s%s%s\n", topology_kind_name(d->kind), d->bus, d->name[0] ? "  " : "", d->name);
}

static void print_devices(FILE *out, const struct machine *m, int node)
{
    for (uint32_t i = 0; i < m->device_count; i++)
        if (topology_device_at(m, &m->devices[i], node))
            print_device(out, &m->devices[i]);
}

static void print_tenants(FILE *out, const struct machine *m, const struct topology_plan *plan, uint32_t node)
{
    for (uint32_t i = 0; i < m->cpu_count; i++) {
        const struct machine_cpu *c = &m->cpus[i];
        struct topology_tenant t = topology_tenant(plan, c->number);
        if (c->node == node && t.letter)
            fprintf(out, "    cpu %-4u %s %u: %s\n", c->number, t.letter == 'E' ? "executor" : "worker", t.index,
                    t.seat->reason);
    }
}

static void print_node(FILE *out, const struct machine *m, const struct topology_plan *plan, uint32_t node)
{
    char list[LIST_BYTES], bytes[32];
    cpu_set_t cpus;
    topology_cpus(m, (int)node, -1, &cpus);
    topology_bytes(m->nodes[node].bytes, bytes);
    fprintf(out, "  node %u: cpus %s%s%s\n", m->nodes[node].number, cpu_list_format(&cpus, list, sizeof(list)),
            bytes[0] ? ", " : "", bytes);
    print_devices(out, m, (int)node);
    print_tenants(out, m, plan, node);
}

/* Whoever moves about has a GPU, and memory, all the same. */
static void print_floating(FILE *out, const struct machine *m, const struct topology_seat *seats,
                           uint32_t count, const char *what)
{
    for (uint32_t i = 0; i < count; i++) {
        if (seats[i].cpu >= 0)
            continue;
        fprintf(out, "  %s %u: %s", what, i, seats[i].reason);
        if (seats[i].device >= 0)
            fprintf(out, ", drives GPU %s", m->devices[seats[i].device].bus);
        if (seats[i].node >= 0)
            fprintf(out, ", rows on node %u", m->nodes[seats[i].node].number);
        fputc('\n', out);
    }
}

static void print_rest(FILE *out, const struct machine *m, const struct topology_plan *plan)
{
    char list[LIST_BYTES];
    if (m->node_count > 1)
        print_devices(out, m, -1);
    print_floating(out, m, plan->executors, plan->executor_count, "executor");
    print_floating(out, m, plan->workers, plan->worker_count, "worker");
    fprintf(out, "%s: cpus %s (%s)\n", plan->executor_count ? "other threads" : "other threads (executors run inline)",
            cpu_list_format(&plan->others, list, sizeof(list)), plan->others_reason);
}

void topology_print_text(FILE *out, const struct machine *m, const struct topology_plan *plan)
{
    print_head(out, m, plan);
    for (uint32_t package = 0; package < m->package_count; package++) {
        if (topology_nodes(m, package) > 0) /* else its cpus belong to a node of another package */
            fprintf(out, "package %u\n", package);
        for (uint32_t node = 0; node < m->node_count; node++)
            if (m->nodes[node].package == package)
                print_node(out, m, plan, node);
    }
    print_rest(out, m, plan);
}

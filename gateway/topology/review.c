/* SPDX-License-Identifier: Apache-2.0 */
/* Concerns in the order in which they press: too few cores first, then shared ones, then distances. */
#include "review.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "print.h"

struct reviewer {
    const struct machine *machine;
    const struct topology_wish *wish;
    const struct topology_plan *plan;
    struct topology_review *out;
};

/* Only the first is told; the others are counted. */
__attribute__((format(printf, 3, 4))) static void object(struct reviewer *r, const char *todo,
                                                         const char *format, ...)
{
    va_list args;
    if (r->out->concerns++ > 0)
        return;
    va_start(args, format);
    vsnprintf(r->out->what, sizeof(r->out->what), format, args);
    va_end(args);
    snprintf(r->out->todo, sizeof(r->out->todo), "%s", todo);
}

/* ---- seats ------------------------------------------------------------------------------------------------ */

static uint32_t seat_count(const struct reviewer *r)
{
    return r->plan->executor_count + r->plan->worker_count;
}

/* Executors first, as they are planned. */
static const struct topology_seat *seat_at(const struct reviewer *r, uint32_t i, char name[static 24])
{
    bool executor = i < r->plan->executor_count;
    uint32_t index = executor ? i : i - r->plan->executor_count;
    snprintf(name, 24, "%s %u", executor ? "executor" : "worker", index);
    return executor ? &r->plan->executors[index] : &r->plan->workers[index];
}

static const struct machine_cpu *cpu_of(const struct reviewer *r, const struct topology_seat *seat)
{
    return seat->cpu < 0 ? NULL : machine_cpu_find(r->machine, (uint32_t)seat->cpu);
}

/* The nodes by their kernel's numbers, "0,2". */
static const char *nodes_as_text(const struct machine *m, uint64_t nodes, char out[static 64])
{
    cpu_set_t numbers;
    CPU_ZERO(&numbers);
    for (uint32_t i = 0; i < m->node_count; i++)
        if (nodes >> i & 1)
            CPU_SET(m->nodes[i].number, &numbers);
    return cpu_list_format(&numbers, out, 64);
}

/* ---- concerns --------------------------------------------------------------------------------------------- */

static void review_quota(struct reviewer *r)
{
    uint32_t threads = seat_count(r), quota = r->machine->quota_milli;
    if (quota > 0 && threads * 1000 > quota)
        object(r,
               threads > 1 ? "raise the quota (CPUQuota=, --cpus), or lower server.workers"
                           : "raise the quota (CPUQuota=, --cpus)",
               "a quota of %u.%02u cpus for %u thread%s: all are stopped for part of the time", quota / 1000,
               quota % 1000 / 10, PLURAL(threads));
}

static void review_cores(struct reviewer *r)
{
    char list[96];
    cpu_set_t allowed;
    uint32_t threads = seat_count(r), cores = machine_cores_allowed(r->machine);
    machine_allowed(r->machine, &allowed);
    if (threads > cores)
        object(r,
               "lower server.workers, executor.mode = \"inline\", or allow more cpus (cpuset, taskset, "
               "CPUAffinity=)",
               "%u workers and executors for %u core%s (cpus %s of %u are allowed)", threads, PLURAL(cores),
               cpu_list_format(&allowed, list, sizeof(list)), r->machine->cpu_count);
}

static void review_siblings(struct reviewer *r)
{
    char name[24], other_name[24];
    for (uint32_t i = 0; i < seat_count(r); i++)
        for (uint32_t k = 0; k < i; k++) {
            const struct machine_cpu *c = cpu_of(r, seat_at(r, i, name)),
                                     *other = cpu_of(r, seat_at(r, k, other_name));
            if (c && other && c->core == other->core)
                object(r, "name cpus of different cores in topology.worker_cpus and topology.executor_cpus",
                       "%s on cpu %u and %s on cpu %u share a core: each has about half of it", other_name,
                       other->number, name, c->number);
        }
}

static void review_executors(struct reviewer *r)
{
    char list[64];
    for (uint32_t i = 0; i < r->plan->executor_count; i++) {
        const struct topology_seat *seat = &r->plan->executors[i];
        const struct machine_cpu *c = cpu_of(r, seat);
        uint64_t nodes = seat->device < 0 ? 0 : r->machine->devices[seat->device].nodes;
        if (c && nodes != 0 && !(nodes >> c->node & 1))
            object(r, "give it a cpu of that node: topology.executor_cpus, or fewer workers there",
                   "executor %u on cpu %u and its rows are on node %u, its GPU %s is on node %s", i,
                   c->number, r->machine->nodes[c->node].number, r->machine->devices[seat->device].bus,
                   nodes_as_text(r->machine, nodes, list));
    }
}

/* Of all cards that connections come in by; 0: loopback only, or near to all. */
static uint64_t nodes_of_cards(const struct reviewer *r)
{
    uint64_t nodes = 0;
    for (uint32_t i = 0; i < r->wish->nics.count; i++) {
        uint64_t near = r->machine->devices[r->wish->nics.device[i]].nodes;
        if (near == 0)
            return 0;
        nodes |= near;
    }
    return nodes;
}

static void review_workers(struct reviewer *r)
{
    char list[64];
    uint64_t nodes = nodes_of_cards(r);
    for (uint32_t i = 0; nodes != 0 && i < r->plan->worker_count; i++) {
        const struct machine_cpu *c = cpu_of(r, &r->plan->workers[i]);
        if (c && !(nodes >> c->node & 1))
            object(r, "lower server.workers, or name cpus of that node in topology.worker_cpus",
                   "worker %u on cpu %u is on node %u, its network card on node %s", i, c->number,
                   r->machine->nodes[c->node].number, nodes_as_text(r->machine, nodes, list));
    }
}

/* Whoever moves about between nodes leaves memory behind. */
static void review_memory(struct reviewer *r)
{
    if (r->machine->node_count > 1 && !r->plan->pinned)
        object(r, "topology.mode = \"auto\" with fewer server.workers or more cpus, or name cpus of one node",
               "%u nodes and nobody is pinned (%s): threads move away from their memory",
               r->machine->node_count, r->plan->reason);
}

/* ---- the plan in short ------------------------------------------------------------------------------------ */

static void tell(struct reviewer *r)
{
    const struct topology_plan *p = r->plan;
    char executors[64] = "executors inline";
    uint32_t gpus = 0;
    int n = 0;
    for (uint32_t i = 0; i < p->executor_count; i++)
        gpus += p->executors[i].device >= 0;
    if (p->executor_count > 0)
        n = snprintf(executors, sizeof(executors), "%u executor%s", PLURAL(p->executor_count));
    if (gpus > 0 && p->pinned)
        snprintf(executors + n, sizeof(executors) - (size_t)n, ", %u by %s", gpus, gpus == 1 ? "its GPU" : "their GPUs");
    snprintf(r->out->what, sizeof(r->out->what), "%u worker%s%s, %s, %u core%s on %u node%s; %s: %s",
             PLURAL(p->worker_count), r->wish->nics.count && p->pinned ? " by the network card" : "",
             executors, PLURAL(machine_cores_allowed(r->machine)), PLURAL(r->machine->node_count),
             p->pinned ? "pinned" : "not pinned", p->reason);
}

void topology_review(const struct machine *m, const struct topology_wish *w, const struct topology_plan *plan,
                     struct topology_review *out)
{
    struct reviewer r = {.machine = m, .wish = w, .plan = plan, .out = out};
    *out = (struct topology_review){0};
    review_quota(&r);
    review_cores(&r);
    review_siblings(&r);
    review_executors(&r);
    review_workers(&r);
    review_memory(&r);
    if (out->concerns == 0)
        tell(&r);
}

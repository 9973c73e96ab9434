/* SPDX-License-Identifier: Apache-2.0 */
/* The plan: the operator's lists first, then executors, then workers, each on the nearest core that is free. */
#include "plan.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* On so few cores a neighbour, such as the client itself, soon shares one with a thread that may not step aside: then
 * being pinned costs far more than moving about. */
#define FEW_CORES 4

struct planner {
    const struct machine *machine;
    const struct topology_wish *wish;
    struct topology_plan *plan;
    cpu_set_t taken;       /* cpus with a thread of ours */
    cpu_set_t taken_cores; /* and the cores they belong to */
    char *why;
};

__attribute__((format(printf, 2, 3))) static void say(char *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, TOPOLOGY_REASON_BYTES, format, args);
    va_end(args);
}

__attribute__((format(printf, 2, 3))) static int refuse(char *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why, TOPOLOGY_WHY_BYTES, format, args);
    va_end(args);
    return -EINVAL;
}

static void sit(struct planner *p, struct topology_seat *seat, const struct machine_cpu *c)
{
    seat->cpu = c->number;
    seat->node = p->machine->node_count > 1 ? c->node : -1;
    CPU_SET(c->number, &p->taken);
    CPU_SET(c->core, &p->taken_cores);
}

/* ---- the operator's lists --------------------------------------------------------------------------------- */

static int check_cpu(const struct planner *p, uint32_t number)
{
    char allowed[96];
    cpu_set_t set;
    const struct machine_cpu *c = machine_cpu_find(p->machine, number);
    machine_allowed(p->machine, &set);
    cpu_list_format(&set, allowed, sizeof(allowed));
    if (!c)
        return refuse(p->why, "there is no cpu %u on this machine (allowed: %s)", number, allowed);
    if (!c->allowed)
        return refuse(p->why, "cpu %u is not allowed to this process (allowed: %s)", number, allowed);
    return 0;
}

/* All of them, also those that go unused: a number that cannot be meant is a mistake wherever it stands. */
static int check_list(const struct planner *p, const struct cpu_list *list, uint32_t wanted, const char *what)
{
    if (list->count > 0 && list->count < wanted)
        return refuse(p->why, "names %u cpu%s for %u %ss", list->count, list->count == 1 ? "" : "s", wanted, what);
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < list->count; i++)
        rc = check_cpu(p, list->cpu[i]);
    return rc;
}

static int check_apart(const struct planner *p)
{
    const struct topology_wish *w = p->wish;
    for (uint32_t i = 0; i < w->executor_cpus.count; i++)
        for (uint32_t k = 0; k < w->worker_cpus.count; k++)
            if (w->executor_cpus.cpu[i] == w->worker_cpus.cpu[k])
                return refuse(p->why, "cpu %u is in topology.worker_cpus too", w->executor_cpus.cpu[i]);
    return 0;
}

static int check_wish(const struct planner *p, const char **key)
{
    const struct topology_wish *w = p->wish;
    *key = "worker_cpus";
    int rc = check_list(p, &w->worker_cpus, w->workers, "worker");
    if (rc < 0)
        return rc;
    *key = "executor_cpus";
    rc = check_list(p, &w->executor_cpus, w->executors, "executor");
    return rc == 0 ? check_apart(p) : rc;
}

static void take_given(struct planner *p, const struct cpu_list *list, struct topology_seat *seats, uint32_t count,
                       const char *key)
{
    for (uint32_t i = 0; list->count > 0 && i < count; i++) {
        const struct machine_cpu *c = machine_cpu_find(p->machine, list->cpu[i]);
        say(seats[i].reason, "%s %s", key,
            CPU_ISSET(c->core, &p->taken_cores) ? "names it, though a sibling is taken" : "names it");
        sit(p, &seats[i], c);
    }
}

/* ---- choosing --------------------------------------------------------------------------------------------- */

/* The first nodes' packages, as bits. */
static uint64_t packages_of(const struct machine *m, uint64_t nodes)
{
    uint64_t packages = 0;
    for (uint32_t i = 0; i < m->node_count; i++)
        if (nodes >> i & 1)
            packages |= UINT64_C(1) << (m->nodes[i].package & 63);
    return packages;
}

/* 0 on a wanted node, 1 in the same package, 2 elsewhere. */
static uint32_t distance(const struct machine *m, const struct machine_cpu *c, uint64_t nodes)
{
    if (nodes == 0 || nodes >> c->node & 1)
        return 0;
    return packages_of(m, nodes) >> (c->package & 63) & 1 ? 1 : 2;
}

/* The kernel runs its own errands, and devices' interrupts by default, on the core of cpu 0. */
static bool is_kernels(const struct machine *m, const struct machine_cpu *c)
{
    const struct machine_cpu *first = machine_cpu_find(m, 0);
    return first && first->core == c->core;
}

/* The nearest cpu on a core where nobody sits; NULL if every core is taken. */
static const struct machine_cpu *nearest_free(const struct planner *p, uint64_t nodes)
{
    const struct machine_cpu *best = NULL;
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < p->machine->cpu_count; i++) {
        const struct machine_cpu *c = &p->machine->cpus[i];
        if (!c->allowed || CPU_ISSET(c->core, &p->taken_cores))
            continue;
        uint32_t cost = distance(p->machine, c, nodes) * 2 + is_kernels(p->machine, c);
        if (cost < least) {
            least = cost;
            best = c;
        }
    }
    return best;
}

static const char *where(uint32_t distance)
{
    static const char *const words[] = {"on the node of", "no core left on the node of", "no core left in the package of"};
    return words[distance];
}

/* A core for a thread that should be near @device, or near @nodes if it has none. */
static void choose(struct planner *p, struct topology_seat *seat, int device, uint64_t nodes, const char *otherwise)
{
    const struct machine_device *d = device < 0 ? NULL : &p->machine->devices[device];
    const struct machine_cpu *c = nearest_free(p, d ? d->nodes : nodes);
    seat->device = device;
    if (!c)
        return;
    if (d && d->nodes == 0)
        say(seat->reason, "%s %s is near to every core", d->kind == MACHINE_GPU ? "GPU" : "card",
            d->kind == MACHINE_GPU ? d->bus : d->name);
    else if (d)
        say(seat->reason, "%s %s %s", where(distance(p->machine, c, d->nodes)),
            d->kind == MACHINE_GPU ? "GPU" : "card", d->kind == MACHINE_GPU ? d->bus : d->name);
    else
        say(seat->reason, "%s", otherwise);
    sit(p, seat, c);
}

static void choose_executors(struct planner *p)
{
    for (uint32_t i = 0; i < p->plan->executor_count; i++)
        choose(p, &p->plan->executors[i], p->wish->gpu[i], 0, "a core of its own, beside the workers");
}

/* The node where a worker that no network card calls hands its rows over. */
static uint64_t executors_node(const struct planner *p, uint32_t worker)
{
    uint32_t count = p->plan->executor_count;
    int node = count ? p->plan->executors[worker % count].node : -1;
    return node < 0 ? 0 : UINT64_C(1) << node;
}

static void choose_workers(struct planner *p)
{
    const struct machine_nics *nics = &p->wish->nics;
    for (uint32_t i = 0; i < p->plan->worker_count; i++) {
        int nic = nics->count ? nics->device[i % nics->count] : -1;
        uint64_t near = executors_node(p, i);
        struct topology_seat *seat = &p->plan->workers[i];
        choose(p, seat, nic, near,
               p->plan->executor_count ? "a core of its own, near its executor" : "a core of its own");
        if (nic < 0 && near != 0 && seat->node >= 0 && !(near >> seat->node & 1))
            say(seat->reason, "a core of its own, none is left near its executor");
    }
}

/* ---- whether to pin at all -------------------------------------------------------------------------------- */

static uint32_t cpus_free(const struct planner *p)
{
    cpu_set_t allowed;
    machine_allowed(p->machine, &allowed);
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->machine->cpu_count; i++)
        n += p->machine->cpus[i].allowed && !CPU_ISSET(p->machine->cpus[i].number, &p->taken);
    return n;
}

static uint32_t cores_free(const struct planner *p)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    for (uint32_t i = 0; i < p->machine->cpu_count; i++)
        if (p->machine->cpus[i].allowed && !CPU_ISSET(p->machine->cpus[i].core, &p->taken_cores))
            CPU_SET(p->machine->cpus[i].core, &cores);
    return (uint32_t)CPU_COUNT(&cores);
}

static uint32_t seats_to_choose(const struct planner *p)
{
    const struct topology_wish *w = p->wish;
    return (w->worker_cpus.count ? 0 : w->workers) + (w->executor_cpus.count ? 0 : w->executors);
}

/*
 * A pinned thread cannot step aside for whoever else runs on its cpu. So everyone gets a core of his own and something
 * is left for the rest of us, or nobody is pinned; not on few cores, and not under a quota, which says that the cpus are shared.
 * Returns false having said why not.
 */
static bool worth_pinning(const struct planner *p, uint32_t seats, char *reason)
{
    cpu_set_t allowed;
    machine_allowed(p->machine, &allowed);
    uint32_t cores = cores_free(p), all = machine_cores_allowed(p->machine), quota = p->machine->quota_milli;
    if (!p->wish->pin) {
        say(reason, "topology.mode is off");
    } else if (machine_capacity(p->machine) < (uint32_t)CPU_COUNT(&allowed)) {
        say(reason, "a quota of %u.%02u cpus over %d: they are shared with others, so no thread is tied to one",
            quota / 1000, quota % 1000 / 10, CPU_COUNT(&allowed));
    } else if (all <= FEW_CORES) {
        say(reason, "%u core%s: too few to tie threads to", all, all == 1 ? "" : "s");
    } else if (seats > cores || seats >= cpus_free(p)) {
        say(reason, "%u thread%s for %u core%s: the kernel moves them better", seats, seats == 1 ? "" : "s", cores,
            cores == 1 ? "" : "s");
    } else {
        return true;
    }
    return false;
}

static void choose_all(struct planner *p)
{
    uint32_t seats = seats_to_choose(p);
    p->plan->pinned = seats == 0 || worth_pinning(p, seats, p->plan->reason);
    if (!p->plan->pinned)
        return;
    say(p->plan->reason, "%s", seats ? "each worker and executor has a core of its own"
                                     : "topology.worker_cpus and topology.executor_cpus name every place");
    if (p->wish->executor_cpus.count == 0)
        choose_executors(p);
    if (p->wish->worker_cpus.count == 0)
        choose_workers(p);
}

/* ---- the rest --------------------------------------------------------------------------------------------- */

/* Cpus for everybody else: @cores true, those of untouched cores, false, those where nobody sits. */
static void set_others(struct planner *p, bool cores)
{
    CPU_ZERO(&p->plan->others);
    for (uint32_t i = 0; i < p->machine->cpu_count; i++) {
        const struct machine_cpu *c = &p->machine->cpus[i];
        if (c->allowed && !CPU_ISSET(cores ? c->core : c->number, cores ? &p->taken_cores : &p->taken))
            CPU_SET(c->number, &p->plan->others);
    }
}

/* Computing threads may not lose cpus to workers that are idle meanwhile: then they float over all. */
static void choose_others(struct planner *p)
{
    uint32_t least = TG_MAX(p->wish->compute, 1u);
    for (int siblings = 0; siblings < 2 && p->plan->pinned; siblings++) {
        set_others(p, siblings == 0);
        if ((uint32_t)CPU_COUNT(&p->plan->others) < least)
            continue;
        say(p->plan->others_reason, siblings ? "siblings of the cores above" : "cores on which nobody sits");
        return;
    }
    machine_allowed(p->machine, &p->plan->others);
    if (p->plan->pinned)
        say(p->plan->others_reason, "compute threads need more than the cpus left: %u", least);
    else
        say(p->plan->others_reason, "wherever the kernel likes");
}

/* An executor that moves about still has its rows best where its GPU fetches them from. */
static void choose_memory(struct planner *p)
{
    for (uint32_t i = 0; i < p->plan->executor_count; i++) {
        struct topology_seat *seat = &p->plan->executors[i];
        uint64_t nodes = seat->device < 0 ? 0 : p->machine->devices[seat->device].nodes;
        if (p->wish->pin && seat->node < 0 && nodes != 0 && p->machine->node_count > 1)
            seat->node = __builtin_ctzll(nodes);
    }
}

static void clear_seats(struct topology_seat *seats, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        seats[i] = (struct topology_seat){.cpu = -1, .node = -1, .device = -1};
        say(seats[i].reason, "not pinned");
    }
}

int topology_plan_make(const struct machine *m, const struct topology_wish *w, struct topology_plan *plan,
                       const char **key, char why[static TOPOLOGY_WHY_BYTES])
{
    struct planner p = {.machine = m, .wish = w, .plan = plan, .why = why};
    CPU_ZERO(&p.taken);
    CPU_ZERO(&p.taken_cores);
    *plan = (struct topology_plan){.worker_count = w->workers, .executor_count = w->executors};
    clear_seats(plan->workers, w->workers);
    clear_seats(plan->executors, w->executors);
    int rc = check_wish(&p, key);
    if (rc < 0)
        return rc;
    take_given(&p, &w->executor_cpus, plan->executors, w->executors, "topology.executor_cpus");
    take_given(&p, &w->worker_cpus, plan->workers, w->workers, "topology.worker_cpus");
    for (uint32_t i = 0; i < w->executors; i++)
        plan->executors[i].device = w->gpu[i];
    choose_all(&p);
    choose_others(&p);
    choose_memory(&p);
    return 0;
}

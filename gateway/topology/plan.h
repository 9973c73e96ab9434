/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who sits where: a plan for workers, executors and the rest, from a machine's description and what is wanted. Pure.
 * docs/topology.md has the rules in words.
 */
#ifndef TG_TOPOLOGY_PLAN_H
#define TG_TOPOLOGY_PLAN_H

#include "cpu_list.h"
#include "machine.h"

#define TOPOLOGY_WORKERS_MAX 64
#define TOPOLOGY_EXECUTORS_MAX 64
#define TOPOLOGY_REASON_BYTES 128
#define TOPOLOGY_WHY_BYTES 256

struct topology_wish {
    bool pin;               /* false: leave everything to the kernel, but what the lists below name */
    uint32_t workers;
    uint32_t executors;     /* threads of their own; 0: they run as turns of the workers */
    uint32_t compute;       /* threads that compute beside them and are not placed */
    int gpu[TOPOLOGY_EXECUTORS_MAX]; /* index of each executor's device, -1: the cpus themselves */
    struct machine_nics nics;        /* where connections come in; none: loopback */
    struct cpu_list worker_cpus, executor_cpus; /* given by the operator, in their order; empty: choose */
};

struct topology_seat {
    int cpu;    /* pinned to this one; -1: where the kernel likes */
    int node;   /* index of the node whose memory to use; -1: any, or there is only one */
    int device; /* the GPU it drives, the card it sits by; -1: none */
    char reason[TOPOLOGY_REASON_BYTES];
};

struct topology_plan {
    bool pinned; /* every worker and executor has a place; false: at most those that the operator's lists name */
    char reason[TOPOLOGY_REASON_BYTES];
    uint32_t worker_count, executor_count;
    struct topology_seat workers[TOPOLOGY_WORKERS_MAX], executors[TOPOLOGY_EXECUTORS_MAX];
    cpu_set_t others; /* for the control thread and compute threads */
    char others_reason[TOPOLOGY_REASON_BYTES];
};

/**
 * Returns 0, or -EINVAL when a list names what there is not or what is not allowed: then @key is "worker_cpus" or
 * "executor_cpus" and @why the reason.
 */
int topology_plan_make(const struct machine *m, const struct topology_wish *w, struct topology_plan *plan,
                       const char **key, char why[static TOPOLOGY_WHY_BYTES]);

#endif

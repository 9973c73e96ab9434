/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's topology plan: made from machine and configuration, then applied to its threads and memory. */
#ifndef TG_TOPOLOGY_H
#define TG_TOPOLOGY_H

#include "topology/plan.h"

struct gateway;

struct topology {
    struct machine machine;
    struct topology_wish wish;
    struct topology_plan plan;
    cpu_set_t before; /* the control thread's cpus as it was started */
    bool settled, warned;
};

/**
 * Read the machine, and the operator's lists. @description as for machine_read(); NULL for this host.
 * Returns 0, or negative errno having said why. topology_close() in either case.
 */
int topology_open(struct gateway *g, const char *description);
/** Make the plan, once layout_choose() has. Returns 0, or -EINVAL having said what the lists name wrongly. */
int topology_place(struct gateway *g);
/** Apply it to the calling thread, and to all that it creates from now on, which those that have a seat leave for it. */
void topology_settle(struct gateway *g);
/** Give the calling thread its cpus back. */
void topology_close(struct gateway *g);

/** The cpu to pin this worker, or the executor of this number, to; -1: none. */
int topology_worker_cpu(const struct gateway *g, uint32_t worker);
int topology_executor_cpu(const struct gateway *g, uint32_t number);

/** To be told before it is touched: memory that this worker uses, or the rows between it and the executor @number. */
void topology_worker_memory(struct gateway *g, uint32_t worker, void *base, size_t bytes);
void topology_lane_memory(struct gateway *g, uint32_t worker, uint32_t number, void *base, size_t bytes);

/** In the process of executor @number before it opens its device: what it allocates is to lie by its GPU. */
void topology_own_memory(const struct gateway *g, uint32_t number);

/** `taskgate topo`: argv[0] is the command's word. Returns the exit code. */
int command_topo(int argc, char **argv, char **envp);

#endif

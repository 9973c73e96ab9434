/* SPDX-License-Identifier: Apache-2.0 */
/* A machine and the plan for it, for people and for programs. docs/topology.md describes the formats. */
#ifndef TG_TOPOLOGY_PRINT_H
#define TG_TOPOLOGY_PRINT_H

#include <stdio.h>
#include "plan.h"

/** A tree of packages, nodes, devices and who sits where. */
void topology_print_text(FILE *out, const struct machine *m, const struct topology_plan *plan);
/** One JSON object. Returns 0 or -ENOMEM. */
int topology_print_json(FILE *out, const struct machine *m, const struct topology_plan *plan);
/** A picture that needs nothing else. */
void topology_print_svg(FILE *out, const struct machine *m, const struct topology_plan *plan);

/* What the formats share. */

/** "1 cpu", "2 cpus". */
#define PLURAL(n) (n), (n) == 1 ? "" : "s"

/** Whoever sits on a cpu: a worker, an executor, or nobody. */
struct topology_tenant {
    char letter; /* 'W', 'E', or 0 */
    uint32_t index;
    const struct topology_seat *seat;
};
struct topology_tenant topology_tenant(const struct topology_plan *plan, uint32_t cpu);

/** The cpus of a node, a package, or with both -1 all of them. */
void topology_cpus(const struct machine *m, int node, int package, cpu_set_t *out);
/** How many nodes a package has; none if its cpus belong to a node that spans packages. */
uint32_t topology_nodes(const struct machine *m, uint32_t package);
/** Is the device drawn at this node (the first of those it is near to)? @node -1: at none, being near to all alike. */
bool topology_device_at(const struct machine *m, const struct machine_device *d, int node);
const char *topology_kind_name(enum machine_device_kind kind);
/** "503 GiB", "" if unknown. */
const char *topology_bytes(uint64_t bytes, char out[static 32]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Machines of any shape for tests of the plan. Cpus are numbered as Linux does: all first siblings, then all second. */
#ifndef TG_TEST_MACHINE_RIG_H
#define TG_TEST_MACHINE_RIG_H

#include "gateway/topology/plan.h"

/** @nodes of a package, @cores of a node, @smt siblings of a core. Everything is allowed. */
struct machine *machine_made(uint32_t packages, uint32_t nodes, uint32_t cores, uint32_t smt);

/** At a node, or with -1 near to all of them. Returns its index. */
int machine_add(struct machine *m, enum machine_device_kind kind, const char *name, const char *bus, int node);

/** Allow what the list names and nothing else. */
void machine_allow(struct machine *m, const char *list);

/** A wish for threads of their own on the cpus themselves, nothing said about where. */
struct topology_wish wish_for(uint32_t workers, uint32_t executors);

/** The plan, which must be possible. */
struct topology_plan *plan_for(const struct machine *m, const struct topology_wish *w);

#endif

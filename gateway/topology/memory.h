/* SPDX-License-Identifier: Apache-2.0 */
/* Where memory lies: on which NUMA node, and in pages of which size. Advice to the kernel; refusal harms nobody. */
#ifndef TG_TOPOLOGY_MEMORY_H
#define TG_TOPOLOGY_MEMORY_H

#include "tg/def.h"

/**
 * Prefer this node for the pages that lie wholly within [base, base + bytes) and are not touched yet.
 * @node  as the kernel counts. Returns 0 or negative errno. Thread: any.
 */
int memory_prefer_node(void *base, size_t bytes, uint32_t node);

/** Prefer this node for all that the calling thread, and those that it starts or forks from now on, come to
 * touch. */
int memory_prefer_node_always(uint32_t node);

/** Ask for huge pages there. Returns 0 or negative errno. Thread: any. */
int memory_huge_pages(void *base, size_t bytes);

#endif

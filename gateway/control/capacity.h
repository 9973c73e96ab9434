/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many tasks at once are offered just now: the configured number, less where availability windows say so.
 * Looked at when a minute begins, since windows begin and end with minutes. Thread: control.
 */
#ifndef TG_CAPACITY_H
#define TG_CAPACITY_H

#include "gateway/dialect/iicp_availability.h"
#include "host.h"
#include "zone.h"

struct capacity_options {
    const struct control_host *host;
    void *context;
    void (*offer)(void *context, uint32_t max_concurrent); /* to admission */
};

struct capacity {
    struct capacity_options options;
    struct iicp_windows windows;
    struct zone *zone; /* owned */
    uint32_t base, effective;
    int32_t offset_s; /* of local time; a change of it changes what directories were told */
    bool offset_changed;
    uint64_t due_ns;
};

/** @zone is taken over; NULL stands for UTC. Offers at once. */
void capacity_init(struct capacity *c, const struct capacity_options *options);
void capacity_configure(struct capacity *c, uint32_t base, const struct iicp_windows *windows,
                        struct zone *zone);
/** Another base, the same windows. */
void capacity_rebase(struct capacity *c, uint32_t base);
uint64_t capacity_turn(struct capacity *c, uint64_t now_ns);
void capacity_finish(struct capacity *c);

#endif

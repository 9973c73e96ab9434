/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the registry still list this node? A directory may take heartbeats of a node that nobody finds any
 * more. Thread: control.
 */
#ifndef TG_REGISTRY_H
#define TG_REGISTRY_H

#include "call.h"

#define REGISTRY_ABSENCES_MAX 3

struct registry {
    const struct directory_link *link;
    struct call call;
    uint32_t absences; /* in a row */
    bool absent;       /* set by a look that found nothing; whoever acts on it clears it */
};

void registry_init(struct registry *r, const struct directory_link *link);
void registry_look(struct registry *r, struct tg_str node_id);
void registry_stop(struct registry *r);

#endif

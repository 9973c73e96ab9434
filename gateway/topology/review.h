/* SPDX-License-Identifier: Apache-2.0 */
/* What is to be said against a plan, and what to do about it. Pure. */
#ifndef TG_TOPOLOGY_REVIEW_H
#define TG_TOPOLOGY_REVIEW_H

#include "plan.h"

struct topology_review {
    uint32_t concerns; /* 0: the plan is fine, and `what` tells it in short */
    char what[256];    /* the most pressing concern */
    char todo[192];
};

void topology_review(const struct machine *m, const struct topology_wish *w, const struct topology_plan *plan,
                     struct topology_review *out);

#endif

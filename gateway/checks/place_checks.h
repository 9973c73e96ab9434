/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of limits on memory, of huge pages and of who sits where. */
#ifndef TG_PLACE_CHECKS_H
#define TG_PLACE_CHECKS_H

#include "gateway/command/doctor.h"
#include "host_sight.h"

/** @limit: what may be locked, UINT64_MAX: no limit. */
void memlock_judge(const struct host_sight *s, uint64_t limit, struct doctor_finding *f);

/** @text: as /sys/kernel/mm/transparent_hugepage/enabled has it; empty: there is none. */
void huge_pages_judge(const struct host_sight *s, bool wanted, const char *text, struct doctor_finding *f);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Checks for `taskgate doctor` that need the gateway's own parts. */
#ifndef TG_HOST_CHECKS_H
#define TG_HOST_CHECKS_H

#include "gateway/command/doctor.h"

extern const struct doctor_checks host_checks;

/* gpu_checks.c */
void check_gpu(struct doctor *d, struct doctor_finding *f);
void check_toolkit(struct doctor *d, struct doctor_finding *f);
/* place_checks.c */
void check_memlock(struct doctor *d, struct doctor_finding *f);
void check_huge_pages(struct doctor *d, struct doctor_finding *f);
void check_placement(struct doctor *d, struct doctor_finding *f);

#endif

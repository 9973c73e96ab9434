/* SPDX-License-Identifier: Apache-2.0 */
/* Checks for `taskgate doctor` that need the gateway's own parts. A device's checks belong here too. */
#ifndef TG_HOST_CHECKS_H
#define TG_HOST_CHECKS_H

#include "gateway/command/doctor.h"

extern const struct doctor_checks host_checks;

#endif

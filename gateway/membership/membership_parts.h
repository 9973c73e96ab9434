/* SPDX-License-Identifier: Apache-2.0 */
/* What membership.c and membership_config.c share. */
#ifndef TG_MEMBERSHIP_PARTS_H
#define TG_MEMBERSHIP_PARTS_H

#include "gateway/control/config.h"
#include "membership.h"

/** Windows and zone as configured; @zone is the caller's. Returns 0, or -EINVAL after having logged why. */
int membership_read_windows(const struct config *c, struct iicp_windows *windows, struct zone **zone);

/** What the directory's state machine is to know; it borrows from @g. */
void membership_describe(struct gateway *g, struct directory_options *o);

#endif

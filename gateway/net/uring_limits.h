/* SPDX-License-Identifier: Apache-2.0 */
/* What a ring may be asked for: the loop's own operations, so that a forged entry opens no file and calls nobody. */
#ifndef TG_NET_URING_LIMITS_H
#define TG_NET_URING_LIMITS_H

#include <liburing.h>

/**
 * Limit @ring, which must have been set up with IORING_SETUP_R_DISABLED, and enable it. A kernel that knows no limits
 * (before 5.10) is not asked twice. Returns 0 or negative errno if it cannot be enabled.
 */
int uring_limit(struct io_uring *ring);

#endif

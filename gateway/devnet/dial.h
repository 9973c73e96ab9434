/* SPDX-License-Identifier: Apache-2.0 */
/* Calling nodes back. Blocks its thread, so never with the lock held. */
#ifndef TG_DEVNET_DIAL_H
#define TG_DEVNET_DIAL_H

#include "tg/def.h"

#define DIAL_WHY_MAX 160

/**
 * One request without redirects, proxies or a check of certificates: local nodes make their own.
 * Returns the status of the answer, or 0 and @why.
 */
long dial(const char *url, bool head, uint32_t timeout_ms, char why[DIAL_WHY_MAX]);

/** Does the host resolve, and to public addresses only? */
bool dial_host_public(struct tg_str host);

#endif

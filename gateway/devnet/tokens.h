/* SPDX-License-Identifier: Apache-2.0 */
/* What the directory signs with its Ed25519 key. With devnet's lock held. */
#ifndef TG_DEVNET_TOKENS_H
#define TG_DEVNET_TOKENS_H

#include "state.h"

#define JWT_LIFETIME_S 3600
#define JWT_TEXT_MAX 512

/** A token for the node's calls to the directory. False: the library failed. */
bool jwt_issue(struct devnet *d, struct crypto *crypto, const char *node_id, char out[JWT_TEXT_MAX]);
/** True if it is ours and not yet over; @node_id is then set. */
bool jwt_verify(struct devnet *d, struct crypto *crypto, struct tg_str token, char node_id[NODE_ID_MAX + 1]);

#endif

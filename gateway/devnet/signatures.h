/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes sign, and whether they did so rightly. Thread: the crypto struct's. */
#ifndef TG_DEVNET_SIGNATURES_H
#define TG_DEVNET_SIGNATURES_H

#include <time.h>

#include "gateway/base/crypto.h"
#include "tg/json.h"

/** Is @hex the HMAC of @message under the ASCII text @key? */
bool signature_hmac_holds(struct crypto *crypto, const char *key, struct tg_str message, const char *hex);

/**
 * The declaration_signature of a pricing block under @key. True if there is none; @present tells.
 */
bool signature_pricing_holds(struct crypto *crypto, const char *key, const struct tg_json_doc *doc,
                             const struct tg_json_node *pricing, bool *present);

/** An operator's delegation to the node @id. Returns NULL, or what is wrong with it. */
const char *signature_delegation_wrong(struct crypto *crypto, const struct tg_json_doc *doc,
                                       const struct tg_json_node *delegation, const char *id, time_t now);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node signs with the key that the directory issued: HMAC-SHA256, in lower-case hex. The key is the
 * text as it was issued, not the bytes that it might spell. Nothing here allocates. Thread: the owner of the
 * struct crypto. Calls return 0; -EINVAL if there is no key or a part is too long; -EIO if the library
 * failed.
 */
#ifndef TG_IICP_SIGN_H
#define TG_IICP_SIGN_H

#include "gateway/base/json_canonical.h"
#include "iicp_keys.h"

#define IICP_SIGNATURE_CHARS (2 * CRYPTO_HASH_BYTES) /* never terminated */
#define IICP_RECEIPT_NONCE_CHARS 32

/** `challenge_response` of the next heartbeat (contract section 3.2). */
int iicp_sign_challenge(struct crypto *c, struct tg_str hmac_key, struct tg_str challenge,
                        char out[IICP_SIGNATURE_CHARS]);

/** `declaration_signature` of a pricing block (section 4.1), and the text that is signed: two keys, in this
 * order. */
int iicp_sign_pricing(struct crypto *c, struct tg_str hmac_key, double multiplier, struct tg_str model,
                      char out[IICP_SIGNATURE_CHARS]);
void iicp_pricing_text(double multiplier, struct tg_str model, struct tg_json_writer *w);

/* A completion receipt (section 1.10), as far as it is signed. */
struct iicp_receipt {
    struct tg_str task_id; /* escapes resolved */
    uint64_t tokens;
    struct tg_str nonce;         /* IICP_RECEIPT_NONCE_CHARS hex digits */
    struct tg_str response_hash; /* IICP_SIGNATURE_CHARS hex digits */
    struct tg_str requester;     /* source_node_id; len 0: not part of the message */
};

int iicp_sign_receipt(struct crypto *c, struct tg_str hmac_key, const struct iicp_receipt *r,
                      char out[IICP_SIGNATURE_CHARS]);

/** Credits for a receipt: a thousandth of each token, of one at least. */
double iicp_receipt_amount(uint64_t tokens);

/** What response_hash is the hex of: SHA-256 over @result in the form of JSON_CANONICAL_PYTHON. Also -ENOSPC.
 */
int iicp_result_hash(struct crypto *c, const struct tg_json_doc *doc, const struct tg_json_node *result,
                     struct json_canonical_room room, uint8_t out[CRYPTO_HASH_BYTES]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confidential tasks from the client's side (contract section 1.7): seal a payload for a node's key, open its
 * reply. The node's side is iicp_cx.h. Nothing here allocates. Thread: the owner of the struct crypto.
 */
#ifndef TG_IICP_CX_CLIENT_H
#define TG_IICP_CX_CLIENT_H

#include "iicp_cx.h"

/* A node as its directory shows it. */
struct iicp_cx_peer {
    uint8_t key[CRYPTO_KEY_BYTES];
    char key_id[IICP_CX_KEY_ID_BYTES + 1];
    bool seals_replies; /* has the feature response_encryption_v1 */
};

/** Take a peer's `cx_public_key`. -EINVAL: another algorithm, no key, or a key_id that is not this key's. */
int iicp_cx_peer_read(struct crypto *c, const struct tg_json_doc *doc, const struct tg_json_node *n,
                      struct iicp_cx_peer *peer);
/** The same from the 43 characters of the key alone. */
int iicp_cx_peer_from_key(struct crypto *c, struct tg_str key, struct iicp_cx_peer *peer);

/* What a request binds together. Names have no escapes. */
struct iicp_cx_names {
    struct tg_str task_id, intent;
};

/**
 * Write the object `iicp_conf` for @plain with a fresh key and nonce; @room needs plain.len +
 * CRYPTO_TAG_BYTES.
 * @secret is for the reply: wipe it after use. Returns 0, -EINVAL for names or a peer's key that will not do,
 * -ENOSPC, -EIO.
 */
int iicp_cx_request_seal(struct crypto *c, const struct iicp_cx_peer *peer, const struct iicp_cx_names *names,
                         struct tg_str plain, uint8_t *room, struct tg_json_writer *w,
                         uint8_t secret[IICP_CX_SECRET_BYTES]);
/** For those who must know key and nonce beforehand: never the same ones twice. */
int iicp_cx_request_seal_with(struct crypto *c, const struct iicp_cx_peer *peer,
                              const struct iicp_cx_names *names, struct tg_str plain, uint8_t *room,
                              const uint8_t ephemeral[CRYPTO_KEY_BYTES],
                              const uint8_t nonce[CRYPTO_NONCE_BYTES], struct tg_json_writer *w,
                              uint8_t secret[IICP_CX_SECRET_BYTES]);

/**
 * Open a reply of status "encrypted" to the task of this id. @out: as many bytes as the reply's text always
 * suffice. -EBADMSG: not such a reply, of another task, or not sealed with this secret.
 */
int iicp_cx_reply_open(struct crypto *c, const uint8_t secret[IICP_CX_SECRET_BYTES],
                       const struct tg_json_doc *doc, struct tg_str task_id, char *out, size_t cap,
                       struct tg_str *plain);

#endif

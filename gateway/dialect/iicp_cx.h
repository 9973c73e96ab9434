/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Confidential tasks (IICP-CX, contract section 1.7): a request's payload sealed for this node's X25519 key,
 * and the reply sealed for whoever sent it. Names (task id, intent) are given with their escapes resolved.
 * Nothing here allocates; gateway/base/crypto.h says what OpenSSL does. Thread: the owner of the struct
 * crypto.
 */
#ifndef TG_IICP_CX_H
#define TG_IICP_CX_H

#include "iicp_keys.h"
#include "tg/json.h"
#include "tg/status.h"

#define IICP_CX_TASK_ID_MAX 256
#define IICP_CX_INTENT_MAX 128
#define IICP_CX_SECRET_BYTES 32

enum iicp_cx_result {
#define CX(ident, status, reason) IICP_CX_##ident,
#include "iicp_cx.def"
#undef CX
    IICP_CX_RESULT_COUNT
};

/** The outcome to answer, and a static text that says why and nothing of the content. */
enum tg_status iicp_cx_status(enum iicp_cx_result r);
struct tg_str iicp_cx_reason(enum iicp_cx_result r);

struct iicp_cx_opened {
    struct tg_str plain;                  /* in the caller's buffer */
    uint8_t secret[IICP_CX_SECRET_BYTES]; /* for the reply; wipe it after use */
};

/**
 * Open @conf, the value of iicp_conf, for the task and intent that stand beside it.
 * @out  receives the plaintext; as many bytes as the request's text has always suffice
 * @opened is set on IICP_CX_DONE only; @out is scratch in every case. What can be checked without a key is
 * checked first, so most bad envelopes cost no exchange.
 */
enum iicp_cx_result iicp_cx_open(struct crypto *c, const struct iicp_keys *keys,
                                 const struct tg_json_doc *doc, const struct tg_json_node *conf,
                                 struct tg_str task_id, struct tg_str intent, char *out, size_t cap,
                                 struct iicp_cx_opened *opened);

/* The ordinary reply to seal. It lies in @text[0..len), is overwritten, and needs CRYPTO_TAG_BYTES of room
 * behind. */
struct iicp_cx_reply {
    const uint8_t *secret; /* of the request */
    struct tg_str task_id;
    char *text;
    size_t len, cap;
};

/* Bytes of the sealed reply beyond the base64 of text and tag, for a task id without escapes. */
#define IICP_CX_REPLY_OVERHEAD(task_id_len) (160 + (task_id_len))

/**
 * Write the whole encrypted reply to @w. IICP_CX_DONE or IICP_CX_SEAL_FAILED; then @w is as it was.
 * The first takes a nonce of its own; the second is for those who must know it beforehand: never the same one
 * twice.
 */
enum iicp_cx_result iicp_cx_seal(struct crypto *c, const struct iicp_cx_reply *reply,
                                 struct tg_json_writer *w);
enum iicp_cx_result iicp_cx_seal_with(struct crypto *c, const struct iicp_cx_reply *reply,
                                      const uint8_t nonce[CRYPTO_NONCE_BYTES], struct tg_json_writer *w);

/* ---- the node's key: control thread and commands --------------------------------------------------------
 */

#define IICP_CX_FILE_NAME_BYTES 29 /* 24 hex digits and ".json" */
#define IICP_CX_FILE_BYTES_MAX 1024

/** "<first 24 hex of sha256(node_id)>.json", terminated: where this node's key lies in the folder of keys. */
int iicp_cx_file_name(struct crypto *c, struct tg_str node_id, char out[IICP_CX_FILE_NAME_BYTES + 1]);

/** Take @private_key, any 32 bytes, into @keys: public key and key id follow from it. Returns 0 or -EIO. */
int iicp_cx_key_set(struct crypto *c, struct iicp_keys *keys, const uint8_t private_key[CRYPTO_KEY_BYTES]);
/** Another one at random. */
int iicp_cx_key_generate(struct crypto *c, struct iicp_keys *keys);

/** The text of a key file. -EINVAL: not one, or private key, public key and key id do not belong together. */
int iicp_cx_key_read(struct crypto *c, struct iicp_keys *keys, struct tg_str text);
void iicp_cx_key_write(const struct iicp_keys *keys, struct tg_json_writer *w);

/** The object to register as `cx_public_key`. */
void iicp_cx_public_write(const struct iicp_keys *keys, struct tg_json_writer *w);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this node is, as workers need to know it: one immutable snapshot, published by the control thread
 * and replaced as a whole when the directory issues new ones. Old ones live until the end and are wiped then.
 */
#ifndef TG_IICP_KEYS_H
#define TG_IICP_KEYS_H

#include "gateway/base/crypto.h"

#define IICP_NODE_ID_MAX 128
#define IICP_TOKEN_MAX 256
#define IICP_HMAC_KEY_MAX 128
#define IICP_CX_KEY_ID_BYTES 19 /* "cx-" and 16 hex digits */

struct iicp_keys {
    char node_id[IICP_NODE_ID_MAX + 1]; /* as the directory knows this node; empty: as configured */
    char node_token[IICP_TOKEN_MAX + 1]; /* empty: none issued */
    char hmac_key[IICP_HMAC_KEY_MAX + 1]; /* the ASCII text is the key; empty: none issued */
    bool has_directory_key;               /* for consumer tokens */
    uint8_t directory_key[CRYPTO_KEY_BYTES];
    bool has_cx;
    uint8_t cx_private[CRYPTO_KEY_BYTES], cx_public[CRYPTO_KEY_BYTES];
    char cx_key_id[IICP_CX_KEY_ID_BYTES + 1];
    struct iicp_keys *older;
};

#endif

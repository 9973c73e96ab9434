/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this node is to its directory: node id, token, HMAC key, and the directory's own key. Kept in
 * nodes/NAME.json, told to workers as snapshots.
 * Thread: control.
 */
#ifndef TG_AUTH_H
#define TG_AUTH_H

#include "call.h"

struct auth_options {
    const char *state_dir;      /* NULL: nothing outlives the process */
    const char *name;           /* of the file */
    const char *node_id;        /* as configured; empty: take the stored one, or the directory's */
    struct tg_str own_hmac_key; /* as proposed at registration: holds where the reply names none; empty: none */
    const struct iicp_keys *cx; /* its has_cx, cx_* members are repeated in each snapshot; NULL: none */
    void *context;
    void (*publish)(void *context, const struct iicp_keys *keys); /* lives until auth_finish() */
    bool (*doubted)(void *context); /* since last asked, has something not fitted the directory's key? NULL: never */
    uint64_t key_retry_ns;          /* the key is not asked for more often */
};

struct auth {
    const struct directory_link *link;
    struct auth_options options;
    char node_id[IICP_NODE_ID_MAX + 1], node_token[IICP_TOKEN_MAX + 1], hmac_key[IICP_HMAC_KEY_MAX + 1];
    bool has_directory_key;
    uint8_t directory_key[CRYPTO_KEY_BYTES];
    uint32_t generation;    /* counts changes of token or HMAC key */
    struct iicp_keys *keys; /* newest snapshot */
    bool unsaved, complained;
    uint64_t save_due_ns, key_due_ns, key_asked_ns;
    struct call key_call;
};

/** Loads what is stored and publishes it. Credentials of another directory or node id are left alone and not
 * used. */
void auth_init(struct auth *a, const struct directory_link *link, const struct auth_options *options);
void auth_finish(struct auth *a);

/** What a registration brought; the reply's key always wins. */
void auth_adopt(struct auth *a, const struct iicp_registered *r);

static inline bool auth_complete(const struct auth *a)
{
    return a->node_token[0] && a->hmac_key[0];
}

/** Saves what could not be saved, and asks for the directory's key, once a while. Returns when to be called
 * again. */
uint64_t auth_turn(struct auth *a, uint64_t now_ns);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key for confidential tasks, kept in a file: clients encrypt to it, and a directory refuses a node that
 * comes back with another one. Thread: start-up.
 */
#ifndef TG_CX_KEY_H
#define TG_CX_KEY_H

#include "gateway/dialect/iicp_cx.h"
#include "store.h"

/** Where the key of @node_id lies, as cx_key_load() looks for it. Returns 0 or negative errno. */
int cx_key_path(struct crypto *c, const char *key_dir, const char *state_dir, const char *node_id,
                char out[static STORE_PATH_MAX]);

/**
 * Load the key of @node_id from @key_dir, else from cx/ below @state_dir (either may be NULL or empty, not
 * both); make one if there is none. Sets the cx members of @keys. Returns 0, -EKEYREJECTED if others can read it, or
 * other negative errno, with what is wrong in *why (static text): a damaged or readable key is never replaced.
 */
int cx_key_load(struct crypto *c, const char *key_dir, const char *state_dir, const char *node_id,
                struct iicp_keys *keys, const char **why);

#endif

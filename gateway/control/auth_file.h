/* SPDX-License-Identifier: Apache-2.0 */
/* nodes/NAME.json below the state folder: a node's credentials, 0600. */
#ifndef TG_AUTH_FILE_H
#define TG_AUTH_FILE_H

#include "auth.h"

/**
 * Become the only process that is the node @name: two that take turns in registering as one would void each other's
 * credentials for ever. Returns a descriptor to keep open, -EBUSY if another process is it, or other negative errno if there
 * is no place to keep a lock, which is no reason not to go on.
 */
int auth_file_lock(const char *state_dir, const char *name);

/** 0, or -EKEYREJECTED after having logged that others can read what is stored. */
int auth_file_check(const char *state_dir, const char *name);

/** Fill in what is stored for this directory and node id, if anything. Problems are logged. */
void auth_file_load(struct auth *a);

/** Returns 0 (also without a state folder) or negative errno. */
int auth_file_save(const struct auth *a);

#endif

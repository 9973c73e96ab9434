/* SPDX-License-Identifier: Apache-2.0 */
/* The id of a node that was given none: two hosts may have one name, and a directory keeps them apart by id. */
#ifndef TG_NODE_ID_H
#define TG_NODE_ID_H

#include "tg/def.h"

#define NODE_ID_BYTES_MAX 36 /* what directories take */

/**
 * The id in nodes/NAME.id below @state_dir, made on the first call: @host, a dash and 8 random hex digits. Two processes
 * must not call it for one name at once (auth_file_lock()). Returns 0, or negative errno: there is no place to keep it.
 */
int node_id_load(const char *state_dir, const char *name, const char *host, char out[static NODE_ID_BYTES_MAX + 1]);

#endif

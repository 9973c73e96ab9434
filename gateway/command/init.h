/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate init`, between its files. */
#ifndef TG_COMMAND_INIT_H
#define TG_COMMAND_INIT_H

#include "gateway/control/store.h"
#include "options.h"

struct init {
    struct options options;
    const char *output, *node_id, *name, *region, *model, *listen, *directory, *endpoint, *state_dir,
        *backend, *timezone;
    bool force, lab, yes, no_cx;
};

/** The commented configuration, to be freed; NULL: out of memory. */
char *init_text(const struct init *in, size_t *len);

/** Put it in place, if config_load() takes it. Returns an exit status, having said why. */
int init_install(const struct init *in, const char *text, size_t len);

/** Make this node's key unless it is there. @path gets where it is. Returns an exit status, having said why.
 */
int init_key(const struct init *in, char path[static STORE_PATH_MAX], char *key_id, size_t key_id_cap, bool *made);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a directory for nodes, for commands. */
#ifndef TG_COMMAND_FINDER_H
#define TG_COMMAND_FINDER_H

#include "ask.h"
#include "gateway/control/config.h"
#include "gateway/dialect/iicp_directory.h"

#define FINDER_NODES_MAX 50

struct found_nodes {
    struct answer answer; /* the nodes point into it */
    struct iicp_found nodes[FINDER_NODES_MAX];
    uint32_t count;
};

/** GET @path of the directory, which the operator named. False having said why on stderr. */
bool finder_ask(struct client *c, const char *command, const struct config *config, const char *path,
                struct answer *a);

/** The nodes that fit. False having said why; found_finish() in every case. */
bool finder_discover(struct client *c, const char *command, const struct config *config,
                     const struct iicp_discover *d, struct found_nodes *out);
void found_finish(struct found_nodes *f);

#define COMMAND_AGENT "taskgate/" TASKGATE_VERSION

#endif

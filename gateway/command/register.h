/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate register`: the gateway knows what it would tell a directory, the command tells it. */
#ifndef TG_COMMAND_REGISTER_H
#define TG_COMMAND_REGISTER_H

#include "command.h"
#include "gateway/control/directory.h"

struct register_node {
    void *context;
    /** Takes over @config; @out borrows until forget(). EXIT_OK, or what to exit with, having said why. */
    int (*describe)(void *context, struct config *config, struct directory_options *out);
    void (*forget)(void *context); /* after describe(), whatever it returned */
};

int register_main(int argc, char **argv, char **envp, const struct register_node *node);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate serve`: the gateway's life on the control thread. */
#ifndef TG_SERVE_H
#define TG_SERVE_H

#include "gateway/control/config.h"

/* How the configuration was given, for SIGHUP to read it again. */
struct serve_source {
    int argc;
    char **argv, **envp;
};

/**
 * Serve until SIGTERM or SIGINT, then drain. SIGHUP reloads. Takes over @config.
 * Returns the process's exit code: 0 drained, 1 could not start, 3 connections had to be cut, 4 gave up a device.
 */
int serve_main(struct config *config, const struct serve_source *source);

#endif

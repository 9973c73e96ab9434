/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `taskgate` beside serving. Each has main()'s arguments without the program's name: argv[0]
 * is the command's word. Results go to stdout, everything else to stderr; secrets go to neither, and come by
 * no flag.
 */
#ifndef TG_COMMAND_H
#define TG_COMMAND_H

#include <stdio.h>
#include "gateway/control/config.h"

/* docs/commands.md explains them. */
enum {
    EXIT_OK = 0,
    EXIT_FAILED = 1, /* done, and the answer is no */
    EXIT_USAGE = 2,
    EXIT_CONFIG = 78,
};

/* main.c, or a file here, has each of them. */
#define COMMAND(ident, name, arguments, summary) int command_##ident(int argc, char **argv, char **envp);
#include "commands.def"

#endif

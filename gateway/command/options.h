/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flags of a command, read by a table: --name=value, --name value, or --name alone for what is true or false.
 * What has a dot in its name, and --config, is the configuration's: those flags are kept for config_load().
 */
#ifndef TG_COMMAND_OPTIONS_H
#define TG_COMMAND_OPTIONS_H

#include "command.h"

enum option_kind { OPTION_TEXT, OPTION_NUMBER, OPTION_REAL, OPTION_BOOL };

struct option_row {
    const char *name;
    enum option_kind kind;
    size_t offset; /* of a const char *, uint32_t, double or bool in the command's struct */
    double least, most;
    const char *shown, *help; /* "--name SHOWN  help" */
};

#define OPTIONS_WORDS_MAX 2
#define OPTIONS_CONFIG_MAX 128

/* First in each command's struct. */
struct options {
    const char *words[OPTIONS_WORDS_MAX]; /* what is no flag */
    int word_count;
    char *config_argv[OPTIONS_CONFIG_MAX];
    int config_argc;
};

struct options_spec {
    const char *command, *arguments, *about;
    const struct option_row *rows;
    size_t row_count;
    int words_max;
    bool no_config; /* takes no configuration */
};

enum options_result { OPTIONS_GO, OPTIONS_HELPED, OPTIONS_WRONG };

/** Fill in @out, whose defaults are set. Help goes to stdout, complaints to stderr. */
enum options_result options_read(const struct options_spec *spec, int argc, char **argv, struct options *out);

/** The configuration that the flags, the environment and the file ask for. 0, or EXIT_CONFIG having said why.
 */
int options_config(const struct options *o, char **envp, struct config *config);

#endif

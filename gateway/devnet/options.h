/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `taskgate devnet`: options.def as a struct. */
#ifndef TG_DEVNET_OPTIONS_H
#define TG_DEVNET_OPTIONS_H

#include "tg/def.h"

#define OPTION_TYPE_TEXT const char *
#define OPTION_TYPE_NUMBER uint32_t
#define OPTION_TYPE_BOOL bool

struct devnet_options {
#define OPTION(ident, name, type, fallback, least, most, help) OPTION_TYPE_##type ident;
#include "options.def"
#undef OPTION
    bool help;
};

/** Texts stay in @argv. False: the reason is on stderr. */
bool devnet_options_read(struct devnet_options *o, int argc, char **argv);
void devnet_options_help(void);

#endif

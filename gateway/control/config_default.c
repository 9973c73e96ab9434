/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a gateway that was given none: every key at its default, and runners to try out. */
#include "config.h"

const char config_default_toml[] = "[runner.echo]\n"
                                   "type = \"echo\"\n"
                                   "\n"
                                   "[runner.noop]\n"
                                   "type = \"noop\"\n"
                                   "\n"
                                   "[runner.digits]\n"
                                   "type = \"knn\"\n"
                                   "data = \"builtin:digits\"\n";

/* SPDX-License-Identifier: Apache-2.0 */
/* What commands print of other people's text: nothing in it can steer a terminal. */
#ifndef TG_COMMAND_SHOW_H
#define TG_COMMAND_SHOW_H

#include <stdio.h>
#include "tg/json.h"

/** As it stands, but '?' for control characters (C1 too). */
void show_text(FILE *out, struct tg_str text);
/** A string node without its escapes, or any other value as it stands; at most @cap - 1 bytes, terminated. */
void show_copy(const struct tg_json_doc *doc, const struct tg_json_node *n, char *out, size_t cap);

/** A value over several lines, two blanks a level; short lists of scalars on one. No newline at its end. */
void show_json(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n);
/** The same on one line. */
void show_json_line(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n);

#endif

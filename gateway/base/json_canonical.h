/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A parsed value as the one text that everybody who means the same value writes: for hashes and signatures
 * over JSON. There are two such texts. They differ beyond ASCII, in the order of a few rare keys and in the
 * look of some numbers:
 *
 *                          JSON_CANONICAL_PYTHON                       JSON_CANONICAL_JCS (RFC 8785)
 *   is what is written by  json.dumps(v, sort_keys=True,               an ECMAScript engine
 *                            separators=(",", ":"))
 *   order of keys          by code point                               by UTF-16 unit
 *   beyond ASCII, DEL      \u00e9, \ud83d\ude00, \u007f                as it stands, in UTF-8
 *   1.0  1e16  1e-5  -0.0  1.0  1e+16  1e-05  -0.0                     1  10000000000000000  0.00001  0
 *   integers               every digit                                 as the nearest double
 *
 * Of a key that comes twice the last one counts, as it does for both. Pure; thread: any.
 */
#ifndef TG_JSON_CANONICAL_H
#define TG_JSON_CANONICAL_H

#include "tg/json.h"

enum json_canonical_form { JSON_CANONICAL_PYTHON, JSON_CANONICAL_JCS };

/* Takes the text piece by piece, some hundred bytes each. False ends it. */
typedef bool json_canonical_sink(void *context, struct tg_str piece);

/* Where members are put into order. */
struct json_canonical_room {
    uint32_t *members; /* the caller's; JSON_CANONICAL_ROOM(nodes of the tape) always suffice */
    uint32_t capacity;
};
#define JSON_CANONICAL_ROOM(nodes) ((nodes) / 2 + 1)

/**
 * Give @value's canonical text to @sink. Sorting takes n log n steps whatever the keys are.
 * Returns 0; -ENOSPC if there are more members on the way from the top to some value than room; -ECANCELED if
 * the sink said false.
 */
int json_canonical(const struct tg_json_doc *doc, const struct tg_json_node *value,
                   enum json_canonical_form form, struct json_canonical_room room, json_canonical_sink *sink,
                   void *context);

/** The same, appended to @w as it stands; -ENOSPC also if that overflows. */
int json_canonical_write(const struct tg_json_doc *doc, const struct tg_json_node *value,
                         enum json_canonical_form form, struct json_canonical_room room,
                         struct tg_json_writer *w);

#endif

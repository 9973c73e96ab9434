/* SPDX-License-Identifier: Apache-2.0 */
/* Small texts of the wire: query parameters, times, members of JSON. Pure. */
#ifndef TG_DEVNET_TEXT_H
#define TG_DEVNET_TEXT_H

#include <time.h>

#include "tg/json.h"

#define TEXT_TIME_BYTES 21 /* "2026-01-02T03:04:05Z" and NUL */

static inline struct tg_str text_of(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

/** "+" and "%2F" decoded. False, and @out empty: absent, malformed, with a NUL, or longer than @cap - 1. */
bool text_parameter(struct tg_str query, const char *key, char *out, size_t cap);

/** RFC 3339, UTC, whole seconds. */
void text_time_write(char out[TEXT_TIME_BYTES], time_t when);
/** RFC 3339 with any offset; fractions are dropped. */
bool text_time_read(struct tg_str text, time_t *out);

/** A string, unescaped and with a NUL. False, and @out empty: NULL, no string, too long, or with a NUL. */
bool text_value(const struct tg_json_doc *doc, const struct tg_json_node *value, char *out, size_t cap);
bool text_member(const struct tg_json_doc *doc, const struct tg_json_node *object, const char *key, char *out,
                 size_t cap);

/** Standard base64, padded or not, as the URL's alphabet without padding. False: more than @cap characters.
 */
bool text_base64url(struct tg_str text, char *out, size_t cap, size_t *len);

#endif

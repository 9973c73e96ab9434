/* SPDX-License-Identifier: Apache-2.0 */
/* base64url without padding (RFC 4648 section 5). Pure. */
#ifndef TG_BASE64_H
#define TG_BASE64_H

#include "tg/def.h"

/* Characters for @n bytes, and the most bytes that @n characters can hold. */
#define BASE64_CHARS(n) (((n) * 4 + 2) / 3)
#define BASE64_BYTES(n) ((n) / 4 * 3 + (n) % 4 * 3 / 4)

/** Writes BASE64_CHARS(n) characters, not terminated, and returns how many. */
size_t base64_write(char *out, const void *bytes, size_t n);

/**
 * Strict: no padding, no white space, no stray bits at the end.
 * Returns the number of bytes, -EINVAL for malformed text, -ENOSPC if @cap is too small. May decode in place.
 */
int64_t base64_read(void *out, size_t cap, struct tg_str text);

#endif

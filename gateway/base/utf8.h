/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629), one sequence at a time. */
#ifndef TG_UTF8_H
#define TG_UTF8_H

#include <string.h>
#include "tg/def.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the first byte must be the low one");

/* Up to four bytes at p, the first lowest, zeros from `end` on. */
static inline uint32_t tg_utf8_load(const char *p, const char *end)
{
    uint32_t word = 0;
    if (TG_LIKELY(end - p >= 4))
        memcpy(&word, p, 4);
    else
        for (int i = 0; i < end - p; i++)
            word |= (uint32_t)(unsigned char)p[i] << (8 * i);
    return word;
}

/*
 * Bytes of the well-formed multi-byte sequence that starts at p < end, or 0. Each form is recognised by its
 * marker bits; the second mask holds the payload bits which tell overlong forms, surrogates (D800-DFFF) and
 * values past 10FFFF.
 */
static inline unsigned tg_utf8_sequence(const char *p, const char *end)
{
    uint32_t word = tg_utf8_load(p, end);
    if ((word & 0x00c0c0f0) == 0x008080e0) {
        uint32_t high = word & 0x0000200f; /* top five of the 16 bits */
        return high != 0 && high != 0x200d ? 3 : 0;
    }
    if ((word & 0x0000c0e0) == 0x000080c0)
        return (word & 0x1e) != 0 ? 2 : 0;
    if ((word & 0xc0c0c0f8) == 0x808080f0) {
        uint32_t high = word & 0x00003007; /* top five of the 21 bits */
        return high != 0 && ((high & 4) == 0 || high == 4) ? 4 : 0;
    }
    return 0;
}

/* Encode a code point that is no surrogate; returns the bytes written, at most four. */
static inline unsigned tg_utf8_encode(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    unsigned bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (unsigned i = bytes - 1; i > 0; i--, code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)((0xf00u >> bytes & 0xf0) | code);
    return bytes;
}

#endif

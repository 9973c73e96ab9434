/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte-level scanning that parser, readers and writer share. Inline, because each call handles a few bytes
 * only. Nothing here reads at or past `end`.
 */
#ifndef TG_JSON_LEX_H
#define TG_JSON_LEX_H

#include <string.h>
#include "tg/def.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool tg_json_is_digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Byte at p, or NUL at the end: NUL is never JSON, so callers need no second test. */
static inline char tg_json_peek(const char *p, const char *end)
{
    return TG_LIKELY(p < end) ? *p : '\0';
}

/* Bytes that a string may hold as they are: ASCII, no control character, no quote, no backslash. */
static inline bool tg_json_is_plain(char c)
{
    return (signed char)c >= 0x20 && c != '"' && c != '\\';
}

static inline const char *tg_json_skip_plain_bytewise(const char *p, const char *end)
{
    while (p < end && tg_json_is_plain(*p))
        p++;
    return p;
}

#ifdef __SSE2__
/*
 * One bit for each of 16 bytes that is plain. With bit 1 turned over, the quote is where space was, right above
 * the control characters; compared as signed, non-ASCII lies below all of them.
 */
static inline __attribute__((always_inline)) unsigned tg_json_plain_mask(const char *p)
{
    __m128i v = _mm_xor_si128(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi8(2));
    __m128i above = _mm_cmpgt_epi8(v, _mm_set1_epi8('"' ^ 2));
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\' ^ 2));
    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(slash, above));
}

/* First byte at or after p that is not plain, or end. */
static inline const char *tg_json_skip_plain(const char *p, const char *end)
{
    for (; TG_LIKELY(end - p >= 16); p += 16) {
        unsigned mask = tg_json_plain_mask(p) ^ 0xffff;
        if (TG_LIKELY(mask != 0))
            return p + __builtin_ctz(mask);
    }
    return tg_json_skip_plain_bytewise(p, end);
}
#else
static inline const char *tg_json_skip_plain(const char *p, const char *end)
{
    return tg_json_skip_plain_bytewise(p, end);
}
#endif

/* One bit for each of 64 bytes that is not plain. */
static inline __attribute__((always_inline)) uint64_t tg_json_stops_64(const char *p)
{
    uint64_t plain = 0;
#ifdef __SSE2__
    for (unsigned i = 0; i < 64; i += 16)
        plain |= (uint64_t)tg_json_plain_mask(p + i) << i;
#else
    for (unsigned i = 0; i < 64; i++)
        plain |= (uint64_t)tg_json_is_plain(p[i]) << i;
#endif
    return ~plain;
}

/* The same where the text may end before: what is behind it stops too. */
static inline uint64_t tg_json_stops_tail(const char *p, const char *end)
{
    char copy[64] = {0};
    memcpy(copy, p, TG_MIN((size_t)(end - p), sizeof(copy)));
    return tg_json_stops_64(copy);
}

/* Value of four hexadecimal digits at p, or -1. */
static inline int32_t tg_json_hex4(const char *p, const char *end)
{
    uint32_t value = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char letter = (char)(p[i] | 0x20);
        bool is_letter = letter >= 'a' && letter <= 'f';
        if (!is_letter && !tg_json_is_digit(p[i]))
            return -1;
        value = value << 4 | (uint32_t)(is_letter ? letter - 'a' + 10 : p[i] - '0');
    }
    return (int32_t)value;
}

static inline bool tg_json_is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static inline bool tg_json_is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/*
 * Decode the escape at p, which points to its backslash. Returns the bytes it takes (2, 6 or 12) and sets
 * *code, or 0 if it is malformed: unknown letter, bad digits, half of a surrogate pair.
 */
static inline unsigned tg_json_escape(const char *p, const char *end, uint32_t *code)
{
    static const char meaning[256] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                      ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    char letter = tg_json_peek(p + 1, end);
    if (TG_LIKELY(letter != 'u')) {
        *code = (unsigned char)meaning[(unsigned char)letter];
        return *code ? 2 : 0;
    }
    int32_t unit = tg_json_hex4(p + 2, end);
    *code = (uint32_t)unit;
    if (unit < 0 || tg_json_is_low_surrogate(unit))
        return 0;
    if (!tg_json_is_high_surrogate(unit))
        return 6;
    int32_t low = end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? tg_json_hex4(p + 8, end) : -1;
    *code = 0x10000u + (((uint32_t)unit & 0x3ff) << 10 | ((uint32_t)low & 0x3ff));
    return tg_json_is_low_surrogate(low) ? 12 : 0;
}

#endif

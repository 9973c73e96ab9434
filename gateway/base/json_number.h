/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The number of RFC 8259, grammar and value in one pass. Short numbers without exponent, nearly all there
 * are, are read here: digits are taken sixteen at a time, so that a number's length costs no unpredictable
 * branch, and the value is computed beside, not on the way to the next byte. All others, and all errors, go
 * out of line.
 */
#ifndef TG_JSON_NUMBER_H
#define TG_JSON_NUMBER_H

#include <string.h>
#include "tg/json.h"
#include "json_lex.h"
#include "number.h"

/* What a number's text amounts to. */
struct tg_json_number {
    const char *end;   /* first byte behind it; of a malformed number, the byte that does not belong */
    const char *error; /* static message, NULL if well-formed and in range */
    uint32_t type;     /* TG_JSON_INT, TG_JSON_UINT or TG_JSON_REAL */
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
    };
};

/* Any number, byte by byte. */
struct tg_json_number tg_json_number_read_any(const char *p, const char *end);

/* Sign, two runs of digits, a point and the byte behind. */
#define TG_JSON_NUMBER_WINDOW 40

/* Any count of digits up to here fits 64 bits. */
#define TG_JSON_DIGITS_SAFE 19

static inline uint64_t tg_json_load_eight(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/*
 * How many of the eight bytes, from the lowest, are digits. Adding 0x46 takes a byte from ':' up past 0x7f,
 * subtracting 0x30 one below '0' or from 0xb0 up; carries only spoil bytes behind the first that is no digit.
 */
static inline unsigned tg_json_leading_digits(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t other = ((word + 0x46 * ones) | (word - 0x30 * ones)) & 0x80 * ones;
    return other ? (unsigned)__builtin_ctzll(other) >> 3 : 8;
}

/* Value of the first n digits: shifted up, the missing ones in front count 0. Then pairs, fours, eight. */
static inline uint64_t tg_json_eight_digits(uint64_t word, unsigned n)
{
    word = word << (4 * (8 - n)) << (4 * (8 - n)); /* in two steps, as n may be 0 */
    word = (word & UINT64_C(0x0f0f0f0f0f0f0f0f)) * (10 * 256 + 1) >> 8;
    word = (word & UINT64_C(0x00ff00ff00ff00ff)) * (100 * 65536 + 1) >> 16;
    return (word & UINT64_C(0x0000ffff0000ffff)) * (UINT64_C(10000) << 32 | 1) >> 32;
}

/* Append up to 16 digits at p, which has as many bytes, to *value; returns how many there were. */
static inline unsigned tg_json_digit_run(const char *p, uint64_t *value)
{
    static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    uint64_t first = tg_json_load_eight(p), second = tg_json_load_eight(p + 8);
    unsigned n = tg_json_leading_digits(first), m = tg_json_leading_digits(second);
    m = n == 8 ? m : 0;
    *value = *value * power[n] + tg_json_eight_digits(first, n);
    if (m)
        *value = *value * power[m] + tg_json_eight_digits(second, m);
    return n + m;
}

/* A number in the making: what stands before and behind the point. */
struct tg_json_short {
    const char *end;
    uint64_t digits; /* both parts as one integer */
    unsigned whole, places;
    bool negative, point;
};

/* The parts as far as the window shows them. A leading zero stands alone, whatever follows. */
static inline struct tg_json_short tg_json_short_read(const char *p)
{
    struct tg_json_short n = {.negative = *p == '-', .whole = 1};
    p += n.negative;
    if (tg_json_is_digit(p[1]) && *p != '0')
        n.whole = tg_json_digit_run(p, &n.digits);
    else
        n.digits = (unsigned char)(*p - '0');
    p += n.whole;
    n.point = *p == '.';
    if (n.point)
        n.places = tg_json_digit_run(p + 1, &n.digits);
    n.end = p + n.point + n.places;
    return n;
}

/* False if it may be malformed, is longer than the window, has an exponent or is minus zero. */
static inline bool tg_json_short_is_whole_story(const struct tg_json_short *n, const char *start)
{
    char behind = *n->end;
    return tg_json_is_digit(start[n->negative]) && !tg_json_is_digit(behind) && (behind | 0x20) != 'e' &&
           (n->point ? n->places != 0 : n->digits != 0 || !n->negative) &&
           n->whole + n->places <= TG_JSON_DIGITS_SAFE;
}

/* Read the number that starts at p < end with '-' or a digit. */
static inline struct tg_json_number tg_json_number_read(const char *p, const char *end)
{
    if (TG_UNLIKELY(end - p < TG_JSON_NUMBER_WINDOW))
        return tg_json_number_read_any(p, end);
    struct tg_json_short n = tg_json_short_read(p);
    if (TG_UNLIKELY(!tg_json_short_is_whole_story(&n, p)))
        return tg_json_number_read_any(p, end);
    if (!n.point)
        return (struct tg_json_number){
            .end = n.end, .type = TG_JSON_INT, .u64 = n.negative ? -n.digits : n.digits};
    double v = tg_f64_from_places(n.digits, n.places);
    return (struct tg_json_number){.end = n.end, .type = TG_JSON_REAL, .f64 = n.negative ? -v : v};
}

#endif

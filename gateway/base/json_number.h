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

/* Bytes that are looked at whatever is in them: sign, digits, a point and the byte behind, mostly with room.
 */
#define TG_JSON_NUMBER_WINDOW 18

/* Any count of digits up to here fits 64 bits. */
#define TG_JSON_DIGITS_SAFE 19

static inline uint64_t tg_json_load_eight(const char *p)
{
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

/* Value of the first n digits: shifted up, the missing ones in front count 0. Then pairs, fours, eight. */
static inline uint64_t tg_json_eight_digits(uint64_t word, unsigned n)
{
    word = word << (4 * (8 - n)) << (4 * (8 - n)); /* in two steps, as n may be 0 */
    word = (word & UINT64_C(0x0f0f0f0f0f0f0f0f)) * (10 * 256 + 1) >> 8;
    word = (word & UINT64_C(0x00ff00ff00ff00ff)) * (100 * 65536 + 1) >> 16;
    return (word & UINT64_C(0x0000ffff0000ffff)) * (UINT64_C(10000) << 32 | 1) >> 32;
}

/* Value of the first n <= 16 digits at p, times ten to the n appended to @value. */
static inline __attribute__((always_inline)) uint64_t tg_json_append_digits(uint64_t value, const char *p,
                                                                            unsigned n)
{
    static const uint64_t power[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
    unsigned first = TG_MIN(n, 8u), second = n - first;
    value = value * power[first] + tg_json_eight_digits(tg_json_load_eight(p), first);
    return value * power[second] + tg_json_eight_digits(tg_json_load_eight(p + 8), second);
}

/* One bit for each of sixteen bytes that is no digit. */
static inline __attribute__((always_inline)) uint32_t tg_json_other_than_digits(const char *p)
{
#ifdef __SSE2__
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i shifted =
        _mm_add_epi8(v, _mm_set1_epi8((char)(0x80 - '0'))); /* digits become the lowest, signed */
    return (uint32_t)_mm_movemask_epi8(_mm_cmplt_epi8(shifted, _mm_set1_epi8((char)(0x80 + 10)))) ^ 0xffff;
#else
    uint32_t others = 0;
    for (unsigned i = 0; i < 16; i++)
        others |= (uint32_t)!tg_json_is_digit(p[i]) << i;
    return others;
#endif
}

/* Numbers that the reader below leaves: longer ones, others near an end of the text, and any with an
 * exponent. */
struct tg_json_number tg_json_number_read_rest(const char *p, const char *end);

#ifdef __SSE2__
/* The value of sixteen digits: pairs, fours, eights, all of them at a time. */
static inline __attribute__((always_inline)) uint64_t tg_json_sixteen_digits(__m128i digits)
{
    __m128i tens = _mm_mullo_epi16(_mm_and_si128(digits, _mm_set1_epi16(0xff)), _mm_set1_epi16(10));
    __m128i pairs = _mm_add_epi16(tens, _mm_srli_epi16(digits, 8));
    __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(1 << 16 | 100));
    __m128i eights = _mm_madd_epi16(_mm_packs_epi32(fours, fours), _mm_set1_epi32(1 << 16 | 10000));
    uint64_t halves = (uint64_t)_mm_cvtsi128_si64(eights);
    return (halves & UINT32_MAX) * 100000000 + (halves >> 32);
}

/*
 * The digits of a number that ends at @end, with @places of @total <= 16 behind the point, as one integer.
 * Taken from one byte further up, those before the point close up to those behind. Reads 17 bytes before the
 * end.
 */
static inline __attribute__((always_inline)) uint64_t
tg_json_digits_around_point(const char *end, unsigned places, unsigned total)
{
    static const char last[32] = {[16 ... 31] = -1};
    __m128i behind = _mm_loadu_si128((const __m128i *)(const void *)(end - 16));
    __m128i before = _mm_loadu_si128((const __m128i *)(const void *)(end - 17));
    __m128i is_behind = _mm_loadu_si128((const __m128i *)(const void *)(last + places));
    __m128i is_digit = _mm_loadu_si128((const __m128i *)(const void *)(last + total));
    __m128i text = _mm_or_si128(_mm_and_si128(is_behind, behind), _mm_andnot_si128(is_behind, before));
    return tg_json_sixteen_digits(_mm_and_si128(_mm_sub_epi8(text, _mm_set1_epi8('0')), is_digit));
}
#else
static inline uint64_t tg_json_digits_around_point(const char *end, unsigned places, unsigned total)
{
    uint64_t value = 0;
    for (const char *p = end - total - 1; p < end; p++)
        if (p != end - places - 1)
            value = value * 10 + (uint64_t)(*p - '0');
    return value;
}
#endif

/* Bytes before a number's end that are looked at. */
#define TG_JSON_NUMBER_BEFORE 17

/*
 * A number whose point is at p[point], and whose end is the first of @others, if it is any; false if it may
 * be malformed or is none of the usual ones.
 */
static inline __attribute__((always_inline)) bool tg_json_real_read(struct tg_json_number *number,
                                                                    const char *text, const char *p,
                                                                    unsigned point, uint32_t others)
{
    if (TG_UNLIKELY(others == 0 || p - text < TG_JSON_NUMBER_BEFORE))
        return false;
    unsigned sign = *p == '-', end = (unsigned)__builtin_ctz(others);
    unsigned places = end - point - 1, total = end - sign - 1;
    bool odd = point == sign || (p[sign] == '0' && point - sign > 1);
    if (TG_UNLIKELY(odd || places == 0 || (p[end] | 0x20) == 'e'))
        return false;
    number->end = p + end;
    number->type = TG_JSON_REAL;
    number->f64 = tg_f64_from_places(tg_json_digits_around_point(p + end, places, total), places);
    number->u64 |= (uint64_t)sign << 63;
    return true;
}

/* The same for one whose digits end at p[end], without a point; at 16 they may go on. */
static inline __attribute__((always_inline)) bool tg_json_integer_read(struct tg_json_number *number,
                                                                       const char *p, unsigned end)
{
    unsigned sign = *p == '-', count = end - sign;
    bool odd = p[sign] == '0' && (count > 1 || sign);
    if (TG_UNLIKELY(odd || end == 16 || count == 0 || (p[end] | 0x20) == 'e'))
        return false;
    p += sign;
    uint64_t value =
        count <= 8 ? tg_json_eight_digits(tg_json_load_eight(p), count) : tg_json_append_digits(0, p, count);
    *number = (struct tg_json_number){.end = p + count, .type = TG_JSON_INT, .u64 = sign ? -value : value};
    return true;
}

/* Read the number that starts at p < end with '-' or a digit, in a text that starts at @text. */
static inline __attribute__((always_inline)) struct tg_json_number
tg_json_number_read(const char *text, const char *p, const char *end)
{
    if (TG_UNLIKELY(end - p < TG_JSON_NUMBER_WINDOW))
        return tg_json_number_read_rest(p, end);
    struct tg_json_number number = {.error = NULL};
    uint32_t others = tg_json_other_than_digits(p) & ~1u; /* the first is a digit, or the sign */
    unsigned stop = (unsigned)__builtin_ctz(others | 1u << 16);
    bool read = p[stop] == '.' ? tg_json_real_read(&number, text, p, stop, others & (others - 1))
                               : tg_json_integer_read(&number, p, stop);
    return TG_LIKELY(read) ? number : tg_json_number_read_rest(p, end);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of any length and form: the whole grammar, and which of the three kinds a text is. */
#include "json_number.h"

/* More than double's range whatever the digits are, as a text holds fewer than 2^28 of them. */
#define EXPONENT_LIMIT 1000000000

/* The parts of a number as they stand in the text. */
struct parts {
    const char *start; /* first digit */
    const char *end;   /* behind the last digit before the exponent */
    const char *point; /* NULL without fraction */
    uint64_t digits;   /* all digits as one integer, modulo 2^64 */
    int64_t exponent;  /* as written */
    bool has_exponent;
    bool negative;
};

/* Append the run of digits at p to *value. */
static const char *read_digits(const char *p, const char *end, uint64_t *value)
{
    for (; tg_json_is_digit(tg_json_peek(p, end)); p++)
        *value = *value * 10 + (uint64_t)(*p - '0');
    return p;
}

/* [+-]digits behind the e. Returns NULL if there is no digit, with *at on the byte that should be one. */
static const char *read_exponent(const char *p, const char *end, int64_t *exponent, const char **at)
{
    char sign = tg_json_peek(p, end);
    p += sign == '-' || sign == '+';
    *at = p;
    int64_t value = 0;
    for (; tg_json_is_digit(tg_json_peek(p, end)); p++)
        value = TG_MIN(value * 10 + (*p - '0'), EXPONENT_LIMIT);
    *exponent = sign == '-' ? -value : value;
    return p == *at ? NULL : p;
}

static struct tg_json_number malformed(const char *at, const char *message)
{
    return (struct tg_json_number){.end = at, .error = message};
}

/* Only digits, too many for 64 bits to hold whatever they are. True if the value fits after all. */
static bool fits_u64(const struct parts *n, uint64_t *value)
{
    uint64_t sum = 0;
    for (const char *p = n->start; p < n->end; p++) {
        if (__builtin_mul_overflow(sum, 10u, &sum) || __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum))
            return false;
    }
    *value = sum;
    return true;
}

static double magnitude(const struct parts *n, size_t digit_count)
{
    int64_t exp10 = n->exponent - (n->point ? n->end - n->point - 1 : 0);
    if (TG_LIKELY(digit_count <= TG_JSON_DIGITS_SAFE))
        return tg_f64_from_decimal(n->digits, exp10);
    return tg_f64_from_digits(n->start, (size_t)(n->end - n->start), exp10);
}

static struct tg_json_number real(const struct parts *n, const char *end, size_t digit_count)
{
    double v = magnitude(n, digit_count);
    if (TG_UNLIKELY(v > 1.7976931348623157e308))
        return malformed(n->start - n->negative, "number out of range");
    return (struct tg_json_number){.end = end, .type = TG_JSON_REAL, .f64 = n->negative ? -v : v};
}

/* Minus zero is real: no integer can say it. */
static struct tg_json_number integer(const struct parts *n)
{
    size_t count = (size_t)(n->end - n->start);
    uint64_t v = n->digits;
    bool fits = count <= TG_JSON_DIGITS_SAFE || fits_u64(n, &v);
    if (!fits || (n->negative && (v == 0 || v > (uint64_t)INT64_MAX + 1)))
        return real(n, n->end, count);
    if (v > INT64_MAX && !n->negative)
        return (struct tg_json_number){.end = n->end, .type = TG_JSON_UINT, .u64 = v};
    return (struct tg_json_number){.end = n->end, .type = TG_JSON_INT, .u64 = n->negative ? -v : v};
}

/* Any number, byte by byte. */
static struct tg_json_number read_any(const char *p, const char *end)
{
    struct parts n = {.negative = *p == '-'};
    n.start = p += n.negative;
    n.end = p = read_digits(p, end, &n.digits);
    if (TG_UNLIKELY(p == n.start))
        return malformed(p, "expected a digit");
    if (TG_UNLIKELY(*n.start == '0' && p - n.start > 1))
        return malformed(n.start + 1, "digit after a leading zero");
    char c = tg_json_peek(p, end);
    if (c == '.') {
        n.point = p;
        n.end = p = read_digits(p + 1, end, &n.digits);
        if (TG_UNLIKELY(p == n.point + 1))
            return malformed(p, "expected a digit after the decimal point");
        c = tg_json_peek(p, end);
    }
    if (TG_UNLIKELY((c | 0x20) == 'e')) {
        const char *at;
        p = read_exponent(p + 1, end, &n.exponent, &at);
        if (!p)
            return malformed(at, "expected a digit in the exponent");
        n.has_exponent = true;
    }
    size_t digit_count = (size_t)(n.end - n.start) - (n.point != NULL);
    return n.point || n.has_exponent ? real(&n, p, digit_count) : integer(&n);
}

#define LONG_WINDOW 32

/* Doubles are often written with seventeen digits, a few more than the inline reader takes. */
static bool read_long(struct tg_json_number *number, const char *p)
{
    unsigned sign = *p == '-';
    uint32_t others = (tg_json_other_than_digits(p) | tg_json_other_than_digits(p + 16) << 16) & ~1u;
    unsigned point = (unsigned)__builtin_ctz(others | 1u << 31);
    unsigned end = (unsigned)__builtin_ctz((others & (others - 1)) | 1u << 31);
    unsigned whole = point - sign, places = end - point - 1;
    bool odd = p[point] != '.' || (p[sign] == '0' && whole > 1) || (p[end] | 0x20) == 'e';
    if (odd || whole - 1 >= 8 || places - 1 >= 16 || whole + places > TG_JSON_DIGITS_SAFE)
        return false;
    uint64_t value = tg_json_eight_digits(tg_json_load_eight(p + sign), whole);
    double v = tg_f64_from_places(tg_json_append_digits(value, p + point + 1, places), places);
    *number = (struct tg_json_number){.end = p + end, .type = TG_JSON_REAL, .f64 = sign ? -v : v};
    return true;
}

struct tg_json_number tg_json_number_read_rest(const char *p, const char *end)
{
    struct tg_json_number number;
    if (end - p >= LONG_WINDOW && read_long(&number, p))
        return number;
    return read_any(p, end);
}

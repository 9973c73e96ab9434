/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Binary to decimal. The shortest digits come from Raffaello Giulietti's Schubfach ("The Schubfach way to
 * render doubles", 2020): scale the value and its rounding interval by one power of ten so that at most four
 * integers are candidates, and choose by comparing with the interval's ends. Floats take the same path with
 * their own interval. The layout of the digits is ECMAScript's Number::toString.
 */
#include <string.h>
#include "number.h"
#include "pow10.h"

/* A finite binary value: significand * 2^exp2. */
struct binary {
    uint64_t significand;
    int exp2;
    bool negative;
    bool closer_below; /* a power of two: the neighbour below is only half as far */
};

struct decimal {
    uint64_t digits;
    int exp10;
};

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

static unsigned count_digits(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    unsigned guess = bits * 1233 >> 12; /* log10(2): right, or one too few */
    static const uint64_t power[] = {
        1,
        10,
        100,
        1000,
        10000,
        100000,
        1000000,
        10000000,
        100000000,
        1000000000,
        10000000000,
        100000000000,
        1000000000000,
        10000000000000,
        100000000000000,
        1000000000000000,
        10000000000000000,
        100000000000000000,
        1000000000000000000,
        10000000000000000000u,
    };
    return guess + (guess == 0 || v >= power[guess]);
}

/* Fill out[0..count) from the right. */
static void put_digits(uint64_t v, char *out, unsigned count)
{
    while (count >= 2) {
        count -= 2;
        memcpy(out + count, digit_pairs + v % 100 * 2, 2);
        v /= 100;
    }
    if (count)
        out[0] = (char)('0' + v);
}

size_t tg_u64_print(uint64_t v, char *out)
{
    unsigned count = count_digits(v);
    put_digits(v, out, count);
    return count;
}

size_t tg_i64_print(int64_t v, char *out)
{
    if (v >= 0)
        return tg_u64_print((uint64_t)v, out);
    *out = '-';
    return 1 + tg_u64_print(-(uint64_t)v, out + 1);
}

/* Top 64 bits of power * factor, with the last bit set if anything was cut off: enough to compare exactly. */
static uint64_t multiply_to_odd(struct tg_pow10 power, uint64_t factor)
{
    tg_u128 low = (tg_u128)power.lo * factor;
    tg_u128 sum = (tg_u128)power.hi * factor + (uint64_t)(low >> 64);
    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* The method wants the power rounded up; the table has it cut. */
static struct tg_pow10 pow10_up(int e)
{
    struct tg_pow10 power = *tg_pow10(e);
    if (!tg_pow10_is_exact(e)) {
        power.lo++;
        power.hi += power.lo == 0;
    }
    return power;
}

/* The value and both ends of the interval that reads back to it, all times four and over 10^exp10. */
struct scaled {
    uint64_t lower, value, upper; /* ends are inside the interval */
    int exp10;
};

static struct scaled scale_interval(struct binary b)
{
    /* floor(log10(2^exp2)), or of 3/4 of that if the interval is lopsided */
    int exp10 = (int)(((int64_t)b.exp2 * 1262611 - (b.closer_below ? 524031 : 0)) >> 22);
    int shift = b.exp2 + tg_pow10_log2(-exp10) + 1;
    struct tg_pow10 power = pow10_up(-exp10);
    uint64_t four = b.significand * 4;
    uint64_t excluded = b.significand & 1; /* ties go to even, so an odd value does not own its ends */
    return (struct scaled){
        .lower = multiply_to_odd(power, (four - 2 + b.closer_below) << shift) + excluded,
        .value = multiply_to_odd(power, four << shift),
        .upper = multiply_to_odd(power, (four + 2) << shift) - excluded,
        .exp10 = exp10,
    };
}

/* The decimal in the interval with fewest digits; of several, the nearest to the value. */
static struct decimal shortest(struct binary b)
{
    struct scaled s = scale_interval(b);
    uint64_t whole = s.value / 4, tens = whole / 10;
    bool down_fits = s.lower <= 40 * tens, up_fits = 40 * tens + 40 <= s.upper;
    if (whole >= 10 && down_fits != up_fits)
        return (struct decimal){tens + up_fits, s.exp10 + 1};
    down_fits = s.lower <= 4 * whole;
    up_fits = 4 * whole + 4 <= s.upper;
    uint64_t middle = 4 * whole + 2;
    bool nearer_up = s.value > middle || (s.value == middle && (whole & 1));
    return (struct decimal){whole + (down_fits != up_fits ? up_fits : nearer_up), s.exp10};
}

/* Integers below 2^53 (2^24) are their own shortest digits once their zeros are gone. */
static bool as_integer(struct binary b, int significand_bits, struct decimal *out)
{
    if (b.exp2 > 0 || b.exp2 <= -significand_bits)
        return false;
    uint64_t mask = (UINT64_C(1) << -b.exp2) - 1;
    *out = (struct decimal){b.significand >> -b.exp2, 0};
    return (b.significand & mask) == 0;
}

static struct decimal without_zeros(struct decimal d)
{
    while (d.digits % 100 == 0 && d.digits != 0) {
        d.digits /= 100;
        d.exp10 += 2;
    }
    if (d.digits % 10 == 0 && d.digits != 0) {
        d.digits /= 10;
        d.exp10++;
    }
    return d;
}

/* d.ddde+x: one digit before the point, and no point if it is the only one. */
static size_t lay_out_exponent(char *out, unsigned count, int exponent)
{
    size_t len = 1;
    if (count > 1) {
        memmove(out + 2, out + 1, count - 1);
        out[1] = '.';
        len = count + 1;
    }
    out[len++] = 'e';
    return len + tg_i64_print(exponent, out + len);
}

/* @point digits stand before the decimal point; out[0..count) holds the digits. */
static size_t lay_out(char *out, unsigned count, int point)
{
    if (point > 21 || point < -5)
        return lay_out_exponent(out, count, point - 1);
    if (point >= (int)count) {
        memset(out + count, '0', (size_t)point - count);
        return (size_t)point;
    }
    if (point > 0) {
        memmove(out + point + 1, out + point, count - (unsigned)point);
        out[point] = '.';
        return count + 1;
    }
    size_t lead = 2 + (size_t)-point;
    memmove(out + lead, out, count);
    memcpy(out, "0.00000", lead);
    return lead + count;
}

static size_t print(struct binary b, int significand_bits, char *out)
{
    struct decimal d;
    size_t sign = b.negative;
    if (sign)
        out[0] = '-';
    if (!as_integer(b, significand_bits, &d))
        d = shortest(b);
    d = without_zeros(d);
    unsigned count = count_digits(d.digits);
    put_digits(d.digits, out + sign, count);
    return sign + lay_out(out + sign, count, (int)count + d.exp10);
}

/* Take apart a float format of which `bits` are stored significand and the exponent is biased by `bias`. */
static struct binary take_apart(uint64_t raw, int bits, int exponent_bits)
{
    uint64_t hidden = UINT64_C(1) << bits;
    uint64_t fraction = raw & (hidden - 1);
    int biased = (int)(raw >> bits) & ((1 << exponent_bits) - 1);
    int bias = (1 << (exponent_bits - 1)) - 1 + bits;
    return (struct binary){
        .significand = biased ? fraction | hidden : fraction,
        .exp2 = (biased ? biased : 1) - bias,
        .negative = raw >> (bits + exponent_bits) & 1,
        .closer_below = fraction == 0 && biased > 1,
    };
}

/* Zero has no shortest digits to look for. */
static size_t print_zero(bool negative, char *out)
{
    memcpy(out, "-0", 2);
    out[0] = negative ? '-' : '0';
    return 1 + negative;
}

size_t tg_f64_print(double v, char *out)
{
    uint64_t raw;
    memcpy(&raw, &v, sizeof(raw));
    struct binary b = take_apart(raw, 52, 11);
    return b.significand == 0 ? print_zero(b.negative, out) : print(b, 53, out);
}

size_t tg_f32_print(float v, char *out)
{
    uint32_t raw;
    memcpy(&raw, &v, sizeof(raw));
    struct binary b = take_apart(raw, 23, 8);
    return b.significand == 0 ? print_zero(b.negative, out) : print(b, 24, out);
}

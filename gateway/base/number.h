/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimal text to binary and back: correctly rounded one way, shortest the other. No locale, no allocation.
 * Expects the processor's default rounding (to nearest, ties to even).
 */
#ifndef TG_NUMBER_H
#define TG_NUMBER_H

#include <stddef.h>
#include "tg/def.h"

/* Room for any number printed here. */
#define TG_NUMBER_TEXT_MAX 32

/* Significant digits that can decide a rounding; the ones behind count only as "something follows". */
#define TG_NUMBER_DIGITS_MAX 768

/* The powers of ten that are doubles. */
#define TG_EXACT_POW10_LAST 22
extern const double tg_exact_pow10[TG_EXACT_POW10_LAST + 1];

/* tg_f64_from_decimal() where one floating-point operation cannot settle it. */
double tg_f64_from_decimal_wide(uint64_t digits, int64_t exp10);

/*
 * The double nearest to @digits * 10^@exp10; infinity if it is out of range. If both factors are doubles, one
 * operation rounds correctly (Clinger, PLDI 1990).
 */
static inline double tg_f64_from_decimal(uint64_t digits, int64_t exp10)
{
    bool exact = digits <= UINT64_C(1) << 53 && exp10 >= -TG_EXACT_POW10_LAST && exp10 <= TG_EXACT_POW10_LAST;
    if (TG_UNLIKELY(!exact))
        return tg_f64_from_decimal_wide(digits, exp10);
    double v = (double)(int64_t)digits;
    return exp10 < 0 ? v / tg_exact_pow10[-exp10] : v * tg_exact_pow10[exp10];
}

/* The same for digits with @places behind the point, at most TG_EXACT_POW10_LAST: most numbers are such. */
static inline double tg_f64_from_places(uint64_t digits, unsigned places)
{
    if (TG_UNLIKELY(digits > UINT64_C(1) << 53))
        return tg_f64_from_decimal_wide(digits, -(int64_t)places);
    return (double)(int64_t)digits / tg_exact_pow10[places];
}

/**
 * The same for any number of digits: @text[0..len) holds decimal digits and at most one '.', which is
 * skipped.
 * @exp10  power of ten that the last digit of @text counts
 */
TG_API double tg_f64_from_digits(const char *text, size_t len, int64_t exp10);

/*
 * Printing: each writes at most TG_NUMBER_TEXT_MAX bytes, not terminated, and returns how many. The digits
 * are the fewest that read back to the same value, laid out as ECMAScript does but without a plus in the
 * exponent (1e21, 1e-7, 0.001) and with minus zero's sign kept. Values must be finite.
 */
TG_API size_t tg_f64_print(double v, char *out);
TG_API size_t tg_f32_print(float v, char *out);
TG_API size_t tg_u64_print(uint64_t v, char *out);
TG_API size_t tg_i64_print(int64_t v, char *out);

#endif

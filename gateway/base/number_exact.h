/* SPDX-License-Identifier: Apache-2.0 */
/* The last word on a rounding that 128 bits could not decide. */
#ifndef TG_NUMBER_EXACT_H
#define TG_NUMBER_EXACT_H

#include <stddef.h>
#include <stdint.h>

/* A number as its significant digits, values 0-9 and the first of them not 0: digit[0..count) * 10^exp10. */
struct tg_digits {
    const uint8_t *digit;
    size_t count; /* 1 to TG_NUMBER_DIGITS_MAX + 1 */
    int64_t exp10;
};

/**
 * Correctly rounded bits of a positive double, by exact comparison with the halfway points around a guess.
 * @guess  bits of a double at most a few steps away (infinity allowed)
 * The caller has cut away what is far out of range: the number lies in [1e-343, 1e+310).
 */
uint64_t tg_number_exact(struct tg_digits d, uint64_t guess);

#endif

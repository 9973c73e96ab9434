/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Powers of ten as 128-bit significands with the binary exponent left out: both directions of number
 * conversion lean on this one table.
 */
#ifndef TG_POW10_H
#define TG_POW10_H

#include <stdint.h>

#define TG_POW10_LOWEST (-342)
#define TG_POW10_HIGHEST 324
/* 5^55 is the last power that fits in 128 bits; outside 0..55 an entry is low by less than one last bit. */
#define TG_POW10_EXACT_LAST 55

struct tg_pow10 {
    uint64_t hi, lo; /* bit 127 is set: 10^e lies in [hi:lo, hi:lo + 1) * 2^(floor(log2(10^e)) - 127) */
};

extern const struct tg_pow10 tg_pow10_table[TG_POW10_HIGHEST - TG_POW10_LOWEST + 1];

__extension__ typedef unsigned __int128 tg_u128;

static inline const struct tg_pow10 *tg_pow10(int e)
{
    return &tg_pow10_table[e - TG_POW10_LOWEST];
}

/* floor(log2(10^e)); the generator checks the constant for every row. */
static inline int tg_pow10_log2(int e)
{
    return (e * 1741647) >> 19;
}

static inline int tg_pow10_is_exact(int e)
{
    return e >= 0 && e <= TG_POW10_EXACT_LAST;
}

#endif

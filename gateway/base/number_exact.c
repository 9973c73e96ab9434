/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact comparison of a decimal number with the halfway point between two doubles, in plain big integers on
 * the stack. Rare: ties that are written with a fraction, and long numbers right beside a tie.
 */
#include <string.h>
#include "tg/def.h"
#include "number.h"
#include "number_exact.h"
#include "pow10.h"

/*
 * Largest operands: 769 digits times 2^1075 is 3,631 bits; 2^54 times 10^(769 + 343) is 3,749 bits;
 * 769 digits against 2^1024 need less. 64 words are 4,096 bits.
 */
#define BIG_WORDS 64

struct big {
    uint64_t word[BIG_WORDS]; /* least significant first */
    unsigned count;
};

/* b = b * factor + addend */
static void big_mul_add(struct big *b, uint64_t factor, uint64_t addend)
{
    uint64_t carry = addend;
    for (unsigned i = 0; i < b->count; i++) {
        tg_u128 t = (tg_u128)b->word[i] * factor + carry;
        b->word[i] = (uint64_t)t;
        carry = (uint64_t)(t >> 64);
    }
    if (carry) {
        TG_ASSERT(b->count < BIG_WORDS);
        b->word[b->count++] = carry;
    }
}

static void big_mul_pow10(struct big *b, int64_t exp10)
{
    for (; exp10 >= 19; exp10 -= 19)
        big_mul_add(b, 10000000000000000000u, 0);
    for (; exp10 > 0; exp10--)
        big_mul_add(b, 10, 0);
}

static void big_shift_left(struct big *b, int bits)
{
    for (; bits >= 63; bits -= 63)
        big_mul_add(b, UINT64_C(1) << 63, 0);
    big_mul_add(b, UINT64_C(1) << bits, 0);
}

static int big_compare(const struct big *a, const struct big *b)
{
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    for (unsigned i = a->count; i-- > 0;) {
        if (a->word[i] != b->word[i])
            return a->word[i] < b->word[i] ? -1 : 1;
    }
    return 0;
}

static void big_from_digits(struct big *b, struct tg_digits d)
{
    b->count = 0;
    for (size_t i = 0; i < d.count; i++)
        big_mul_add(b, 10, d.digit[i]);
}

/* The point halfway between the double of these bits and the next: an odd integer times 2^*exp2. */
static uint64_t halfway_above(uint64_t bits, int *exp2)
{
    int biased = (int)(bits >> 52);
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    uint64_t significand = biased ? fraction | UINT64_C(1) << 52 : fraction;
    *exp2 = (biased ? biased : 1) - 1075 - 1;
    return 2 * significand + 1;
}

/* Sign of (d - halfway point above bits), both sides scaled to integers. */
static int compare_with_halfway(struct tg_digits d, uint64_t bits)
{
    struct big number, half = {.count = 1};
    int exp2;
    half.word[0] = halfway_above(bits, &exp2);
    big_from_digits(&number, d);
    big_mul_pow10(d.exp10 < 0 ? &half : &number, d.exp10 < 0 ? -d.exp10 : d.exp10);
    big_shift_left(exp2 < 0 ? &number : &half, exp2 < 0 ? -exp2 : exp2);
    return big_compare(&number, &half);
}

uint64_t tg_number_exact(struct tg_digits d, uint64_t guess)
{
    const uint64_t infinity = UINT64_C(0x7ff) << 52;
    for (; guess < infinity; guess++) {
        int order = compare_with_halfway(d, guess);
        if (order < 0 || (order == 0 && (guess & 1) == 0))
            break;
    }
    for (; guess > 0; guess--) {
        int order = compare_with_halfway(d, guess - 1);
        if (order > 0 || (order == 0 && (guess & 1) == 0))
            break;
    }
    return guess;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decimal to double, correctly rounded. Three steps, each for what the one before cannot decide: one
 * floating-point operation (number.h), one or two 64x64-bit products with an error bound (Lemire, "Number
 * parsing at a gigabyte per second", 2021), exact integers (number_exact.c).
 */
#include <string.h>
#include "number.h"
#include "number_exact.h"
#include "pow10.h"

/* Both bounds follow from 1 <= digits < 2^64 and double's range, 2^-1075 to 2^1024. */
#define EXP10_ALWAYS_ZERO (-343)
#define EXP10_ALWAYS_INFINITE 309

const double tg_exact_pow10[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A truncated product: the true one is hi:lo plus something, and lies in the same step if `sure`. */
struct product {
    uint64_t hi, lo;
    bool more; /* true product is strictly above hi:lo */
    bool sure; /* what is above cannot change any bit that rounding looks at, save the sticky one */
};

static double double_from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

/* Rounding keeps at most 55 of the high word's bits; a carry into them must cross these nine. */
static bool carry_may_pass(uint64_t hi)
{
    return (hi & 0x1ff) == 0x1ff;
}

/* Second step: the low half of the power as well, after which only the table's own last bit is missing. */
static struct product multiply_wide(uint64_t m, const struct tg_pow10 *power, bool exact)
{
    tg_u128 low = (tg_u128)m * power->lo;
    tg_u128 sum = (tg_u128)m * power->hi + (uint64_t)(low >> 64);
    struct product p = {.hi = (uint64_t)(sum >> 64), .lo = (uint64_t)sum};
    uint64_t tail = (uint64_t)low;
    p.more = !exact || tail != 0;
    p.sure = exact || !carry_may_pass(p.hi) || p.lo != UINT64_MAX || tail + m >= m;
    return p;
}

static inline struct product multiply(uint64_t m, int exp10)
{
    const struct tg_pow10 *power = tg_pow10(exp10);
    bool exact = tg_pow10_is_exact(exp10);
    tg_u128 high = (tg_u128)m * power->hi;
    struct product p = {.hi = (uint64_t)(high >> 64), .lo = (uint64_t)high, .sure = true};
    p.more = !exact || power->lo != 0;
    if (TG_UNLIKELY(p.more && carry_may_pass(p.hi) && p.lo + m < m))
        return multiply_wide(m, power, exact);
    return p;
}

/*
 * Round the product to the bits of a double; exp2 is the weight of bit 63 of p.hi. One bit more than the
 * significand is kept first, then ties go to even. A carry out of the significand steps the exponent by
 * itself.
 */
static uint64_t round_product(struct product p, int exp2)
{
    int top = (int)(p.hi >> 63);
    int biased = exp2 - 1 + top + 1023;
    int shift = 9 + top + (biased > 0 ? 0 : 1 - biased);
    if (shift > 63)
        return 0;
    bool sticky = p.more || p.lo != 0 || (p.hi & ((UINT64_C(1) << shift) - 1)) != 0;
    uint64_t kept = p.hi >> shift;
    kept += (kept & 1) && (sticky || (kept & 2));
    uint64_t bits = (kept >> 1) + (biased > 0 ? (uint64_t)(biased - 1) << 52 : 0);
    return TG_MIN(bits, UINT64_C(0x7ff) << 52);
}

/* The bits, and whether they are beyond doubt. Wants digits > 0. */
static uint64_t scale(uint64_t digits, int64_t exp10, bool *sure)
{
    *sure = true;
    if (exp10 <= EXP10_ALWAYS_ZERO)
        return 0;
    if (exp10 >= EXP10_ALWAYS_INFINITE)
        return UINT64_C(0x7ff) << 52;
    int zeros = __builtin_clzll(digits);
    struct product p = multiply(digits << zeros, (int)exp10);
    *sure = p.sure;
    return round_product(p, tg_pow10_log2((int)exp10) + 64 - zeros);
}

/* Digits of an integer in a row, for the exact comparison. */
static double decide_exactly(uint64_t digits, int64_t exp10, uint64_t guess)
{
    uint8_t row[20];
    size_t count = sizeof(row);
    for (; digits > 0; digits /= 10)
        row[--count] = (uint8_t)(digits % 10);
    struct tg_digits d = {row + count, sizeof(row) - count, exp10};
    return double_from_bits(tg_number_exact(d, guess));
}

double tg_f64_from_decimal_wide(uint64_t digits, int64_t exp10)
{
    if (digits == 0)
        return 0;
    bool sure;
    uint64_t bits = scale(digits, exp10, &sure);
    return TG_LIKELY(sure) ? double_from_bits(bits) : decide_exactly(digits, exp10, bits);
}

/* What tg_f64_from_digits() gathers in one pass over the text. */
struct gathered {
    uint8_t digit[TG_NUMBER_DIGITS_MAX + 1];
    size_t count;    /* digits kept */
    uint64_t behind; /* digits passed over behind them */
    bool nonzero;    /* one of those was not 0 */
};

static void gather(struct gathered *g, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint8_t value = (uint8_t)(text[i] - '0');
        if (text[i] == '.' || (value == 0 && g->count == 0))
            continue;
        if (g->count < TG_NUMBER_DIGITS_MAX) {
            g->digit[g->count++] = value;
        } else {
            g->behind++;
            g->nonzero |= value != 0;
        }
    }
}

/* A halfway point has at most 767 digits, so a single 1 stands for whatever follows the 768th. */
static struct tg_digits seal(struct gathered *g, int64_t exp10)
{
    struct tg_digits d = {g->digit, g->count, exp10 + (int64_t)g->behind};
    if (g->nonzero) {
        g->digit[d.count++] = 1;
        d.exp10--;
    }
    return d;
}

/* The first 19 digits and those plus one unit bracket the number; if both round alike, that is it. */
static double round_long(struct tg_digits d)
{
    uint64_t head = 0;
    size_t used = TG_MIN(d.count, (size_t)19);
    for (size_t i = 0; i < used; i++)
        head = head * 10 + d.digit[i];
    int64_t exp10 = d.exp10 + (int64_t)(d.count - used);
    bool sure_low, sure_high;
    uint64_t low = scale(head, exp10, &sure_low);
    uint64_t high = scale(head + (d.count > used), exp10, &sure_high);
    if (sure_low && sure_high && low == high)
        return double_from_bits(low);
    return double_from_bits(tg_number_exact(d, low));
}

double tg_f64_from_digits(const char *text, size_t len, int64_t exp10)
{
    struct gathered g;
    g.count = 0;
    g.behind = 0;
    g.nonzero = false;
    gather(&g, text, len);
    return g.count == 0 ? 0 : round_long(seal(&g, exp10));
}

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print gateway/base/pow10_table.h: the powers of ten, each cut to 128 significant bits.

Everything is exact integer arithmetic. For each e the value 10**e is scaled by a power of two so that its
highest bit is bit 127, then cut (never rounded): the entry is exact for 0 <= e <= 55, and otherwise less than
the true value by less than one unit of its last bit. Both directions of conversion rely on exactly that.

    tools/gen-pow10.py > gateway/base/pow10_table.h
"""

LOWEST, HIGHEST = -342, 324


def cut_128(e):
    """floor(10**e * 2**s), with s such that the result has exactly 128 bits; and whether that is exact."""
    num, den = (10**e, 1) if e >= 0 else (1, 10**-e)
    shift = 128 - num.bit_length() + den.bit_length()
    while True:
        scaled_num = num << max(shift, 0)
        scaled_den = den << max(-shift, 0)
        value, rest = divmod(scaled_num, scaled_den)
        if value.bit_length() == 128:
            return value, shift, rest == 0
        shift += 128 - value.bit_length()


def check(e, value, shift, exact):
    """What the C code assumes about the table."""
    assert value.bit_length() == 128
    assert exact == (0 <= e <= 55)
    assert 127 - shift == (e * 1741647) >> 19, "exponent estimate"


HEAD = """/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of tg_pow10_table (pow10.h): powers of ten cut to 128 significant bits, high word and low word.
 * Made by tools/gen-pow10.py with exact integers; do not edit. From 10^%d to 10^%d.
 */
/* clang-format off */"""

TAIL = "/* clang-format on */"


def main():
    print(HEAD % (LOWEST, HIGHEST))
    for e in range(LOWEST, HIGHEST + 1):
        value, shift, exact = cut_128(e)
        check(e, value, shift, exact)
        print("{0x%016x, 0x%016x}, /* %d */" % (value >> 64, value & (2**64 - 1), e))
    print(TAIL)


if __name__ == "__main__":
    main()

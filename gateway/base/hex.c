/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text. */
#include "hex.h"

void hex_write(char *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
}

/* Without a table, so that the digits of a secret leave no trace in the cache. Above 15: no digit. */
static unsigned value_of(char c)
{
    unsigned digit = (unsigned)c - '0', letter = ((unsigned)c | 0x20) - 'a';
    return digit < 10 ? digit : letter < 6 ? letter + 10 : 16;
}

bool hex_read(void *out, size_t n, struct tg_str text)
{
    uint8_t *to = out;
    unsigned wrong = 0;
    if (text.len / 2 != n || text.len % 2 != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        unsigned high = value_of(text.ptr[2 * i]), low = value_of(text.ptr[2 * i + 1]);
        wrong |= high | low;
        to[i] = (uint8_t)(high << 4 | low);
    }
    return wrong < 16;
}

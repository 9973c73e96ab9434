/* SPDX-License-Identifier: Apache-2.0 */
/* base64url, three bytes and four characters at a time. */
#include <errno.h>
#include "base64.h"

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_write(char *out, const void *bytes, size_t n)
{
    const uint8_t *in = bytes;
    char *p = out;
    for (; n >= 3; n -= 3, in += 3, p += 4) {
        uint32_t v = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        p[0] = alphabet[v >> 18];
        p[1] = alphabet[v >> 12 & 63];
        p[2] = alphabet[v >> 6 & 63];
        p[3] = alphabet[v & 63];
    }
    if (n > 0) {
        uint32_t v = (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0);
        *p++ = alphabet[v >> 18];
        *p++ = alphabet[v >> 12 & 63];
        if (n > 1)
            *p++ = alphabet[v >> 6 & 63];
    }
    return (size_t)(p - out);
}

/* Value plus one, so that what is not named is 0: no character of ours. */
static const uint8_t values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

/* The bits of up to four characters, first one highest; UINT32_MAX if one is not of the alphabet. */
static inline uint32_t bits_of(const unsigned char *p, size_t n)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t value = values[p[i]];
        if (TG_UNLIKELY(value == 0))
            return UINT32_MAX;
        v = v << 6 | (value - 1);
    }
    return v;
}

/* The two or three characters behind the last four: 4 or 2 bits are over, and must be 0. */
static bool read_rest(uint8_t *to, const unsigned char *p, size_t n)
{
    uint32_t v = bits_of(p, n);
    unsigned over = n == 2 ? 4 : 2;
    if (v == UINT32_MAX || (v & ((1u << over) - 1)) != 0)
        return false;
    v >>= over;
    to[0] = (uint8_t)(n == 2 ? v : v >> 8);
    if (n == 3)
        to[1] = (uint8_t)v;
    return true;
}

/* What is written never overtakes what is still to be read, so @out may be where the text is. */
int64_t base64_read(void *out, size_t cap, struct tg_str text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    uint8_t *to = out;
    size_t left = text.len;
    if (left % 4 == 1)
        return -EINVAL;
    if (BASE64_BYTES(left) > cap)
        return -ENOSPC;
    for (; left >= 4; left -= 4, p += 4, to += 3) {
        uint32_t v = bits_of(p, 4);
        if (TG_UNLIKELY(v == UINT32_MAX))
            return -EINVAL;
        to[0] = (uint8_t)(v >> 16);
        to[1] = (uint8_t)(v >> 8);
        to[2] = (uint8_t)v;
    }
    if (left > 0 && !read_rest(to, p, left))
        return -EINVAL;
    return (int64_t)BASE64_BYTES(text.len);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes may stand where in an HTTP message (RFC 9110 5.5 and 5.6.2, RFC 3986 3.2.2). */
#ifndef TG_HTTP_CHARS_H
#define TG_HTTP_CHARS_H

#include "tg/def.h"

/* Methods and header names: letters, digits and the fifteen signs of RFC 9110. */
static const uint8_t http_token_table[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['!'] = 1, ['#'] = 1, ['$'] = 1,
    ['%'] = 1,         ['&'] = 1,         ['\''] = 1,        ['*'] = 1, ['+'] = 1, ['-'] = 1,
    ['.'] = 1,         ['^'] = 1,         ['_'] = 1,         ['`'] = 1, ['|'] = 1, ['~'] = 1,
};

static inline bool http_is_token(unsigned char c)
{
    return http_token_table[c];
}

/* RFC 3986 reg-name: letters, digits, and signs that cannot be taken for userinfo, path or port. */
static const uint8_t http_host_table[256] = {
    ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['a' ... 'z'] = 1, ['-'] = 1, ['.'] = 1, ['_'] = 1, ['~'] = 1,
    ['%'] = 1,         ['!'] = 1,         ['$'] = 1,         ['&'] = 1, ['('] = 1, [')'] = 1, ['\''] = 1,
    ['*'] = 1,         ['+'] = 1,         [','] = 1,         [';'] = 1, ['='] = 1,
};

static inline bool http_is_host(unsigned char c)
{
    return http_host_table[c];
}

/* Header values: everything but control characters; HTAB is legal white space, bytes above 0x7f are opaque.
 */
static inline bool http_is_value(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

/* Request targets: visible ASCII. '#' never travels, and other bytes must come percent-encoded. */
static inline bool http_is_target(unsigned char c)
{
    return c > 0x20 && c < 0x7f && c != '#';
}

static inline bool http_is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

/* White space that may surround a value: no line break, ever. */
static inline bool http_is_blank(unsigned char c)
{
    return c == ' ' || c == '\t';
}

/* The value of a hexadecimal digit, or -1. */
static inline int http_hex_value(unsigned char c)
{
    if (http_is_digit(c))
        return c - '0';
    unsigned char low = c | 0x20;
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

#endif

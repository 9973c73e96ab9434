/* SPDX-License-Identifier: Apache-2.0 */
/* Text from operators: what may be stored, and how it is shown in a message. */
#include "config_row.h"

#include <string.h>

/* Bytes of the UTF-8 character at s (RFC 3629), 0 when it is malformed. The terminator ends any sequence. */
static size_t utf8_len(const unsigned char *s)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool surrogate = s[0] == 0xed && s[1] > 0x9f;
    bool beyond = s[0] == 0xf4 && s[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

const char *config_text_fault(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    while (*s) {
        if (*s < 0x20 || *s == 0x7f)
            return "holds a control character";
        size_t len = utf8_len(s);
        if (len == 0)
            return "is not valid UTF-8";
        s += len;
    }
    return NULL;
}

const char *config_quote(const char *text, char out[static CONFIG_QUOTE_MAX])
{
    const size_t room = CONFIG_QUOTE_MAX - sizeof "...\"";
    size_t n = 0;
    out[n++] = '"';
    while (*text) {
        size_t len = utf8_len((const unsigned char *)text);
        bool printable = len > 0 && (unsigned char)*text >= 0x20 && *text != 0x7f;
        size_t step = printable ? len : 1;
        if (n + step > room)
            break;
        if (printable)
            memcpy(out + n, text, step);
        else
            out[n] = '?';
        n += step;
        text += step;
    }
    memcpy(out + n, *text ? "...\"" : "\"", *text ? sizeof "...\"" : sizeof "\"");
    return out;
}

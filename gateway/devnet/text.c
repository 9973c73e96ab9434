/* SPDX-License-Identifier: Apache-2.0 */
/* Small texts of the wire. */
#include "text.h"

#include <stdio.h>

#include "gateway/base/hex.h"

/* ---- query parameters ---------------------------------------------------------------------------------- */

/* One character of an encoded text; returns how many bytes it took, 0 if malformed. */
static size_t decode(struct tg_str s, char *out)
{
    *out = s.ptr[0] == '+' ? ' ' : s.ptr[0];
    if (s.ptr[0] != '%')
        return 1;
    return s.len >= 3 && hex_read(out, 1, (struct tg_str){s.ptr + 1, 2}) ? 3 : 0;
}

static bool decode_all(struct tg_str s, char *out, size_t cap)
{
    size_t n = 0;
    while (s.len > 0 && n + 1 < cap) {
        size_t took = decode(s, &out[n]);
        if (took == 0 || out[n] == '\0')
            break;
        s.ptr += took, s.len -= took, n++;
    }
    out[s.len == 0 ? n : 0] = '\0';
    return s.len == 0;
}

bool text_parameter(struct tg_str query, const char *key, char *out, size_t cap)
{
    size_t key_len = strlen(key);
    out[0] = '\0';
    while (query.len > 0) {
        const char *amp = memchr(query.ptr, '&', query.len);
        size_t len = amp ? (size_t)(amp - query.ptr) : query.len;
        if (len > key_len && query.ptr[key_len] == '=' && memcmp(query.ptr, key, key_len) == 0)
            return decode_all((struct tg_str){query.ptr + key_len + 1, len - key_len - 1}, out, cap);
        query.ptr += len + (amp != NULL), query.len -= len + (amp != NULL);
    }
    return false;
}

/* ---- times --------------------------------------------------------------------------------------------- */

void text_time_write(char out[TEXT_TIME_BYTES], time_t when)
{
    struct tm t;
    if (!gmtime_r(&when, &t) || strftime(out, TEXT_TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &t) == 0)
        out[0] = '\0';
}

/* "Z", or "+hh:mm": the seconds to take off. */
static bool read_offset(const char *s, long *seconds)
{
    int hours, minutes, n = 0;
    *seconds = 0;
    if (strcmp(s, "Z") == 0 || strcmp(s, "z") == 0)
        return true;
    if ((s[0] != '+' && s[0] != '-') || sscanf(s + 1, "%2d:%2d%n", &hours, &minutes, &n) != 2 ||
        s[1 + n] != '\0')
        return false;
    *seconds = (hours * 60L + minutes) * (s[0] == '-' ? -60 : 60);
    return hours >= 0 && hours < 24 && minutes >= 0 && minutes < 60;
}

bool text_time_read(struct tg_str text, time_t *out)
{
    struct tm t = {0};
    char s[48];
    int n = 0;
    long offset;
    if (text.len >= sizeof(s))
        return false;
    memcpy(s, text.ptr, text.len);
    s[text.len] = '\0';
    if (sscanf(s, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour,
               &t.tm_min, &t.tm_sec, &n) != 6 ||
        n != 19)
        return false;
    if (s[n] == '.')
        n += 1 + (int)strspn(s + n + 1, "0123456789");
    if (!read_offset(s + n, &offset) || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_hour > 23 || t.tm_min > 59)
        return false;
    t.tm_year -= 1900, t.tm_mon -= 1;
    *out = timegm(&t) - offset;
    return true;
}

/* ---- members ------------------------------------------------------------------------------------------- */

bool text_value(const struct tg_json_doc *doc, const struct tg_json_node *value, char *out, size_t cap)
{
    out[0] = '\0';
    if (!value || value->type != TG_JSON_STRING)
        return false;
    int64_t len = tg_json_unescape(doc, value, out, cap - 1);
    bool good = len >= 0 && !memchr(out, '\0', (size_t)len);
    out[good ? len : 0] = '\0';
    return good;
}

bool text_member(const struct tg_json_doc *doc, const struct tg_json_node *object, const char *key, char *out,
                 size_t cap)
{
    return text_value(doc, tg_json_get(doc, object, text_of(key)), out, cap);
}

bool text_base64url(struct tg_str text, char *out, size_t cap, size_t *len)
{
    while (text.len > 0 && text.ptr[text.len - 1] == '=')
        text.len--;
    if (text.len > cap)
        return false;
    for (size_t i = 0; i < text.len; i++)
        out[i] = text.ptr[i] == '+' ? '-' : text.ptr[i] == '/' ? '_' : text.ptr[i];
    *len = text.len;
    return true;
}

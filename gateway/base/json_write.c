/* SPDX-License-Identifier: Apache-2.0 */
/* Appending JSON to a buffer of fixed size. After the first thing that does not fit, nothing more is written.
 */
#include <math.h>
#include "tg/json.h"
#include "json_lex.h"
#include "number.h"
#include "utf8.h"

/* Where the next n bytes go, or NULL if they do not fit. */
static inline char *reserve(struct tg_json_writer *w, size_t n)
{
    if (TG_UNLIKELY(w->overflow || w->cap - w->len < n)) {
        w->overflow = true;
        return NULL;
    }
    char *out = w->buf + w->len;
    w->len += n;
    return out;
}

static inline void put(struct tg_json_writer *w, const char *bytes, size_t n)
{
    char *out = reserve(w, n);
    if (out && n)
        memcpy(out, bytes, n);
}

/* A value follows a complete value unless the last byte says that it comes first or belongs to a key. */
static inline bool needs_comma(const struct tg_json_writer *w)
{
    char last = w->len ? w->buf[w->len - 1] : '[';
    return last != '[' && last != '{' && last != ':' && last != ',';
}

/* The comma if one is due, then the bytes; both or neither. */
static void put_value(struct tg_json_writer *w, const char *bytes, size_t n)
{
    size_t comma = needs_comma(w);
    char *out = reserve(w, comma + n);
    if (!out)
        return;
    *out = ',';
    memcpy(out + comma, bytes, n);
}

void tg_json_write_begin_object(struct tg_json_writer *w)
{
    put_value(w, "{", 1);
}

void tg_json_write_end_object(struct tg_json_writer *w)
{
    put(w, "}", 1);
}

void tg_json_write_begin_array(struct tg_json_writer *w)
{
    put_value(w, "[", 1);
}

void tg_json_write_end_array(struct tg_json_writer *w)
{
    put(w, "]", 1);
}

void tg_json_write_key(struct tg_json_writer *w, struct tg_str key)
{
    size_t comma = needs_comma(w);
    char *out = reserve(w, comma + key.len + 3);
    if (!out)
        return;
    *out = ',';
    out += comma;
    *out++ = '"';
    memcpy(out, key.ptr, key.len);
    memcpy(out + key.len, "\":", 2);
}

/* The escape for an ASCII byte that may not stand as it is: the short form if there is one. */
static void put_escape(struct tg_json_writer *w, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_form[] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    char text[6] = {'\\', short_form[c]};
    if (text[1]) {
        put(w, text, 2);
        return;
    }
    memcpy(text + 1, "u00", 3);
    text[4] = hex[c >> 4];
    text[5] = hex[c & 15];
    put(w, text, sizeof(text));
}

/*
 * Bytes of invalid UTF-8 at p that one U+FFFD replaces: the longest start of a sequence that could have
 * become valid, or one byte (the practice that Unicode recommends).
 */
static unsigned invalid_length(const char *p, const char *end)
{
    unsigned char lead = (unsigned char)*p;
    unsigned wanted = lead < 0xc2 || lead > 0xf4 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    unsigned n = 1;
    for (; n < wanted && p + n < end; n++) {
        unsigned char c = (unsigned char)p[n];
        if (c < low || c > high)
            break;
        low = 0x80;
        high = 0xbf;
    }
    return n;
}

/* What tg_json_skip_plain() stopped at. Returns how many bytes of input are dealt with. */
static unsigned put_special(struct tg_json_writer *w, const char *p, const char *end)
{
    if ((signed char)*p >= 0) {
        put_escape(w, (unsigned char)*p);
        return 1;
    }
    unsigned bytes = tg_utf8_sequence(p, end);
    if (bytes) {
        put(w, p, bytes);
        return bytes;
    }
    put(w, "\xef\xbf\xbd", 3);
    return invalid_length(p, end);
}

/* If it does not fit, not even its beginning is left in the buffer. */
void tg_json_write_string(struct tg_json_writer *w, struct tg_str s)
{
    size_t len_before = w->len;
    const char *p = s.ptr, *end = s.len ? s.ptr + s.len : s.ptr;
    put_value(w, "\"", 1);
    while (p < end && !w->overflow) {
        const char *stop = tg_json_skip_plain(p, end);
        put(w, p, (size_t)(stop - p));
        p = stop < end ? stop + put_special(w, stop, end) : end;
    }
    put(w, "\"", 1);
    if (TG_UNLIKELY(w->overflow))
        w->len = len_before;
}

void tg_json_write_i64(struct tg_json_writer *w, int64_t v)
{
    char text[TG_NUMBER_TEXT_MAX];
    put_value(w, text, tg_i64_print(v, text));
}

void tg_json_write_u64(struct tg_json_writer *w, uint64_t v)
{
    char text[TG_NUMBER_TEXT_MAX];
    put_value(w, text, tg_u64_print(v, text));
}

void tg_json_write_f64(struct tg_json_writer *w, double v)
{
    char text[TG_NUMBER_TEXT_MAX];
    if (TG_UNLIKELY(!isfinite(v)))
        tg_json_write_null(w);
    else
        put_value(w, text, tg_f64_print(v, text));
}

void tg_json_write_f32(struct tg_json_writer *w, float v)
{
    char text[TG_NUMBER_TEXT_MAX];
    if (TG_UNLIKELY(!isfinite(v)))
        tg_json_write_null(w);
    else
        put_value(w, text, tg_f32_print(v, text));
}

void tg_json_write_bool(struct tg_json_writer *w, bool v)
{
    put_value(w, v ? "true" : "false", v ? 4 : 5);
}

void tg_json_write_null(struct tg_json_writer *w)
{
    put_value(w, "null", 4);
}

void tg_json_write_raw(struct tg_json_writer *w, struct tg_str json)
{
    put_value(w, json.ptr, json.len);
}

void tg_json_write_verbatim(struct tg_json_writer *w, struct tg_str text)
{
    put(w, text.ptr, text.len);
}

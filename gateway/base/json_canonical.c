/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical JSON. The parser has checked the text: escapes and UTF-8 are well-formed here. */
#include <errno.h>
#include "json_canonical.h"
#include "json_lex.h"
#include "number.h"
#include "utf8.h"

#define PIECE_BYTES 512

struct output {
    const struct tg_json_doc *doc;
    enum json_canonical_form form;
    uint32_t *members; /* free room begins here */
    uint32_t members_left;
    int error; /* the first one; nothing more is written then */
    json_canonical_sink *sink;
    void *context;
    size_t len;
    char piece[PIECE_BYTES];
};

/* ---- bytes out ---------------------------------------------------------------------------------------- */

static void give(struct output *o)
{
    if (o->error == 0 && o->len > 0 && !o->sink(o->context, (struct tg_str){o->piece, o->len}))
        o->error = -ECANCELED;
    o->len = 0;
}

static void put(struct output *o, const char *bytes, size_t n)
{
    while (n > 0) {
        size_t part = TG_MIN(n, sizeof(o->piece) - o->len);
        memcpy(o->piece + o->len, bytes, part);
        o->len += part;
        bytes += part;
        n -= part;
        if (o->len == sizeof(o->piece))
            give(o);
    }
}

static void put_char(struct output *o, char c)
{
    put(o, &c, 1);
}

/* ---- strings ------------------------------------------------------------------------------------------ */

/* The code point of the valid sequence at @p; returns its length. */
static unsigned utf8_decode(const char *p, uint32_t *code)
{
    const unsigned char *u = (const unsigned char *)p;
    unsigned n = u[0] < 0x80 ? 1 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    *code = n == 1 ? u[0] : u[0] & (0xffu >> (n + 1));
    for (unsigned i = 1; i < n; i++)
        *code = *code << 6 | (u[i] & 0x3f);
    return n;
}

/* The next code point of a string, escaped or not, at p < end. */
static const char *next_code(const char *p, const char *end, uint32_t *code)
{
    return p + (*p == '\\' ? tg_json_escape(p, end, code) : utf8_decode(p, code));
}

static void put_unit(struct output *o, uint32_t unit)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\', 'u', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};
    put(o, text, sizeof(text));
}

static void put_escaped(struct output *o, uint32_t code)
{
    if (code < 0x10000) {
        put_unit(o, code);
    } else {
        put_unit(o, 0xd800 + ((code - 0x10000) >> 10));
        put_unit(o, 0xdc00 + ((code - 0x10000) & 0x3ff));
    }
}

/* Quote, backslash, what lies below the space and, for Python, beyond '~'. */
static void put_code(struct output *o, uint32_t code)
{
    static const char short_form[0x60] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    char text[4] = {'\\'};
    if (code < sizeof(short_form) && short_form[code]) {
        text[1] = short_form[code];
        put(o, text, 2);
    } else if (code < 0x20 || (code > '~' && o->form == JSON_CANONICAL_PYTHON)) {
        put_escaped(o, code);
    } else {
        put(o, text, tg_utf8_encode(code, text));
    }
}

static void put_string(struct output *o, const struct tg_json_node *n)
{
    struct tg_str s = tg_json_string(o->doc, n);
    const char *p = s.ptr, *end = s.ptr + s.len;
    put_char(o, '"');
    while (p < end) {
        const char *stop = p;
        while (stop < end && tg_json_is_plain(*stop) && *stop <= '~')
            stop++;
        put(o, p, (size_t)(stop - p));
        uint32_t code;
        p = stop < end ? next_code(stop, end, &code) : end;
        if (stop < end)
            put_code(o, code);
    }
    put_char(o, '"');
}

/* ---- numbers ------------------------------------------------------------------------------------------ */

/* Significant digits and the power of ten of the first one. */
struct decimal {
    char digits[TG_NUMBER_TEXT_MAX];
    int count, exponent;
};

static int exponent_of(const char *p, const char *end)
{
    int value = 0;
    bool negative = p < end && *p == '-';
    for (p += negative; p < end; p++)
        value = value * 10 + (*p - '0');
    return negative ? -value : value;
}

/* From tg_f64_print()'s text of a positive number, whose layout varies. */
static struct decimal decimal_of(const char *p, const char *end)
{
    struct decimal d = {0};
    int before_point = 0, leading = 0;
    bool point = false;
    for (; p < end && *p != 'e'; p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        before_point += !point;
        if (d.count > 0 || *p != '0')
            d.digits[d.count++] = *p;
        else
            leading++;
    }
    d.exponent = before_point - leading - 1 + (p < end ? exponent_of(p + 1, end) : 0);
    while (d.count > 1 && d.digits[d.count - 1] == '0')
        d.count--;
    return d;
}

static void put_zeros(struct output *o, int n)
{
    for (; n > 0; n--)
        put_char(o, '0');
}

/* Point behind the first digit; the exponent has a sign, and for Python two digits at least. */
static void put_scientific(struct output *o, const struct decimal *d)
{
    char text[TG_NUMBER_TEXT_MAX];
    int size = d->exponent < 0 ? -d->exponent : d->exponent;
    put_char(o, d->digits[0]);
    if (d->count > 1)
        put_char(o, '.');
    put(o, d->digits + 1, (size_t)d->count - 1);
    put_char(o, 'e');
    put_char(o, d->exponent < 0 ? '-' : '+');
    if (size < 10 && o->form == JSON_CANONICAL_PYTHON)
        put_char(o, '0');
    put(o, text, tg_u64_print((uint64_t)size, text));
}

/* Without exponent: 0.00ddd, ddd000 or dd.d. */
static void put_plain(struct output *o, const struct decimal *d)
{
    int before = d->exponent + 1;
    if (before <= 0) {
        put(o, "0.", 2);
        put_zeros(o, -before);
        put(o, d->digits, (size_t)d->count);
        return;
    }
    put(o, d->digits, (size_t)TG_MIN(before, d->count));
    put_zeros(o, before - d->count);
    if (d->count > before) {
        put_char(o, '.');
        put(o, d->digits + before, (size_t)(d->count - before));
    } else if (o->form == JSON_CANONICAL_PYTHON) {
        put(o, ".0", 2);
    }
}

/* Both print the fewest digits that read back to the same double, and go over to exponents at other sizes. */
static void put_double(struct output *o, double v)
{
    char text[TG_NUMBER_TEXT_MAX];
    bool python = o->form == JSON_CANONICAL_PYTHON, negative = __builtin_signbit(v) != 0;
    struct decimal d = {.digits = "0", .count = 1};
    if (v != 0) {
        size_t len = tg_f64_print(negative ? -v : v, text);
        d = decimal_of(text, text + len);
    }
    if (negative && (v != 0 || python))
        put_char(o, '-');
    if (d.exponent < (python ? -4 : -6) || d.exponent >= (python ? 16 : 21))
        put_scientific(o, &d);
    else
        put_plain(o, &d);
}

static bool looks_integral(struct tg_str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] == '.' || (text.ptr[i] | 0x20) == 'e')
            return false;
    return true;
}

/* For Python an integer has any number of digits, and no minus before 0. */
static void put_number(struct output *o, const struct tg_json_node *n)
{
    struct tg_str text = tg_json_text(o->doc, n);
    if (o->form == JSON_CANONICAL_JCS || !looks_integral(text))
        put_double(o, tg_json_number(n));
    else if (tg_json_number(n) == 0)
        put_char(o, '0');
    else
        put(o, text.ptr, text.len);
}

/* ---- order of keys ------------------------------------------------------------------------------------ */

/* What a code point sorts by: UTF-16 puts those beyond the first plane, as surrogates, before U+E000. */
static uint32_t rank(uint32_t code, enum json_canonical_form form)
{
    if (form == JSON_CANONICAL_PYTHON || code < 0xe000)
        return code;
    return code < 0x10000 ? code + 0x110000 : code;
}

static int compare_keys(const struct output *o, uint32_t a, uint32_t b)
{
    struct tg_str s = tg_json_string(o->doc, o->doc->nodes + a),
                  t = tg_json_string(o->doc, o->doc->nodes + b);
    const char *p = s.ptr, *p_end = s.ptr + s.len, *q = t.ptr, *q_end = t.ptr + t.len;
    while (p < p_end && q < q_end) {
        uint32_t x, y;
        p = next_code(p, p_end, &x);
        q = next_code(q, q_end, &y);
        if (x != y)
            return rank(x, o->form) < rank(y, o->form) ? -1 : 1;
    }
    return (p < p_end) - (q < q_end);
}

/* Equal keys stay in the order of the text. */
static bool before(const struct output *o, uint32_t a, uint32_t b)
{
    int order = compare_keys(o, a, b);
    return order < 0 || (order == 0 && a < b);
}

static void sift_down(const struct output *o, uint32_t *heap, uint32_t i, uint32_t n)
{
    uint32_t moving = heap[i];
    for (uint32_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(o, heap[child], heap[child + 1]))
            child++;
        if (!before(o, moving, heap[child]))
            break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

/* Heapsort: in place, and no choice of keys makes it slow. Most objects come in order or are tiny. */
static void sort(const struct output *o, uint32_t *members, uint32_t n)
{
    for (uint32_t i = n / 2; i-- > 0;)
        sift_down(o, members, i, n);
    for (uint32_t last = n; last-- > 1;) {
        uint32_t greatest = members[0];
        members[0] = members[last];
        members[last] = greatest;
        sift_down(o, members, 0, last);
    }
}

/* ---- values ------------------------------------------------------------------------------------------- */

static void put_value(struct output *o, const struct tg_json_node *n);

static void put_members(struct output *o, const uint32_t *members, uint32_t n)
{
    const char *comma = "";
    for (uint32_t i = 0; i < n; i++) {
        const struct tg_json_node *key = o->doc->nodes + members[i];
        if (i + 1 < n && compare_keys(o, members[i], members[i + 1]) == 0)
            continue; /* the one behind it replaces it */
        put(o, comma, strlen(comma));
        put_string(o, key);
        put_char(o, ':');
        put_value(o, key + 1);
        comma = ",";
    }
}

static void put_object(struct output *o, const struct tg_json_node *object)
{
    uint32_t n = tg_json_count(object), *members = o->members, i = 0;
    if (n > o->members_left) {
        o->error = o->error ? o->error : -ENOSPC;
        return;
    }
    TG_JSON_FOREACH_MEMBER(key, object)
    members[i++] = (uint32_t)(key - o->doc->nodes);
    sort(o, members, n);
    o->members += n;
    o->members_left -= n;
    put_char(o, '{');
    put_members(o, members, n);
    put_char(o, '}');
    o->members -= n;
    o->members_left += n;
}

static void put_array(struct output *o, const struct tg_json_node *array)
{
    put_char(o, '[');
    TG_JSON_FOREACH(it, array)
    {
        if (it != tg_json_first(array))
            put_char(o, ',');
        put_value(o, it);
    }
    put_char(o, ']');
}

/* As deep as the parser lets a text be. */
static void put_value(struct output *o, const struct tg_json_node *n)
{
    struct tg_str literal;
    if (o->error)
        return;
    switch (n->type) {
    case TG_JSON_OBJECT:
        put_object(o, n);
        break;
    case TG_JSON_ARRAY:
        put_array(o, n);
        break;
    case TG_JSON_STRING:
        put_string(o, n);
        break;
    case TG_JSON_NULL:
    case TG_JSON_FALSE:
    case TG_JSON_TRUE:
        literal = tg_json_text(o->doc, n);
        put(o, literal.ptr, literal.len);
        break;
    default:
        put_number(o, n);
    }
}

int json_canonical(const struct tg_json_doc *doc, const struct tg_json_node *value,
                   enum json_canonical_form form, struct json_canonical_room room, json_canonical_sink *sink,
                   void *context)
{
    struct output o;
    o.doc = doc;
    o.form = form;
    o.members = room.members;
    o.members_left = room.capacity;
    o.error = 0;
    o.sink = sink;
    o.context = context;
    o.len = 0; /* the rest of it need not be cleared */
    put_value(&o, value);
    give(&o);
    return o.error;
}

static bool append(void *context, struct tg_str piece)
{
    struct tg_json_writer *w = context;
    tg_json_write_verbatim(w, piece);
    return !w->overflow;
}

int json_canonical_write(const struct tg_json_doc *doc, const struct tg_json_node *value,
                         enum json_canonical_form form, struct json_canonical_room room,
                         struct tg_json_writer *w)
{
    int rc = json_canonical(doc, value, form, room, append, w);
    return rc == -ECANCELED ? -ENOSPC : rc;
}

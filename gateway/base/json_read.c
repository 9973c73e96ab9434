/* SPDX-License-Identifier: Apache-2.0 */
/* Looking into a parsed document. The parser has checked the text, so escapes here are known to be
 * well-formed. */
#include <errno.h>
#include "tg/json.h"
#include "json_lex.h"
#include "utf8.h"

/* Everything a number may consist of; what stands behind it is none of these. */
static bool is_number_byte(char c)
{
    return tg_json_is_digit(c) || c == '-' || c == '+' || c == '.' || (c | 0x20) == 'e';
}

static size_t number_length(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && is_number_byte(*p))
        p++;
    return (size_t)(p - start);
}

struct tg_str tg_json_text(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    const char *start = doc->text + n->offset;
    switch (n->type) {
    case TG_JSON_NULL:
    case TG_JSON_TRUE:
        return (struct tg_str){start, 4};
    case TG_JSON_FALSE:
        return (struct tg_str){start, 5};
    case TG_JSON_INT:
    case TG_JSON_UINT:
    case TG_JSON_REAL:
        return (struct tg_str){start, number_length(start, doc->text + doc->len)};
    default:
        return tg_json_raw(doc, n);
    }
}

/* A piece of a string: plain bytes as they stand, or the few that one escape stands for. */
struct piece {
    struct tg_str bytes;
    char decoded[4];
};

/* The piece at p < end; returns where the next one starts. */
static const char *next_piece(const char *p, const char *end, struct piece *piece)
{
    if (*p != '\\') {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        const char *stop = slash ? slash : end;
        piece->bytes = (struct tg_str){p, (size_t)(stop - p)};
        return stop;
    }
    uint32_t code;
    unsigned taken = tg_json_escape(p, end, &code);
    TG_ASSERT(taken != 0);
    piece->bytes = (struct tg_str){piece->decoded, tg_utf8_encode(code, piece->decoded)};
    return p + taken;
}

int64_t tg_json_unescape(const struct tg_json_doc *doc, const struct tg_json_node *n, char *out, size_t cap)
{
    struct tg_str s = tg_json_string(doc, n);
    const char *end = s.ptr + s.len;
    size_t len = 0;
    for (const char *p = s.ptr; p < end;) {
        struct piece piece;
        p = next_piece(p, end, &piece);
        if (cap - len < piece.bytes.len)
            return -ENOSPC;
        memcpy(out + len, piece.bytes.ptr, piece.bytes.len);
        len += piece.bytes.len;
    }
    return (int64_t)len;
}

static bool escaped_eq(struct tg_str escaped, struct tg_str s)
{
    const char *end = escaped.ptr + escaped.len;
    for (const char *p = escaped.ptr; p < end;) {
        struct piece piece;
        p = next_piece(p, end, &piece);
        if (piece.bytes.len > s.len || memcmp(piece.bytes.ptr, s.ptr, piece.bytes.len) != 0)
            return false;
        s = (struct tg_str){s.ptr + piece.bytes.len, s.len - piece.bytes.len};
    }
    return s.len == 0;
}

bool tg_json_string_eq(const struct tg_json_doc *doc, const struct tg_json_node *n, struct tg_str s)
{
    struct tg_str own = tg_json_string(doc, n);
    if (TG_UNLIKELY(n->text.aux))
        return s.len <= own.len && escaped_eq(own, s);
    return tg_str_eq(own, s);
}

const struct tg_json_node *tg_json_get(const struct tg_json_doc *doc, const struct tg_json_node *object,
                                       struct tg_str key)
{
    if (object->type != TG_JSON_OBJECT)
        return NULL;
    TG_JSON_FOREACH_MEMBER(name, object)
    {
        if (tg_json_string_eq(doc, name, key))
            return name + 1;
    }
    return NULL;
}

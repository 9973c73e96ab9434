/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to tape in one pass, without recursion. While a container is open its node holds what the parser needs
 * to come back to it: `span` the distance to the container around it, `aux` its children so far.
 */
#include <errno.h>
#include "tg/json.h"
#include "json_lex.h"
#include "json_number.h"
#include "utf8.h"

/* The cursor is not in here: passed from call to call it stays in a register. */
struct parser {
    const char *text, *end;
    struct tg_json_node *nodes, *limit; /* the tape and its end */
    struct tg_json_node *next;          /* first free node */
    struct tg_json_node *open;          /* innermost open container; NULL at the root */
    uint32_t children;                  /* values in it so far */
    uint32_t depth;
    int status;
    struct tg_json_error error;
};

/* Every step returns where to go on, or NULL after this. */
static const char *__attribute__((cold, noinline))
fail(struct parser *ps, const char *at, const char *message)
{
    ps->error = (struct tg_json_error){(uint32_t)(at - ps->text), message};
    ps->status = -EINVAL;
    return NULL;
}

/* A valid text has no more values than half its bytes, rounded up: beyond that, the text is to blame. */
static const char *__attribute__((cold, noinline)) fail_no_space(struct parser *ps, const char *at)
{
    if (ps->limit - ps->nodes > (ps->end - ps->text) / 2)
        return fail(ps, at, "brackets left open");
    fail(ps, at, "too many values");
    ps->status = -ENOSPC;
    return NULL;
}

static const char *__attribute__((cold, noinline))
fail_expecting(struct parser *ps, const char *at, const char *message)
{
    return fail(ps, at, at == ps->end ? "unexpected end of text" : message);
}

static const char *__attribute__((noinline)) skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* To the next byte that is not white space; compact text has none. */
static inline const char *skip_space(const char *p, const char *end)
{
    return TG_LIKELY((unsigned char)tg_json_peek(p, end) > ' ') ? p : skip_blanks(p, end);
}

/*
 * Type, offset and span in one store: written as bit-fields they cost a read that waits for the store before
 * it. Bit-fields fill a word from its lowest bit in the ABIs we build for; a unit test would notice another.
 */
static inline void set_head(struct tg_json_node *n, uint32_t type, size_t offset, uint32_t span)
{
    uint64_t head = type | offset << 4 | (uint64_t)span << 32;
    memcpy(n, &head, sizeof(head));
}

/* A node of the tape for the value at p, or NULL; the caller fills in what the type needs. */
static inline struct tg_json_node *append(struct parser *ps, const char *p, uint32_t type)
{
    struct tg_json_node *n = ps->next;
    if (TG_UNLIKELY(n == ps->limit))
        return NULL;
    ps->next = n + 1;
    set_head(n, type, (size_t)(p - ps->text), 1);
    return n;
}

static const char *string_error(char c)
{
    if (c == '\\')
        return "bad escape";
    return (signed char)c < 0 ? "invalid UTF-8" : "control character in a string";
}

/* Behind plain ASCII: escapes and runs of non-ASCII, up to the next plain byte or the quote of string n. */
static const char *__attribute__((noinline))
skip_special(struct parser *ps, const char *p, struct tg_json_node *n)
{
    const char *end = ps->end;
    while (p < end && !tg_json_is_plain(*p) && *p != '"') {
        uint32_t code;
        bool escape = *p == '\\';
        unsigned bytes = escape ? tg_json_escape(p, end, &code) : tg_utf8_sequence(p, end);
        if (TG_UNLIKELY(bytes == 0))
            return fail(ps, p, string_error(*p));
        n->text.aux |= escape;
        p += bytes;
    }
    return p;
}

/* Where the closing quote of string n is; p is behind the opening one. */
static inline const char *find_quote(struct parser *ps, const char *p, struct tg_json_node *n)
{
    for (;;) {
        p = tg_json_skip_plain(p, ps->end);
        if (TG_UNLIKELY(p == ps->end))
            return fail(ps, p, "unterminated string");
        if (TG_LIKELY(*p == '"'))
            return p;
        p = skip_special(ps, p, n);
        if (TG_UNLIKELY(!p))
            return NULL;
    }
}

static inline const char *read_string(struct parser *ps, const char *p)
{
    struct tg_json_node *n = append(ps, p, TG_JSON_STRING);
    if (TG_UNLIKELY(!n))
        return fail_no_space(ps, p);
    n->text.aux = 0;
    const char *quote = find_quote(ps, p + 1, n);
    if (TG_UNLIKELY(!quote))
        return NULL;
    n->text.len = (uint32_t)(quote - p) - 1;
    return quote + 1;
}

static inline const char *read_number(struct parser *ps, const char *p)
{
    struct tg_json_number number = tg_json_number_read(p, ps->end);
    if (TG_UNLIKELY(number.error))
        return fail(ps, number.end, number.error);
    struct tg_json_node *n = append(ps, p, number.type);
    if (TG_UNLIKELY(!n))
        return fail_no_space(ps, p);
    n->u64 = number.u64;
    return number.end;
}

static const char *read_literal(struct parser *ps, const char *p, enum tg_json_type type, struct tg_str word)
{
    size_t same = 0, room = (size_t)(ps->end - p);
    while (same < word.len && same < room && p[same] == word.ptr[same])
        same++;
    if (TG_UNLIKELY(same < word.len))
        return fail_expecting(ps, p + same, "unknown word");
    struct tg_json_node *n = append(ps, p, type);
    if (TG_UNLIKELY(!n))
        return fail_no_space(ps, p);
    n->u64 = 0;
    return p + word.len;
}

static inline const char *read_scalar(struct parser *ps, const char *p, char c)
{
    if (c == '"')
        return read_string(ps, p);
    if (tg_json_is_digit(c) || c == '-')
        return read_number(ps, p);
    switch (c) {
    case 't':
        return read_literal(ps, p, TG_JSON_TRUE, TG_STR("true"));
    case 'f':
        return read_literal(ps, p, TG_JSON_FALSE, TG_STR("false"));
    case 'n':
        return read_literal(ps, p, TG_JSON_NULL, TG_STR("null"));
    default:
        return fail_expecting(ps, p, "expected a value");
    }
}

static inline const char *open_container(struct parser *ps, const char *p, char c)
{
    if (TG_UNLIKELY(ps->depth == TG_JSON_DEPTH_MAX))
        return fail(ps, p, "nested too deeply");
    struct tg_json_node *n = append(ps, p, c == '{' ? TG_JSON_OBJECT : TG_JSON_ARRAY);
    if (TG_UNLIKELY(!n))
        return fail_no_space(ps, p);
    if (ps->open) {
        ps->open->text.aux = ps->children;
        n->span = (uint32_t)(n - ps->open);
    }
    ps->open = n;
    ps->children = 0;
    ps->depth++;
    return p + 1;
}

/* p is on the closing bracket. */
static inline const char *close_container(struct parser *ps, const char *p)
{
    struct tg_json_node *n = ps->open;
    ps->open = --ps->depth ? n - n->span : NULL;
    n->span = (uint32_t)(ps->next - n);
    n->text.len = (uint32_t)(p + 1 - ps->text) - n->offset;
    n->text.aux = ps->children;
    ps->children = ps->open ? ps->open->text.aux : 0;
    return p + 1;
}

/* The name and its colon. */
static inline const char *read_key(struct parser *ps, const char *p)
{
    p = skip_space(p, ps->end);
    if (TG_UNLIKELY(tg_json_peek(p, ps->end) != '"'))
        return fail_expecting(ps, p, "expected a member name in quotes");
    p = read_string(ps, p);
    if (TG_UNLIKELY(!p))
        return NULL;
    p = skip_space(p, ps->end);
    if (TG_UNLIKELY(tg_json_peek(p, ps->end) != ':'))
        return fail_expecting(ps, p, "expected ':'");
    return p + 1;
}

/* Behind a value: count it, close what ends here, step to the next value if there is one. */
static inline const char *next_value(struct parser *ps, const char *p)
{
    while (ps->open) {
        bool object = ps->open->type == TG_JSON_OBJECT;
        p = skip_space(p, ps->end);
        char c = tg_json_peek(p, ps->end);
        ps->children++;
        if (TG_LIKELY(c == ','))
            return object ? read_key(ps, p + 1) : p + 1;
        if (TG_UNLIKELY(c != (object ? '}' : ']')))
            return fail_expecting(ps, p, object ? "expected ',' or '}'" : "expected ',' or ']'");
        p = close_container(ps, p);
    }
    return p;
}

/* A container up to its first child, or through it and to the next value if it has none. */
static inline const char *enter_container(struct parser *ps, const char *p, char c)
{
    p = open_container(ps, p, c);
    if (TG_UNLIKELY(!p))
        return NULL;
    p = skip_space(p, ps->end);
    if (tg_json_peek(p, ps->end) == c + 2) /* in ASCII each bracket closes two further on */
        return next_value(ps, close_container(ps, p));
    return c == '{' ? read_key(ps, p) : p;
}

/* Each turn takes one scalar or one opening bracket. Returns the end of the root value. */
static const char *read_tree(struct parser *ps, const char *p)
{
    do {
        p = skip_space(p, ps->end);
        char c = tg_json_peek(p, ps->end);
        if (c == '{' || c == '[') {
            p = enter_container(ps, p, c);
            continue;
        }
        p = read_scalar(ps, p, c);
        if (TG_LIKELY(p))
            p = next_value(ps, p);
    } while (p && ps->open);
    return p;
}

static int parse(struct parser *ps)
{
    const char *p = read_tree(ps, ps->text);
    if (!p)
        return ps->status;
    p = skip_space(p, ps->end);
    if (p != ps->end)
        fail(ps, p, "text behind the value");
    return ps->status;
}

int tg_json_parse(struct tg_json_doc *doc, const char *text, size_t len, struct tg_json_error *err)
{
    if (len > TG_JSON_TEXT_MAX) {
        *err = (struct tg_json_error){TG_JSON_TEXT_MAX, "text too long"};
        return -EFBIG;
    }
    if (len == 0)
        text = ""; /* as NULL takes part in no arithmetic */
    struct parser ps = {.text = text, .end = text + len, .nodes = doc->nodes, .next = doc->nodes};
    ps.limit = doc->capacity ? doc->nodes + doc->capacity : doc->nodes;
    int status = parse(&ps);
    if (TG_UNLIKELY(status)) {
        *err = ps.error;
        return status;
    }
    doc->text = text;
    doc->len = (uint32_t)len;
    doc->count = (uint32_t)(ps.next - doc->nodes);
    return 0;
}

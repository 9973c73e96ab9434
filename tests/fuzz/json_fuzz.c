/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for the JSON parser, readers, writer and canonical form. Whatever the bytes: either a refusal that names a byte
 * of the text, or a tape whose every node describes the text truly, and which survives being written and read
 * again.
 */
#include <errno.h>
#include <stdlib.h>
#include "gateway/base/json_canonical.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One byte of text grows to at most six ("\u0001"), four bytes ("1e20") to 21. */
#define GROWTH 6
#define ROOM 64

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* malloc that cannot fail and never returns memory of no size. */
static void *allocate(size_t size)
{
    void *memory = malloc(size ? size : 1);
    require(memory != NULL);
    return memory;
}

/* Text and tape to the byte, so that the address sanitizer guards both ends. */
static int parse_copy(struct tg_json_doc *doc, const void *text, size_t len)
{
    struct tg_json_error err = {.offset = UINT32_MAX};
    char *copy = allocate(len);
    if (len)
        memcpy(copy, text, len);
    *doc = (struct tg_json_doc){.capacity = (uint32_t)TG_JSON_NODES_MAX(len)};
    doc->nodes = allocate(doc->capacity * sizeof(*doc->nodes));
    int status = tg_json_parse(doc, copy, len, &err);
    if (status) {
        require(status == -EINVAL && err.offset <= len && err.message != NULL);
        free(copy);
        free(doc->nodes);
    }
    return status;
}

static void release(struct tg_json_doc *doc)
{
    free((void *)(uintptr_t)doc->text);
    free(doc->nodes);
}

/* ---- what a tape must be ---------------------------------------------------------------------------- */

static void check_utf8(struct tg_str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr, *end = p + s.len;
    while (p < end) {
        static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
        unsigned n = *p < 0x80 ? 1 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : 4;
        uint32_t code = n == 1 ? *p : *p & (0x7fu >> n);
        require((*p & 0xc0) != 0x80 && *p < 0xf8 && (size_t)(end - p) >= n);
        for (unsigned i = 1; i < n; i++) {
            require((p[i] & 0xc0) == 0x80);
            code = code << 6 | (p[i] & 0x3fu);
        }
        require(code >= lowest[n] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
        p += n;
    }
}

static void check_string(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    struct tg_str raw = tg_json_raw(doc, n), inner = tg_json_string(doc, n);
    require(raw.ptr[0] == '"' && raw.ptr[raw.len - 1] == '"' && n->span == 1 && n->text.aux <= 1);
    require((inner.len && memchr(inner.ptr, '\\', inner.len) != NULL) == (n->text.aux == 1));
    char *out = allocate(inner.len);
    int64_t len = tg_json_unescape(doc, n, out, inner.len);
    require(len >= 0 && (n->text.aux ? (size_t)len < inner.len : (size_t)len == inner.len));
    check_utf8(inner);
    check_utf8((struct tg_str){out, (size_t)len});
    require(tg_json_string_eq(doc, n, (struct tg_str){out, (size_t)len}));
    free(out);
}

/* A scalar's own text, parsed alone, is the same value. */
static void check_scalar(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    struct tg_json_doc alone;
    struct tg_str text = tg_json_text(doc, n);
    require(parse_copy(&alone, text.ptr, text.len) == 0 && alone.count == 1);
    require(n->span == 1 && alone.nodes->type == n->type && alone.nodes->u64 == n->u64);
    release(&alone);
}

static void check_container(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    bool object = n->type == TG_JSON_OBJECT;
    struct tg_str raw = tg_json_raw(doc, n);
    const struct tg_json_node *child = tg_json_first(n);
    uint32_t children = 0, behind = n->offset;
    for (; child < tg_json_end(n); child = tg_json_next(child), children++) {
        require(child->offset > behind && child->offset < n->offset + n->text.len);
        require(!object || children % 2 == 1 || child->type == TG_JSON_STRING);
        behind = child->offset + (uint32_t)tg_json_text(doc, child).len - 1;
    }
    require(child == tg_json_end(n) && children == tg_json_count(n) * (object ? 2 : 1));
    require(raw.ptr[0] == (object ? '{' : '[') && raw.ptr[raw.len - 1] == (object ? '}' : ']'));
}

static void check_node(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    struct tg_str text = tg_json_text(doc, n);
    require(n->span >= 1 && n + n->span <= doc->nodes + doc->count);
    require(text.len >= 1 && text.ptr >= doc->text && text.ptr + text.len <= doc->text + doc->len);
    if (n->type == TG_JSON_ARRAY || n->type == TG_JSON_OBJECT)
        check_container(doc, n);
    else if (n->type == TG_JSON_STRING)
        check_string(doc, n);
    else
        check_scalar(doc, n);
}

/* ---- writing it again ------------------------------------------------------------------------------- */

static void write_string(struct tg_json_writer *w, const struct tg_json_doc *doc,
                         const struct tg_json_node *n)
{
    char *out = allocate(n->text.len);
    int64_t len = tg_json_unescape(doc, n, out, n->text.len);
    tg_json_write_string(w, (struct tg_str){out, (size_t)len});
    free(out);
}

static void write_scalar(struct tg_json_writer *w, const struct tg_json_doc *doc,
                         const struct tg_json_node *n)
{
    switch (n->type) {
    case TG_JSON_NULL:
        tg_json_write_null(w);
        break;
    case TG_JSON_FALSE:
    case TG_JSON_TRUE:
        tg_json_write_bool(w, n->type == TG_JSON_TRUE);
        break;
    case TG_JSON_INT:
        tg_json_write_i64(w, n->i64);
        break;
    case TG_JSON_UINT:
        tg_json_write_u64(w, n->u64);
        break;
    case TG_JSON_REAL:
        tg_json_write_f64(w, n->f64);
        break;
    default:
        write_string(w, doc, n);
    }
}

/* Names may be any string here, so the writer's key call will not do. */
static void write_colon(struct tg_json_writer *w)
{
    require(w->len < w->cap);
    w->buf[w->len++] = ':';
}

/* Bounded recursion: the parser has refused what is deeper than TG_JSON_DEPTH_MAX. */
static void write_node(struct tg_json_writer *w, const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    if (n->type == TG_JSON_ARRAY) {
        tg_json_write_begin_array(w);
        TG_JSON_FOREACH(it, n)
        write_node(w, doc, it);
        tg_json_write_end_array(w);
    } else if (n->type == TG_JSON_OBJECT) {
        tg_json_write_begin_object(w);
        TG_JSON_FOREACH_MEMBER(key, n)
        {
            write_string(w, doc, key);
            write_colon(w);
            write_node(w, doc, key + 1);
        }
        tg_json_write_end_object(w);
    } else {
        write_scalar(w, doc, n);
    }
}

/* Both strings, once without escapes. */
static bool same_string(const struct tg_json_doc *a, const struct tg_json_node *x,
                        const struct tg_json_doc *b, const struct tg_json_node *y)
{
    char *out = allocate(x->text.len);
    int64_t len = tg_json_unescape(a, x, out, x->text.len);
    bool same = tg_json_string_eq(b, y, (struct tg_str){out, (size_t)len});
    free(out);
    return same;
}

/* A real of integral value is written, and so read, as an integer. */
static bool same_number(const struct tg_json_node *x, const struct tg_json_node *y)
{
    double a = tg_json_number(x), b = tg_json_number(y);
    if (x->type != TG_JSON_REAL)
        return x->type == y->type && x->u64 == y->u64;
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void check_same(const struct tg_json_doc *a, const struct tg_json_doc *b)
{
    require(a->count == b->count);
    for (uint32_t i = 0; i < a->count; i++) {
        const struct tg_json_node *x = a->nodes + i, *y = b->nodes + i;
        if (tg_json_is_number(x)) {
            require(tg_json_is_number(y) && same_number(x, y));
            continue;
        }
        require(x->type == y->type && x->span == y->span);
        if (x->type == TG_JSON_STRING)
            require(same_string(a, x, b, y));
        else if (x->type == TG_JSON_ARRAY || x->type == TG_JSON_OBJECT)
            require(tg_json_count(x) == tg_json_count(y));
    }
}

/*
 * Half the length plus one nodes suffice for a valid text, and are no excuse for an invalid one. The parser takes
 * another way then, to the same tape.
 */
static void check_capacity(const void *text, size_t len, int expected, const struct tg_json_doc *other)
{
    struct tg_json_error err;
    struct tg_json_doc doc = {.capacity = (uint32_t)(len / 2 + 1)};
    doc.nodes = allocate(doc.capacity * sizeof(*doc.nodes));
    require(tg_json_parse(&doc, text, len, &err) == expected);
    if (expected == 0)
        require(doc.count == other->count && memcmp(doc.nodes, other->nodes, doc.count * sizeof(*doc.nodes)) == 0);
    free(doc.nodes);
}

/* ---- the canonical text ------------------------------------------------------------------------------ */

static size_t write_canonical(const struct tg_json_doc *doc, enum json_canonical_form form, char *buf, size_t cap)
{
    struct json_canonical_room room = {.capacity = JSON_CANONICAL_ROOM(doc->count)};
    struct tg_json_writer w;
    room.members = allocate(room.capacity * sizeof(*room.members));
    tg_json_writer_init(&w, buf, cap);
    require(json_canonical_write(doc, doc->nodes, form, room, &w) == 0);
    free(room.members);
    return w.len;
}

/* Of a canonical text the canonical text is itself: it is JSON, sorted, and without a choice of spelling. */
static void check_canonical(const struct tg_json_doc *doc, enum json_canonical_form form)
{
    size_t cap = doc->len * (size_t)GROWTH + ROOM;
    char *once = allocate(cap), *twice = allocate(cap);
    struct tg_json_doc again;
    size_t len = write_canonical(doc, form, once, cap);
    require(parse_copy(&again, once, len) == 0);
    require(write_canonical(&again, form, twice, cap) == len && memcmp(once, twice, len) == 0);
    release(&again);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tg_json_doc doc, again;
    struct tg_json_writer w;
    int status = parse_copy(&doc, data, size);
    check_capacity(data, size, status, &doc);
    if (status != 0)
        return 0;
    for (uint32_t i = 0; i < doc.count; i++)
        check_node(&doc, doc.nodes + i);
    char *buf = allocate(size * GROWTH + ROOM);
    tg_json_writer_init(&w, buf, size * GROWTH + ROOM);
    write_node(&w, &doc, doc.nodes);
    require(!w.overflow);
    require(parse_copy(&again, w.buf, w.len) == 0);
    check_same(&doc, &again);
    check_canonical(&doc, JSON_CANONICAL_PYTHON);
    check_canonical(&doc, JSON_CANONICAL_JCS);
    release(&again);
    release(&doc);
    free(buf);
    return 0;
}

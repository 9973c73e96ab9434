/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) without allocation: one pass over the text fills a tape of 16-byte nodes which the caller
 * owns; readers walk the tape. The writer appends to the caller's buffer. Both are safe for any input bytes.
 * Thread: none of these functions keeps state; a document belongs to whoever owns its memory.
 */
#ifndef TG_JSON_H
#define TG_JSON_H

#include <string.h>
#include "tg/def.h"

#define TG_JSON_DEPTH_MAX 64
#define TG_JSON_TEXT_MAX (256u << 20) /* 28 bits of offset */

/*
 * Nodes for any text of this length: each value but the root brings a comma, colon or bracket along, so len / 2 + 1
 * hold every valid text; the rest is for brackets that a malformed one leaves open, to find its exact error.
 */
#define TG_JSON_NODES_MAX(len) ((len) / 2 + 1 + TG_JSON_DEPTH_MAX / 2)

enum tg_json_type {
    TG_JSON_NULL,
    TG_JSON_FALSE,
    TG_JSON_TRUE,
    TG_JSON_INT,  /* no fraction, no exponent, fits int64; -0 is REAL, to keep its sign */
    TG_JSON_UINT, /* likewise, above INT64_MAX, fits uint64 */
    TG_JSON_REAL, /* every other number, correctly rounded to double */
    TG_JSON_STRING,
    TG_JSON_ARRAY,
    TG_JSON_OBJECT, /* children alternate key (STRING), value */
};

struct tg_json_node {
    uint32_t type : 4;
    uint32_t offset : 28; /* bytes from the start of the text to the value's first byte (strings: the quote) */
    uint32_t span;        /* nodes from here to the next sibling: 1 for scalars */
    union {
        int64_t i64;
        uint64_t u64;
        double f64;
        struct {
            uint32_t len;     /* bytes of text: strings without quotes, containers with brackets */
            uint32_t aux;     /* strings: 1 if there are escapes; containers: number of elements or members */
        } text;
    };
};
_Static_assert(sizeof(struct tg_json_node) == 16, "tape node is two words");

struct tg_json_doc {
    const char *text; /* borrowed for as long as the document is read */
    uint32_t len;
    uint32_t count;    /* nodes used; nodes[0] is the root */
    uint32_t capacity; /* nodes available: TG_JSON_NODES_MAX(len) always suffice, len / 2 + 1 for valid texts */
    struct tg_json_node *nodes;
};

struct tg_json_error {
    uint32_t offset;     /* byte at which the text stopped being JSON */
    const char *message; /* static text, never the peer's */
};

/**
 * Parse one JSON value with nothing but white space around it.
 * @doc  nodes and capacity set by the caller; text, len and count are set here
 * Returns 0; -EINVAL malformed (also depth > TG_JSON_DEPTH_MAX, invalid UTF-8, lone surrogate escape,
 * number beyond double's range); -ENOSPC too many nodes (never with capacity > len / 2); -EFBIG text too long.
 * @err is set on failure only; its offset is exact, save that a text which has used len / 2 + 1 nodes, and so cannot
 * be valid, is refused at the next value.
 */
TG_API int tg_json_parse(struct tg_json_doc *doc, const char *text, size_t len, struct tg_json_error *err);

static inline const struct tg_json_node *tg_json_next(const struct tg_json_node *n)
{
    return n + n->span;
}

static inline const struct tg_json_node *tg_json_first(const struct tg_json_node *container)
{
    return container + 1;
}

static inline const struct tg_json_node *tg_json_end(const struct tg_json_node *container)
{
    return container + container->span;
}

/* Elements of an array, members of an object (then `it` is the key and it + 1 its value). */
#define TG_JSON_FOREACH(it, array)                                                                           \
    for (const struct tg_json_node *it = tg_json_first(array); it != tg_json_end(array); it = tg_json_next(it))
#define TG_JSON_FOREACH_MEMBER(key, object)                                                                  \
    for (const struct tg_json_node *key = tg_json_first(object); key != tg_json_end(object);                \
         key = tg_json_next(key + 1))

static inline uint32_t tg_json_count(const struct tg_json_node *container)
{
    return container->text.aux;
}

static inline bool tg_json_is_number(const struct tg_json_node *n)
{
    return n->type >= TG_JSON_INT && n->type <= TG_JSON_REAL;
}

static inline double tg_json_number(const struct tg_json_node *n)
{
    return n->type == TG_JSON_REAL ? n->f64 : n->type == TG_JSON_INT ? (double)n->i64 : (double)n->u64;
}

/* The value as it stands in the text, brackets and quotes included (any type but numbers and literals). */
static inline struct tg_str tg_json_raw(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    uint32_t quotes = n->type == TG_JSON_STRING ? 2 : 0;
    return (struct tg_str){doc->text + n->offset, n->text.len + quotes};
}

/* A string's bytes between the quotes. Still escaped if n->text.aux is set: then use tg_json_unescape(). */
static inline struct tg_str tg_json_string(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    return (struct tg_str){doc->text + n->offset + 1, n->text.len};
}

/**
 * Any value's own text, numbers and literals included (re-scans those few bytes).
 */
TG_API struct tg_str tg_json_text(const struct tg_json_doc *doc, const struct tg_json_node *n);

/**
 * Copy a string value without its escapes. Returns the length in bytes, or -ENOSPC if @cap is too small
 * (n->text.len always suffices). Not terminated.
 */
TG_API int64_t tg_json_unescape(const struct tg_json_doc *doc, const struct tg_json_node *n, char *out, size_t cap);

/* True if the string value, escapes resolved, equals @s. */
TG_API bool tg_json_string_eq(const struct tg_json_doc *doc, const struct tg_json_node *n, struct tg_str s);

/* First member of @object with this key, or NULL; also NULL if @object is not an object. */
TG_API const struct tg_json_node *tg_json_get(const struct tg_json_doc *doc, const struct tg_json_node *object,
                                              struct tg_str key);

/* ---- writing ---------------------------------------------------------------------------------------- */

/*
 * Appends to a buffer of fixed size. What does not fit is dropped and `overflow` set; nothing is ever written
 * past `cap`. Commas and nothing else are automatic (except around verbatim text): the writer looks at the last byte it wrote.
 */
struct tg_json_writer {
    char *buf;
    size_t len, cap;
    bool overflow;
};

static inline void tg_json_writer_init(struct tg_json_writer *w, char *buf, size_t cap)
{
    *w = (struct tg_json_writer){.buf = buf, .cap = cap};
}

TG_API void tg_json_write_begin_object(struct tg_json_writer *w);
TG_API void tg_json_write_end_object(struct tg_json_writer *w);
TG_API void tg_json_write_begin_array(struct tg_json_writer *w);
TG_API void tg_json_write_end_array(struct tg_json_writer *w);
/* Key of plain ASCII without characters that need escaping (our own names). */
TG_API void tg_json_write_key(struct tg_json_writer *w, struct tg_str key);
/* Any bytes; quotes, control characters and backslash are escaped, invalid UTF-8 becomes U+FFFD. */
TG_API void tg_json_write_string(struct tg_json_writer *w, struct tg_str s);
TG_API void tg_json_write_i64(struct tg_json_writer *w, int64_t v);
TG_API void tg_json_write_u64(struct tg_json_writer *w, uint64_t v);
/* Shortest text that reads back to the same double; integral values below 1e21 print as integers; not finite: null. */
TG_API void tg_json_write_f64(struct tg_json_writer *w, double v);
/* Shortest text that reads back to the same float. */
TG_API void tg_json_write_f32(struct tg_json_writer *w, float v);
TG_API void tg_json_write_bool(struct tg_json_writer *w, bool v);
TG_API void tg_json_write_null(struct tg_json_writer *w);
/* A value that is JSON text already (validated by the parser, or our own). */
TG_API void tg_json_write_raw(struct tg_json_writer *w, struct tg_str json);
/* Punctuation and all, exactly as it stands: for fixed parts of an answer that need not be put together each time. */
TG_API void tg_json_write_verbatim(struct tg_json_writer *w, struct tg_str text);

/* Literal-key shorthands for response code: TG_JSON_KEY(w, "status"). */
#define TG_JSON_KEY(w, literal) tg_json_write_key((w), TG_STR(literal))

#endif

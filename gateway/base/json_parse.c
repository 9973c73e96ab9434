/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text to tape in one pass, without recursion. While a container is open its node holds what the parser needs
 * to come back to it: `span` the distance to the container around it, `aux` its children so far.
 *
 * What a step waits for is the place that the step before found. Therefore strings go on from a bit map of the
 * text, which waits for nothing, and a branch makes sure that both agree.
 */
#include <errno.h>
#include "tg/json.h"
#include "json_lex.h"
#include "json_number.h"
#include "utf8.h"

/* Who parses what, and how it ended. */
struct parser {
    const char *text, *end;
    struct tg_json_node *nodes, *limit; /* the tape and its end */
    int status;
    struct tg_json_error error;
};

/*
 * Where the parse stands. Only functions that are inlined see it, so it stays in registers, with what it
 * takes from the parser: a store to the tape could change anything in memory, as far as the compiler knows.
 */
struct place {
    const char *p, *text, *end;
    const char *block; /* 64 bytes of the text, and those of them that are not plain and not yet taken */
    uint64_t stops;
    struct tg_json_node *next, *limit; /* first free node, the tape's end */
    struct tg_json_node *open;         /* innermost open container; NULL at the root */
    uint32_t children;                 /* values in it so far */
    uint32_t depth;
    bool object; /* it is an object, or there is none: no array */
    bool sure;   /* see byte_at(); a constant wherever it is looked at */
};

#define INLINE inline __attribute__((always_inline))

/* The rarer steps return where to go on, or NULL after this. The others return true, or this. */
static bool __attribute__((cold, noinline)) fail(struct parser *ps, const char *at, const char *message)
{
    ps->error = (struct tg_json_error){(uint32_t)(at - ps->text), message};
    ps->status = -EINVAL;
    return false;
}

/* A valid text has no more values than half its bytes, rounded up: beyond that, the text is to blame. */
static bool __attribute__((cold, noinline)) fail_no_space(struct parser *ps, const char *at)
{
    if (ps->limit - ps->nodes > (ps->end - ps->text) / 2)
        return fail(ps, at, "brackets left open");
    fail(ps, at, "too many values");
    ps->status = -ENOSPC;
    return false;
}

static bool __attribute__((cold, noinline))
fail_expecting(struct parser *ps, const char *at, const char *message)
{
    return fail(ps, at, at == ps->end ? "unexpected end of text" : message);
}

/*
 * The byte at p <= end, or NUL at the end. Sure is a text whose last byte is a bracket: nothing but that bracket
 * leads to its end, no string, as that would have to close, nor any other token. Only close_container() has to
 * look for the end then.
 */
static INLINE char byte_at(const struct place *at, const char *p)
{
    return at->sure || TG_LIKELY(p < at->end) ? *p : '\0';
}

static INLINE bool tape_full(const struct place *at)
{
    return !at->sure && TG_UNLIKELY(at->next == at->limit);
}

static const char *__attribute__((noinline)) skip_blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Steps to the next byte that is not white space, and returns it; compact text has none. */
static INLINE char next_byte(struct place *at)
{
    char c = byte_at(at, at->p);
    if (TG_LIKELY((unsigned char)c > ' '))
        return c;
    at->p = skip_blanks(at->p, at->end);
    return tg_json_peek(at->p, at->end);
}

/* Whether @want comes next, behind white space if there is any. */
static INLINE bool expect_byte(struct place *at, char want)
{
    return TG_LIKELY(byte_at(at, at->p) == want) || next_byte(at) == want;
}

/*
 * Type, offset and span in one store, and the rest in another: written as bit-fields they cost a read that
 * waits for the store before it. Bit-fields fill a word from its lowest bit in the ABIs we build for; a unit
 * test would notice another.
 */
static INLINE void set_node(struct tg_json_node *n, uint32_t type, size_t offset, uint64_t rest)
{
    uint64_t head = type | offset << 4 | UINT64_C(1) << 32;
    memcpy(n, &head, sizeof(head));
    n->u64 = rest;
}

/* The next node of the tape, for the value at the place, which ends at @behind. */
static INLINE void append(struct place *at, uint32_t type, uint64_t rest, const char *behind)
{
    set_node(at->next++, type, (size_t)(at->p - at->text), rest);
    at->p = behind;
}

static uint64_t __attribute__((noinline)) stops_of_short(const char *p, const char *end)
{
    return tg_json_stops_tail(p, end);
}

/* The bracket at the end is made to stop, for want of anything behind it that would. */
static INLINE uint64_t stops_near_end(const struct place *at, const char *p)
{
    unsigned left = (unsigned)(at->end - p);
    if (!at->sure)
        return stops_of_short(p, at->end);
    return tg_json_stops_64(at->end - 64) >> (64 - left) | UINT64_MAX << (left - 1);
}

static INLINE void look_at_block(struct place *at, const char *p)
{
    at->block = p;
    at->stops = TG_LIKELY(at->end - p > 64) ? tg_json_stops_64(p) : stops_near_end(at, p);
}

/* The next byte that is not plain, or the end. Blocks follow one another whatever is in them: none waits. */
static INLINE const char *take_stop(struct place *at)
{
    while (at->stops == 0)
        look_at_block(at, at->block + 64);
    const char *stop = at->block + (unsigned)__builtin_ctzll(at->stops);
    at->stops &= at->stops - 1;
    return stop;
}

/* Stops lie between here and p, or were stepped over: p, which is one, becomes the last that was taken. */
static INLINE void catch_up(struct place *at, const char *p)
{
    if (p - at->block >= 64)
        look_at_block(at, at->text + ((size_t)(p - at->text) & ~(size_t)63));
    at->stops &= UINT64_MAX << (p - at->block);
    at->stops &= at->stops - 1;
}

/*
 * The quote at the place is the next stop, as a rule. To go on from the stop, rather than from the place that
 * is the same, is to be told so by a branch that is foreseen: then no string waits for what was before it.
 */
static INLINE const char *opening_quote(struct place *at)
{
    const char *quote = take_stop(at), *stop = quote;
    __asm__("" : "+r"(quote)); /* lest the compiler see that both are the same */
    if (TG_LIKELY(stop == at->p))
        return quote;
    catch_up(at, at->p);
    return at->p;
}

static const char *string_error(char c)
{
    if (c == '\\')
        return "bad escape";
    return (signed char)c < 0 ? "invalid UTF-8" : "control character in a string";
}

/* Behind plain ASCII: escapes and runs of non-ASCII, up to the next plain byte or the quote. */
static const char *skip_special(struct parser *ps, const char *p, uint32_t *escapes)
{
    const char *end = ps->end;
    while (p < end && !tg_json_is_plain(*p) && *p != '"') {
        uint32_t code;
        bool escape = *p == '\\';
        unsigned bytes = escape ? tg_json_escape(p, end, &code) : tg_utf8_sequence(p, end);
        if (TG_UNLIKELY(bytes == 0)) {
            fail(ps, p, string_error(*p));
            return NULL;
        }
        *escapes |= escape;
        p += bytes;
    }
    return p;
}

/* Where the closing quote of a string is that is not all plain, from its first other byte on. */
static const char *find_quote(struct parser *ps, const char *p, uint32_t *escapes)
{
    while (p < ps->end && *p != '"') {
        p = skip_special(ps, p, escapes);
        if (TG_UNLIKELY(!p))
            return NULL;
        p = tg_json_skip_plain(p, ps->end);
    }
    if (TG_LIKELY(p < ps->end))
        return p;
    fail(ps, p, "unterminated string");
    return NULL;
}

/*
 * A string that is not all plain, from its first other byte on: where it ends, NULL after an error. Whether it has
 * escapes is left in the node, which will be written anew: a variable that has an address would stay in memory.
 */
static const char *__attribute__((noinline)) read_special(struct parser *ps, const char *p, struct tg_json_node *n)
{
    uint32_t escapes = 0;
    const char *quote = find_quote(ps, p, &escapes);
    n->text.aux = escapes;
    return quote;
}

static INLINE bool read_string(struct parser *ps, struct place *at)
{
    if (tape_full(at))
        return fail_no_space(ps, at->p);
    at->p = opening_quote(at);
    const char *quote = take_stop(at);
    if (TG_LIKELY(byte_at(at, quote) == '"')) {
        append(at, TG_JSON_STRING, (uint64_t)(quote - at->p - 1), quote + 1);
        return true;
    }
    struct tg_json_node *n = at->next;
    quote = read_special(ps, quote, n);
    if (TG_UNLIKELY(!quote))
        return false;
    append(at, TG_JSON_STRING, (uint64_t)(quote - at->p - 1) | (uint64_t)n->text.aux << 32, quote + 1);
    return true;
}

static INLINE bool read_number(struct parser *ps, struct place *at)
{
    struct tg_json_number number = tg_json_number_read(at->text, at->p, at->end);
    if (TG_UNLIKELY(number.error))
        return fail(ps, number.end, number.error);
    if (tape_full(at))
        return fail_no_space(ps, at->p);
    append(at, number.type, number.u64, number.end);
    return true;
}

/* Whether a number starts so: one of eleven bytes out of thirteen, without a branch that signs would decide. */
static INLINE bool starts_number(char c)
{
    unsigned behind = (unsigned char)(c - '-');
    return behind <= '9' - '-' && (0x1ff9u >> behind & 1);
}

/* In an array: steps over the comma if right behind it another number starts. */
static INLINE bool next_number(struct place *at)
{
    if (at->object || byte_at(at, at->p) != ',')
        return false;
    char c = byte_at(at, at->p + 1);
    if (!starts_number(c))
        return false;
    at->p++;
    at->children++;
    return true;
}

/* A number, and in an array as many as follow it with nothing in between: vectors come so. */
static INLINE bool read_numbers(struct parser *ps, struct place *at)
{
    do
        if (TG_UNLIKELY(!read_number(ps, at)))
            return false;
    while (next_number(at));
    return true;
}

static bool __attribute__((cold, noinline)) fail_word(struct parser *ps, const char *p, struct tg_str word)
{
    size_t same = 0, room = (size_t)(ps->end - p);
    while (same < room && p[same] == word.ptr[same])
        same++;
    return fail_expecting(ps, p + same, "unknown word");
}

static INLINE bool read_literal(struct parser *ps, struct place *at, enum tg_json_type type,
                                struct tg_str word)
{
    if (TG_UNLIKELY((size_t)(at->end - at->p) < word.len || memcmp(at->p, word.ptr, word.len) != 0))
        return fail_word(ps, at->p, word);
    if (tape_full(at))
        return fail_no_space(ps, at->p);
    append(at, type, 0, at->p + word.len);
    return true;
}

static INLINE bool read_scalar(struct parser *ps, struct place *at, char c)
{
    if (starts_number(c))
        return read_numbers(ps, at);
    switch (c) {
    case 't':
        return read_literal(ps, at, TG_JSON_TRUE, TG_STR("true"));
    case 'f':
        return read_literal(ps, at, TG_JSON_FALSE, TG_STR("false"));
    case 'n':
        return read_literal(ps, at, TG_JSON_NULL, TG_STR("null"));
    default:
        return fail_expecting(ps, at->p, "expected a value");
    }
}

static INLINE bool open_container(struct parser *ps, struct place *at, char c)
{
    if (TG_UNLIKELY(at->depth == TG_JSON_DEPTH_MAX))
        return fail(ps, at->p, "nested too deeply");
    if (tape_full(at))
        return fail_no_space(ps, at->p);
    struct tg_json_node *n = at->next;
    at->object = c == '{';
    append(at, at->object ? TG_JSON_OBJECT : TG_JSON_ARRAY, 0, at->p + 1);
    if (at->open) {
        at->open->text.aux = at->children;
        n->span = (uint32_t)(n - at->open);
    }
    at->open = n;
    at->children = 0;
    at->depth++;
    return true;
}

/* The place is on the closing bracket. False if the text ends behind it too soon. */
static INLINE bool close_container(struct parser *ps, struct place *at)
{
    struct tg_json_node *n = at->open;
    uint32_t back = n->span;
    at->p++;
    n->span = (uint32_t)(at->next - n);
    n->text.len = (uint32_t)(at->p - at->text) - n->offset;
    n->text.aux = at->children;
    at->open = --at->depth ? n - back : NULL;
    if (at->open) {
        at->children = at->open->text.aux;
        at->object = at->open->type == TG_JSON_OBJECT;
    }
    return TG_LIKELY(at->p < at->end) || !at->open || fail(ps, at->p, "unexpected end of text");
}

/* The name and its colon. */
static INLINE bool read_key(struct parser *ps, struct place *at)
{
    if (TG_UNLIKELY(!expect_byte(at, '"')))
        return fail_expecting(ps, at->p, "expected a member name in quotes");
    if (TG_UNLIKELY(!read_string(ps, at)))
        return false;
    if (TG_UNLIKELY(!expect_byte(at, ':')))
        return fail_expecting(ps, at->p, "expected ':'");
    at->p++;
    return true;
}

/* How a step ended: with a value to be read next, with all that there is, or badly. */
enum next { NEXT_VALUE, NEXT_NONE, NEXT_FAILED };

/* Behind a value: counts it and closes what ends here. Then the place is behind a comma, or behind the root. */
static INLINE enum next leave_value(struct parser *ps, struct place *at)
{
    do {
        at->children++;
        if (TG_LIKELY(expect_byte(at, ','))) {
            at->p++;
            return NEXT_VALUE;
        }
        if (TG_UNLIKELY(byte_at(at, at->p) != (at->object ? '}' : ']'))) {
            fail_expecting(ps, at->p, at->object ? "expected ',' or '}'" : "expected ',' or ']'");
            return NEXT_FAILED;
        }
        if (TG_UNLIKELY(!close_container(ps, at)))
            return NEXT_FAILED;
    } while (at->open);
    return NEXT_NONE;
}

/* A container as far as its first child, or through it if it has none. */
static INLINE enum next enter_container(struct parser *ps, struct place *at, char c)
{
    if (TG_UNLIKELY(!open_container(ps, at, c)))
        return NEXT_FAILED;
    if (TG_LIKELY(next_byte(at) != c + 2)) /* in ASCII each bracket closes two further on */
        return NEXT_VALUE;
    if (TG_UNLIKELY(!close_container(ps, at)))
        return NEXT_FAILED;
    return at->open ? leave_value(ps, at) : NEXT_NONE;
}

/* A value within a container; what comes most is asked for first. */
static INLINE enum next read_value(struct parser *ps, struct place *at)
{
    char c = byte_at(at, at->p);
    if (TG_UNLIKELY((unsigned char)c <= ' '))
        c = next_byte(at);
    if (TG_LIKELY(c == '"'))
        return TG_LIKELY(read_string(ps, at)) ? leave_value(ps, at) : NEXT_FAILED;
    if (c == '{' || c == '[')
        return enter_container(ps, at, c);
    return TG_LIKELY(read_scalar(ps, at, c)) ? leave_value(ps, at) : NEXT_FAILED;
}

/* Each turn takes one scalar or one opening bracket, with the name before it if it has one. */
static INLINE bool read_tree(struct parser *ps, struct place *at)
{
    char c = next_byte(at);
    if (c != '{' && c != '[')
        return c == '"' ? read_string(ps, at) : read_scalar(ps, at, c);
    enum next next = enter_container(ps, at, c);
    while (TG_LIKELY(next == NEXT_VALUE))
        next = TG_LIKELY(!at->object || read_key(ps, at)) ? read_value(ps, at) : NEXT_FAILED;
    return next == NEXT_NONE;
}

/* Sets *count to the nodes used. */
static INLINE int parse(struct parser *ps, bool sure, uint32_t *count)
{
    struct place at = {.p = ps->text,
                       .text = ps->text,
                       .end = ps->end,
                       .next = ps->nodes,
                       .limit = ps->limit,
                       .object = true,
                       .sure = sure};
    look_at_block(&at, at.p);
    if (!read_tree(ps, &at))
        return ps->status;
    if (at.p != at.end && skip_blanks(at.p, at.end) != at.end)
        fail(ps, skip_blanks(at.p, at.end), "text behind the value");
    *count = (uint32_t)(at.next - ps->nodes);
    return ps->status;
}

/* The same code twice: with what is sure left unchecked, and with all checks. */
static __attribute__((noinline, hot)) int parse_surely(struct parser *ps, uint32_t *count)
{
    return parse(ps, true, count);
}

static __attribute__((noinline)) int parse_any(struct parser *ps, uint32_t *count)
{
    return parse(ps, false, count);
}

static const char *without_blanks(const char *text, const char *end)
{
    while (end > text && (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\t'))
        end--;
    return end;
}

/* With a tape that holds any text of this length, and room for a last block that overlaps the one before. */
static bool is_sure(const struct tg_json_doc *doc, const char *text, const char *end)
{
    size_t len = (size_t)(end - text);
    return len >= 64 && (end[-1] == '}' || end[-1] == ']') && doc->capacity >= TG_JSON_NODES_MAX(len);
}

int tg_json_parse(struct tg_json_doc *doc, const char *text, size_t len, struct tg_json_error *err)
{
    if (len > TG_JSON_TEXT_MAX) {
        *err = (struct tg_json_error){TG_JSON_TEXT_MAX, "text too long"};
        return -EFBIG;
    }
    if (len == 0)
        text = ""; /* as NULL takes part in no arithmetic */
    struct parser ps = {.text = text, .end = without_blanks(text, text + len), .nodes = doc->nodes};
    uint32_t count = 0;
    int status = is_sure(doc, text, ps.end) ? parse_surely(&ps, &count) : -EAGAIN;
    if (TG_UNLIKELY(status)) { /* what is wrong with it, if anything, is found with all checks */
        ps.status = 0;
        ps.end = text + len;
        ps.limit = doc->capacity ? doc->nodes + doc->capacity : doc->nodes;
        status = parse_any(&ps, &count);
    }
    if (TG_UNLIKELY(status)) {
        *err = ps.error;
        return status;
    }
    doc->text = text;
    doc->len = (uint32_t)len;
    doc->count = count;
    return 0;
}

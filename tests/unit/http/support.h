/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the HTTP tests: parse a text whole and in pieces, and say what came out. */
#ifndef TG_TEST_HTTP_SUPPORT_H
#define TG_TEST_HTTP_SUPPORT_H

#include "gateway/http/parse.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const struct http_limits test_limits = {
    .head_bytes_max = 8192, .target_bytes_max = 2048, .headers_max = 64};

struct outcome {
    int used; /* as http_parse_head() returns it, negative folded to -1 */
    struct http_head head;
    struct http_refusal why;
};

/* Each call gets a copy of exactly the bytes that came, so that the address sanitizer sees a read too far. */
static inline int parse_copy(const char *text, size_t len, size_t *scanned, const struct http_limits *limits,
                             struct outcome *o)
{
    char *copy = malloc(len + 1);
    memcpy(copy + 1, text, len);
    memset(&o->head, 0xa5, sizeof(o->head)); /* what was there before must not shine through */
    o->used = http_parse_head(copy + 1, len, scanned, limits, &o->head, &o->why);
    free(copy);
    return o->used;
}

/* The text comes in steps of @step bytes after a first piece of @first bytes. */
static inline struct outcome parse_in_pieces(const char *text, size_t len, size_t first, size_t step,
                                             const struct http_limits *limits)
{
    struct outcome o = {0};
    size_t scanned = 0, have = first < len ? first : len;
    while (parse_copy(text, have, &scanned, limits, &o) == 0 && have < len)
        have = len - have > step ? have + step : len;
    return o;
}

static inline void expect_same(const struct outcome *a, const struct outcome *b, const char *text, size_t cut)
{
    cr_assert_eq(a->used, b->used, "cut at %zu: %d against %d in: %s", cut, a->used, b->used, text);
    if (a->used > 0)
        cr_assert_eq(memcmp(&a->head, &b->head, sizeof(a->head)), 0, "cut at %zu: %s", cut, text);
    if (a->used < 0)
        cr_assert_eq(a->why.status, b->why.status, "cut at %zu: %d", cut, b->why.status);
    if (a->used < 0)
        cr_assert_str_eq(a->why.reason, b->why.reason, "cut at %zu", cut);
}

/* The outcome of a text, after checking that every cut in two and byte-by-byte arrival end the same way. */
static inline struct outcome parse_every_way(const char *text, size_t len, const struct http_limits *limits)
{
    struct outcome whole = parse_in_pieces(text, len, len, 1, limits);
    struct outcome bytes = parse_in_pieces(text, len, 0, 1, limits);
    expect_same(&whole, &bytes, text, 0);
    for (size_t cut = 1; cut < len; cut++) {
        struct outcome halves = parse_in_pieces(text, len, cut, len, limits);
        expect_same(&whole, &halves, text, cut);
    }
    return whole;
}

#define PARSE(literal) parse_every_way((literal), sizeof(literal) - 1, &test_limits)

static inline void expect_status(const char *text, size_t len, unsigned status)
{
    struct outcome o = parse_every_way(text, len, &test_limits);
    cr_assert_lt(o.used, 0, "accepted or waiting (%d): %s", o.used, text);
    cr_assert_eq(o.why.status, status, "status %d (%s), not %u: %s", o.why.status, o.why.reason, status,
                 text);
}

#define REFUSED(literal, status) expect_status((literal), sizeof(literal) - 1, (status))

static inline struct outcome expect_accepted(const char *text, size_t len)
{
    struct outcome o = parse_every_way(text, len, &test_limits);
    cr_assert_eq(o.used, (int)len, "used %d of %zu, %s: %s", o.used, len, o.used < 0 ? o.why.reason : "",
                 text);
    return o;
}

#define ACCEPTED(literal) expect_accepted((literal), sizeof(literal) - 1)

static inline bool span_is(const char *text, struct http_span span, const char *want)
{
    return span.len == strlen(want) && memcmp(text + span.off, want, span.len) == 0;
}

#endif

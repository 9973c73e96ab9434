/* SPDX-License-Identifier: Apache-2.0 */
/* Header lines: syntax, limits, and the spans that come out. */
#include "support.h"

#include <stdio.h>

#define LINE "GET / HTTP/1.1\r\n"
#define START LINE "Host: a\r\n"

Test(header, values_are_trimmed_of_spaces_and_tabs)
{
    static const char text[] = START "Content-Type:\t  application/json \t\r\n\r\n";
    struct outcome o = ACCEPTED(text);
    cr_assert(span_is(text, o.head.header[HTTP_H_CONTENT_TYPE], "application/json"));
}

Test(header, may_be_present_and_empty)
{
    struct outcome o = ACCEPTED(START "Prefer:\r\nOrigin:  \t \r\n\r\n");
    cr_assert(http_has_header(&o.head, HTTP_H_PREFER) && o.head.header[HTTP_H_PREFER].len == 0);
    cr_assert(http_has_header(&o.head, HTTP_H_ORIGIN) && o.head.header[HTTP_H_ORIGIN].len == 0);
    cr_assert(!http_has_header(&o.head, HTTP_H_EXPECT));
}

Test(header, first_occurrence_wins_where_repetition_is_harmless)
{
    static const char text[] = START "tracestate: one\r\ntracestate: two\r\n\r\n";
    cr_assert(span_is(text, ACCEPTED(text).head.header[HTTP_H_TRACESTATE], "one"));
}

/* Builds a head around one known name, in the case that @fold makes of it. */
static struct outcome parse_named(const char *name, int (*fold)(int), char *text, size_t cap)
{
    int n = snprintf(text, cap, "GET / HTTP/1.0\r\nX-%s: no\r\n%s: 42\r\n%.*s: no\r\n\r\n", name, name,
                     (int)strlen(name) - 1, name);
    for (char *p = strstr(text, "no\r\n"); *p != '\0'; p++)
        *p = (char)fold(*p);
    return parse_every_way(text, (size_t)n, &test_limits);
}

static int to_upper(int c)
{
    return c >= 'a' && c <= 'z' ? c - 32 : c;
}

static int same(int c)
{
    return c;
}

Test(header, every_known_name_is_found_in_any_case)
{
    static const char *const names[] = {
#define HEADER(ident, name, values) name,
#include "gateway/http/headers.def"
#undef HEADER
    };
    for (int id = 0; id < HTTP_H_COUNT; id++) {
        if (id == HTTP_H_TRANSFER_ENCODING || id == HTTP_H_EXPECT)
            continue; /* 42 is no value for these; framing_test.c has them */
        char text[256];
        struct outcome o = parse_named(names[id], id % 2 ? to_upper : same, text, sizeof(text));
        cr_assert_gt(o.used, 0, "%s: %s", names[id], o.why.reason);
        cr_assert_eq(o.head.present, 1u << id, "%s", names[id]);
        cr_assert(span_is(text, o.head.header[id], "42"), "%s", names[id]);
    }
}

Test(header, unknown_names_are_passed_over)
{
    struct outcome o = ACCEPTED(START "Hos: b\r\nHosts: c\r\nX-Iicp-Consumer-Tokem: d\r\n"
                                      "A-Name-That-Is-Longer-Than-Any-Name-We-Know-Of: e\r\n\r\n");
    cr_assert_eq(o.head.present, 1u << HTTP_H_HOST);
}

Test(header, two_values_of_a_header_that_has_one_are_refused)
{
    REFUSED(START "Content-Type: application/json\r\nContent-Type: text/plain\r\n\r\n", 400);
    REFUSED(START "Authorization: Bearer a\r\nX: y\r\nAUTHORIZATION: Bearer b\r\n\r\n", 400);
    REFUSED(START "traceparent: \r\ntraceparent: b\r\n\r\n", 400);
    REFUSED(START "Origin: a\r\nOrigin: a\r\nOrigin: b\r\n\r\n", 400);
    ACCEPTED(START "Content-Type: a/b\r\nContent-Type:  a/b \r\n\r\n");
}

Test(header, lists_may_come_in_several_lines)
{
    ACCEPTED(START "Connection: close\r\nConnection: x\r\nAccept-Encoding: gzip\r\nAccept-Encoding: deflate\r\n"
                   "tracestate: a=1\r\ntracestate: b=2\r\nPrefer: wait\r\nPrefer: x\r\n\r\n");
}

Test(header, bare_line_breaks_are_refused)
{
    REFUSED(START "A: b\nC: d\r\n\r\n", 400);
    REFUSED(START "A: b\rC: d\r\n\r\n", 400);
    REFUSED(START "A: b\r\r\nC: d\r\n\r\n", 400);
    REFUSED(START "A: b\r\n\nGET", 400);
    REFUSED(START "A: b\r\n\rX\n", 400);
    REFUSED(START "\n", 400);
}

Test(header, folded_lines_are_refused)
{
    REFUSED(START "A: b\r\n c\r\n\r\n", 400);
    REFUSED(START "A: b\r\n\tc\r\n\r\n", 400);
    REFUSED(LINE " Host: a\r\n\r\n", 400);
}

Test(header, space_before_the_colon_is_refused)
{
    REFUSED(START "Content-Length : 5\r\n\r\n", 400);
    REFUSED(START "Content-Length\t: 5\r\n\r\n", 400);
}

Test(header, empty_and_colonless_names_are_refused)
{
    REFUSED(START ": x\r\n\r\n", 400);
    REFUSED(START "colonless\r\n\r\n", 400);
    REFUSED(START "Content Length: 5\r\n\r\n", 400);
}

/* One header line with @c in place of the X; every byte takes a turn. */
static void expect_byte(char *text, size_t len, size_t at, unsigned c, bool fine)
{
    text[at] = (char)c;
    struct outcome o = parse_every_way(text, len, &test_limits);
    cr_assert_eq(o.used, fine ? (int)len : -1, "byte %u", c);
    cr_assert(fine || o.why.status == 400, "byte %u", c);
}

Test(header, names_hold_token_bytes_only)
{
    char text[] = START "aXb: c\r\n\r\n";
    for (unsigned c = 0; c < 256; c++) {
        bool letter = ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
        bool fine =
            letter || (c >= '0' && c <= '9') || (c != 0 && strchr("!#$%&'*+-.^_`|~:", (int)c) != NULL);
        expect_byte(text, sizeof(text) - 1, sizeof(START), c, fine);
    }
}

Test(header, values_hold_no_control_bytes_but_tab)
{
    char text[] = START "a: bXb\r\n\r\n", last[] = START "a: b\r\nlonger-name: 0123456789abcdefX\r\n\r\n";
    for (unsigned c = 0; c < 256; c++) {
        bool fine = c == '\t' || (c >= 0x20 && c != 0x7f);
        expect_byte(text, sizeof(text) - 1, strlen(START) + 4, c, fine);
        expect_byte(last, sizeof(last) - 1, sizeof(last) - 6, c, fine);
    }
}

Test(header, count_over_the_limit_gets_431)
{
    struct http_limits tight = test_limits;
    tight.headers_max = 3;
    static const char three[] = START "A: b\r\nC: d\r\n\r\n", four[] = START "A: b\r\nC: d\r\nE";
    cr_assert_eq(parse_every_way(three, sizeof(three) - 1, &tight).used, (int)sizeof(three) - 1);
    struct outcome o = parse_every_way(four, sizeof(four) - 1, &tight);
    cr_assert_eq(o.used, -1);
    cr_assert_eq(o.why.status, 431);
}

Test(header, head_over_the_limit_gets_431_before_its_end)
{
    static const char text[] = START "A: bcdefghijklmnop\r\n\r\n";
    size_t len = sizeof(text) - 1;
    for (size_t limit = 1; limit <= len + 1; limit++) {
        struct http_limits tight = test_limits;
        tight.head_bytes_max = (uint32_t)limit;
        struct outcome o = parse_every_way(text, len, &tight);
        cr_assert_eq(o.used, limit >= len ? (int)len : -1, "limit %zu", limit);
        cr_assert(limit >= len || o.why.status == 431, "limit %zu", limit);
    }
}

Test(header, an_endless_line_gets_431)
{
    char text[8200];
    memset(text, 'a', sizeof(text));
    memcpy(text, START, strlen(START));
    struct outcome o = parse_in_pieces(text, sizeof(text), 0, 1, &test_limits);
    cr_assert_eq(o.used, -1);
    cr_assert_eq(o.why.status, 431);
}

Test(header, incomplete_heads_wait_at_every_byte)
{
    static const char text[] = "\r\nPOST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct outcome o = parse_in_pieces(text, len, len, 1, &test_limits);
        cr_assert_eq(o.used, 0, "%zu bytes", len);
    }
}

/* Two heads in one buffer: the first is taken alone, the second starts where it ended. */
Test(header, pipelined_requests_are_taken_one_at_a_time)
{
    static const char text[] = "GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: b\r\n\r\n";
    size_t len = sizeof(text) - 1, scanned = 0;
    for (size_t cut = 0; cut <= len; cut++) {
        struct outcome first = parse_in_pieces(text, len, cut, 1, &test_limits), second = {0};
        cr_assert_eq(first.used, 30);
        cr_assert(span_is(text, first.head.path, "/one"));
        cr_assert_eq(parse_copy(text + 30, len - 30, &scanned, &test_limits, &second), 30);
        cr_assert(span_is(text + 30, second.head.path, "/two"));
    }
}

Test(header, progress_is_cleared_for_the_next_request)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct outcome o;
    size_t scanned = 0;
    cr_assert_eq(parse_copy(text, 20, &scanned, &test_limits, &o), 0);
    cr_assert_neq(scanned, 0);
    cr_assert_gt(parse_copy(text, sizeof(text) - 1, &scanned, &test_limits, &o), 0);
    cr_assert_eq(scanned, 0);
}

/* What was checked while waiting is not looked at again: bytes ruined behind the parser's back go unnoticed.
 */
Test(header, waiting_never_goes_back_over_checked_bytes)
{
    char text[1200] = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
    struct outcome o;
    size_t scanned = 0, start = strlen(text);
    memset(text + start, 'v', sizeof(text) - start);
    for (size_t have = start; have < sizeof(text); have++) {
        cr_assert_eq(parse_copy(text, have, &scanned, &test_limits, &o), 0, "%zu bytes", have);
        text[have - 1] = '\0';
    }
}

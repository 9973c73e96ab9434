/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies: payload, framing errors and bounds, whole and in every fragmentation. */
#include "gateway/http/parse.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct body {
    enum http_chunked_result result;
    size_t used, len;
    char *bytes;
};

/* Feeds one piece from memory of exactly its size. */
static void feed(struct http_chunked *c, struct body *b, const char *piece, size_t n, size_t cap)
{
    size_t used, got;
    char *copy = malloc(n + 1);
    memcpy(copy + 1, piece, n);
    b->result = http_chunked_decode(c, copy + 1, n, &used, b->bytes + b->len, cap - b->len, &got);
    b->used += used;
    b->len += got;
    free(copy);
}

static struct body decode(const char *in, size_t len, size_t cap, size_t first, size_t step)
{
    struct http_chunked c = {0};
    struct body b = {.bytes = malloc(cap + 1)};
    size_t piece = TG_MIN(first, len);
    do {
        feed(&c, &b, in + b.used, piece, cap);
        piece = TG_MIN(step, len - b.used);
    } while (b.result == HTTP_CHUNKED_MORE && b.used < len);
    return b;
}

static void expect_same(const struct body *a, struct body b, size_t cut)
{
    cr_assert_eq(a->result, b.result, "cut at %zu: %d against %d", cut, a->result, b.result);
    cr_assert_eq(a->used, b.used, "cut at %zu: used %zu against %zu", cut, a->used, b.used);
    cr_assert_eq(a->len, b.len, "cut at %zu", cut);
    cr_assert_eq(memcmp(a->bytes, b.bytes, a->len), 0, "cut at %zu", cut);
    free(b.bytes);
}

/* Decodes with the output laid over the input, as the worker does. */
static struct body decode_in_place(const char *in, size_t len, size_t cap)
{
    struct http_chunked c = {0};
    struct body b = {.bytes = malloc(len + 1)};
    memcpy(b.bytes, in, len);
    b.result = http_chunked_decode(&c, b.bytes, len, &b.used, b.bytes, cap, &b.len);
    return b;
}

static struct body every_way(const char *in, size_t len, size_t cap)
{
    struct body whole = decode(in, len, cap, len, 1);
    expect_same(&whole, decode(in, len, cap, 0, 1), 0);
    for (size_t cut = 1; cut < len; cut++)
        expect_same(&whole, decode(in, len, cap, cut, len), cut);
    expect_same(&whole, decode_in_place(in, len, cap), len);
    return whole;
}

#define CAP 64

static void expect(const char *in, size_t len, enum http_chunked_result result, const char *payload,
                   size_t used)
{
    struct body b = every_way(in, len, CAP);
    cr_assert_eq(b.result, result, "%d, not %d: %s", b.result, result, in);
    cr_assert_eq(b.len, strlen(payload), "%zu bytes: %s", b.len, in);
    cr_assert_eq(memcmp(b.bytes, payload, b.len), 0, "%s", in);
    cr_assert_eq(b.used, used, "used %zu, not %zu: %s", b.used, used, in);
    free(b.bytes);
}

#define GOOD(in, payload) expect((in), sizeof(in) - 1, HTTP_CHUNKED_DONE, (payload), sizeof(in) - 1)

static void expect_bad(const char *in, size_t len)
{
    struct body b = every_way(in, len, CAP);
    cr_assert_eq(b.result, HTTP_CHUNKED_MALFORMED, "%d: %s", b.result, in);
    free(b.bytes);
}

#define BAD(in) expect_bad((in), sizeof(in) - 1)

Test(chunked, joins_chunks)
{
    GOOD("5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n", "hello, world");
    GOOD("0\r\n\r\n", "");
    GOOD("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij");
}

Test(chunked, payload_may_look_like_framing)
{
    GOOD("7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n");
}

Test(chunked, stops_where_the_body_ends)
{
    static const char text[] = "1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    expect(text, sizeof(text) - 1, HTTP_CHUNKED_DONE, "x", 11);
}

Test(chunked, takes_nothing_after_its_end)
{
    struct http_chunked c = {0};
    size_t used, got;
    char out[4];
    cr_assert_eq(http_chunked_decode(&c, "0\r\n\r\n", 5, &used, out, 4, &got), HTTP_CHUNKED_DONE);
    cr_assert_eq(http_chunked_decode(&c, "1\r\nx", 4, &used, out, 4, &got), HTTP_CHUNKED_DONE);
    cr_assert_eq(used, 0);
    cr_assert_eq(got, 0);
}

Test(chunked, stays_malformed)
{
    struct http_chunked c = {0};
    size_t used, got;
    char out[4];
    cr_assert_eq(http_chunked_decode(&c, "x", 1, &used, out, 4, &got), HTTP_CHUNKED_MALFORMED);
    cr_assert_eq(http_chunked_decode(&c, "0\r\n\r\n", 5, &used, out, 4, &got), HTTP_CHUNKED_MALFORMED);
}

Test(chunked, waits_at_every_byte)
{
    static const char text[] = "3;x=y\r\nabc\r\n0\r\nA: b\r\n\r\n";
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        struct body b = decode(text, n, CAP, n, 1);
        cr_assert_eq(b.result, HTTP_CHUNKED_MORE, "%zu bytes", n);
        cr_assert_eq(b.used, n);
        free(b.bytes);
    }
}

Test(chunked, sizes_are_plain_hex)
{
    BAD("x\r\n");
    BAD("-1\r\nx\r\n");
    BAD("+1\r\nx\r\n");
    BAD("0x1\r\nx\r\n");
    BAD("1g\r\nx\r\n");
    BAD(" 1\r\nx\r\n");
    BAD("1 \r\nx\r\n");
    BAD("1\t\r\nx\r\n");
    BAD("\r\n");
    BAD(";a\r\n");
    BAD("1_0\r\nx\r\n");
    BAD("1\0\r\nx\r\n");
}

Test(chunked, sizes_that_overflow_are_refused)
{
    BAD("ffffffffffffffff\r\nx");
    BAD("8000000000000000\r\nx");
    BAD("10000000000000000\r\nx");
    BAD("fffffffffffffffff\r\nx");
    BAD("10000000000000005\r\nhello\r\n0\r\n\r\n");
}

Test(chunked, the_largest_size_waits_for_its_bytes)
{
    static const char text[] = "7fffffffffffffff\r\nx";
    expect(text, sizeof(text) - 1, HTTP_CHUNKED_MORE, "x", sizeof(text) - 1);
}

Test(chunked, leading_zeros_are_bounded)
{
    GOOD("0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", "x");
    BAD("00000000000000001\r\nx\r\n0\r\n\r\n");
    BAD("1\r\nx\r\n00000000000000000\r\n\r\n");
}

Test(chunked, bare_line_breaks_are_refused)
{
    BAD("1\nx\r\n0\r\n\r\n");
    BAD("1\r\nx\n0\r\n\r\n");
    BAD("1\r\nx\r\n0\n\r\n");
    BAD("1\r\nx\r\n0\r\n\n");
    BAD("1\rx\r\n0\r\n\r\n");
    BAD("1\r\nx\rX");
    BAD("1\r\nx\r\n0\r\n\rX");
    BAD("1;a\nx\r\n0\r\n\r\n");
    BAD("1;a\rx\r\n0\r\n\r\n");
}

Test(chunked, data_must_be_as_long_as_announced)
{
    BAD("1\r\nxx\r\n0\r\n\r\n");
    BAD("3\r\nxx\r\n0\r\n\r\n");
    BAD("1\r\nx0\r\n\r\n");
}

Test(chunked, extensions_are_ignored)
{
    GOOD("1;a\r\nx\r\n0;b=\"c d\"\r\n\r\n", "x");
    GOOD("1;\r\nx\r\n0; \t;x\x80\r\n\r\n", "x");
}

Test(chunked, extensions_hold_no_control_bytes)
{
    BAD("1;a\0b\r\nx\r\n0\r\n\r\n");
    BAD("1;a\x7f\r\nx\r\n0\r\n\r\n");
    BAD("1;\"\n\"\r\nx\r\n0\r\n\r\n");
}

Test(chunked, trailers_are_dropped)
{
    GOOD("1\r\nx\r\n0\r\nContent-Length: 100\r\nTransfer-Encoding: gzip\r\nA:\r\n\r\n", "x");
}

Test(chunked, trailers_obey_header_syntax)
{
    BAD("0\r\n : x\r\n\r\n");
    BAD("0\r\n: x\r\n\r\n");
    BAD("0\r\nA : x\r\n\r\n");
    BAD("0\r\ncolonless\r\n\r\n");
    BAD("0\r\nA: x\r\n folded\r\n\r\n");
    BAD("0\r\nA: x\0\r\n\r\n");
    BAD("0\r\nA: x\n\r\n");
    BAD("0\r\nA: x\rB: y\r\n\r\n");
    BAD("0\r\nA\r\n\r\n");
}

/* A body with @n bytes of @fill between @before and @after. */
static struct body padded(const char *before, char fill, size_t n, const char *after)
{
    size_t head = strlen(before), tail = strlen(after), len = head + n + tail;
    char *text = malloc(len);
    memcpy(text, before, head);
    memset(text + head, fill, n);
    memcpy(text + head + n, after, tail);
    struct body whole = decode(text, len, CAP, len, 1), bytes = decode(text, len, CAP, 0, 1);
    expect_same(&whole, bytes, 0);
    free(text);
    return whole;
}

static void expect_bound(const char *before, const char *after, size_t counted)
{
    for (size_t over = 0; over < 2; over++) {
        struct body b = padded(before, 'a', HTTP_CHUNK_OVERHEAD_MAX - counted + over, after);
        cr_assert_eq(b.result, over ? HTTP_CHUNKED_MALFORMED : HTTP_CHUNKED_DONE);
        free(b.bytes);
    }
}

Test(chunked, extensions_and_trailers_share_one_bound)
{
    expect_bound("1;", "\r\nx\r\n0\r\n\r\n", 1);
    expect_bound("1\r\nx\r\n0\r\nA:", "\r\n\r\n", 3);
    expect_bound("1;bcd\r\nx\r\n0\r\nA:", "\r\n\r\n", 7);
    expect_bound("1;", "\r\nx\r\n0\r\nA: b\r\n\r\n", 6);
}

Test(chunked, many_small_extensions_add_up)
{
    struct http_chunked c = {0};
    enum http_chunked_result result = HTTP_CHUNKED_MORE;
    size_t used, got, rounds = 0;
    char out[1];
    for (; result == HTTP_CHUNKED_MORE && rounds < HTTP_CHUNK_OVERHEAD_MAX; rounds++)
        result = http_chunked_decode(&c, "1;abc\r\nx\r\n", 10, &used, out, 1, &got);
    cr_assert_eq(result, HTTP_CHUNKED_MALFORMED);
    cr_assert_eq(rounds, HTTP_CHUNK_OVERHEAD_MAX / 4 + 1);
}

Test(chunked, says_full_only_when_payload_has_no_room)
{
    static const char text[] = "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for (size_t cap = 0; cap <= 6; cap++) {
        struct body b = every_way(text, sizeof(text) - 1, cap);
        cr_assert_eq(b.result, cap < 5 ? HTTP_CHUNKED_FULL : HTTP_CHUNKED_DONE, "cap %zu", cap);
        cr_assert_eq(b.len, TG_MIN(cap, (size_t)5));
        cr_assert_eq(memcmp(b.bytes, "abcde", b.len), 0);
        free(b.bytes);
    }
}

Test(chunked, goes_on_after_full_when_room_is_made)
{
    struct http_chunked c = {0};
    size_t used, got;
    char out[8];
    cr_assert_eq(http_chunked_decode(&c, "4\r\nabcd", 7, &used, out, 2, &got), HTTP_CHUNKED_FULL);
    cr_assert_eq(used, 5);
    cr_assert_eq(http_chunked_decode(&c, "cd\r\n0\r\n\r\n", 9, &used, out + got, 6, &got), HTTP_CHUNKED_DONE);
    cr_assert_eq(memcmp(out, "abcd", 4), 0);
}

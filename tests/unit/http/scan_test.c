/* SPDX-License-Identifier: Apache-2.0 */
/* The vector scanners give the same answers as the plain ones, and read nothing outside their bounds. */
#include "gateway/http/scan_plain.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SSE2__)
#include "gateway/http/scan_sse2.h"

typedef size_t (*scanner)(const char *buf, size_t pos, size_t end);

static size_t sse2_name(const char *buf, size_t pos, size_t end)
{
    return http_sse2_name_end(buf, pos, end);
}

static size_t sse2_value(const char *buf, size_t pos, size_t end)
{
    return http_sse2_value_end(buf, pos, end);
}

static size_t sse2_target(const char *buf, size_t pos, size_t end)
{
    return http_sse2_target_end(buf, pos, end);
}

static size_t sse2_path(const char *buf, size_t pos, size_t end)
{
    return http_sse2_path_end(buf, pos, end);
}

static size_t sse2_host(const char *buf, size_t pos, size_t end)
{
    return http_sse2_host_end(buf, pos, end);
}

/* Every byte value, at every place, in texts shorter and longer than a vector. */
static void expect_same_stops(scanner plain, scanner vector)
{
    for (size_t len = 1; len < 50; len++) {
        char *text = malloc(len);
        for (size_t at = 0; at < len; at++)
            for (int c = 0; c < 256; c++) {
                memset(text, 'a', len);
                text[at] = (char)c;
                cr_assert_eq(vector(text, 0, len), plain(text, 0, len), "%d at %zu of %zu", c, at, len);
                cr_assert_eq(vector(text, len / 2, len), plain(text, len / 2, len));
            }
        free(text);
    }
}

Test(scan, names_stop_alike)
{
    expect_same_stops(http_plain_name_end, sse2_name);
}

Test(scan, values_stop_alike)
{
    expect_same_stops(http_plain_value_end, sse2_value);
}

Test(scan, targets_stop_alike)
{
    expect_same_stops(http_plain_target_end, sse2_target);
}

Test(scan, paths_stop_alike)
{
    expect_same_stops(http_plain_path_end, sse2_path);
}

Test(scan, hosts_stop_alike)
{
    expect_same_stops(http_plain_host_end, sse2_host);
}

/* Each known name, cut short, whole, and one byte longer, with and without bytes behind it. */
static void expect_same_id(const char *name, size_t len, size_t room)
{
    char *text = malloc(room);
    memset(text, 'z', room);
    memcpy(text, name, len);
    for (size_t n = 1; n <= TG_MIN(len + 1, room); n++) {
        int want = http_plain_header_id(text, n, room);
        cr_assert_eq(http_sse2_header_id(text, n, room), want, "%.*s", (int)n, text);
    }
    free(text);
}

Test(scan, names_are_looked_up_alike)
{
    for (int id = 0; id < HTTP_H_COUNT; id++)
        for (size_t more = 0; more < 40; more++)
            expect_same_id(http_names[id], http_name_lens[id], http_name_lens[id] + more);
}

/* The same name with @c at @at in it, in a line with @value bytes behind its colon. */
static void expect_same_name(const char *name, size_t len, size_t at, int c, size_t value)
{
    size_t end = len + 1 + value, plain_colon, colon;
    char *line = malloc(end);
    memset(line, 'v', end);
    memcpy(line, name, len);
    line[len] = ':';
    if (at < len)
        line[at] = (char)c;
    int want = http_plain_name(line, 0, end, end, &plain_colon);
    int id = http_sse2_name(line, 0, end, end, &colon);
    cr_assert_eq(colon, plain_colon, "%.*s", (int)end, line);
    if (colon < end && line[colon] == ':')
        cr_assert_eq(id, want, "%.*s", (int)end, line);
    free(line);
}

/* Control characters have no place in a line that is looked at this way. */
Test(scan, names_in_lines_are_taken_alike)
{
    for (int id = 0; id < HTTP_H_COUNT; id++)
        for (size_t at = 0; at <= http_name_lens[id]; at++)
            for (int c = 0x20; c < 256; c++) {
                expect_same_name(http_names[id], http_name_lens[id], at, c, 0);
                expect_same_name(http_names[id], http_name_lens[id], at, c, 20);
            }
}

Test(scan, a_colon_behind_the_line_is_not_the_name_s)
{
    static const char text[] = "host\r\nexpect:100-continue";
    size_t colon;
    http_sse2_name(text, 0, 4, sizeof(text) - 1, &colon);
    cr_assert_eq(colon, 4);
}

static void expect_same_halts(const char *text, size_t from, size_t end, bool skip)
{
    struct http_plain_halts plain = {.buf = text, .next = from, .end = end};
    struct http_sse2_halts vector = {.buf = text, .next = from, .end = end};
    for (size_t pos = from, at = 0; at != end;) {
        at = http_plain_halts_next(&plain, pos);
        cr_assert_eq(http_sse2_halts_next(&vector, pos), at, "from %zu", pos);
        pos = at + 1;
        if (skip && pos < end && text[pos] == '\n') {
            http_plain_halts_skip(&plain);
            http_sse2_halts_skip(&vector);
            pos++;
        }
    }
}

/* Breaks, tabs and others at random places, in texts shorter and longer than a block. */
Test(scan, lines_end_alike)
{
    static const char halts[] = "\r\n\t\x7f\x1f\0\r\n";
    srand(1);
    for (size_t len = 0; len < 300; len++) {
        char *text = malloc(len + 1);
        for (unsigned one_in = 2; one_in < 200; one_in *= 3) {
            for (size_t i = 0; i < len; i++)
                text[i] = rand() % (int)one_in == 0 ? halts[rand() % 8] : (char)(0x20 + rand() % 0x5f);
            expect_same_halts(text, 0, len, false);
            expect_same_halts(text, len / 3, len, true);
        }
        free(text);
    }
}

/* Told of a break behind the last place, the search goes on behind it even where a block ends between them.
 */
Test(scan, a_break_may_lie_across_two_blocks)
{
    char text[160];
    for (size_t cr = 60; cr < 70; cr++) {
        memset(text, 'a', sizeof(text));
        memcpy(text + cr, "\r\n", 2);
        memcpy(text + 100, "\r\n", 2);
        expect_same_halts(text, 0, sizeof(text), true);
        struct http_sse2_halts h = {.buf = text, .end = sizeof(text)};
        cr_assert_eq(http_sse2_halts_next(&h, 0), cr);
        http_sse2_halts_skip(&h);
        cr_assert_eq(http_sse2_halts_next(&h, cr + 2), 100);
    }
}

Test(scan, long_names_are_unknown)
{
    char name[80];
    memset(name, 'a', sizeof(name));
    for (size_t len = 0; len <= sizeof(name); len++)
        cr_assert_eq(http_sse2_header_id(name, len, sizeof(name)), -1);
}
#endif

Test(scan, plain_lookup_finds_every_row)
{
    for (int id = 0; id < HTTP_H_COUNT; id++)
        cr_assert_eq(http_plain_header_id(http_names[id], http_name_lens[id], http_name_lens[id]), id);
}

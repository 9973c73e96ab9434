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

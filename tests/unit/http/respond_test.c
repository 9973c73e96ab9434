/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: golden texts, bounds, and dates. */
#include "gateway/http/respond.h"

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define CORS                                                                                                 \
    "Access-Control-Allow-Origin: *\r\n"                                                                     \
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"                                                   \
    "Access-Control-Allow-Headers: Content-Type, Authorization, traceparent, tracestate, "                   \
    "X-IICP-Consumer-Token\r\n"

/* Writes the head into memory of exactly its size, and shows that one byte less is refused. */
static void expect_head(struct http_response r, const char *want)
{
    char out[HTTP_HEAD_BYTES_MAX + 1];
    size_t len = strlen(want);
    memset(out, '~', sizeof(out));
    cr_assert_eq(http_write_head(out, len, &r), len);
    cr_assert_eq(memcmp(out, want, len), 0, "%.*s", (int)len, out);
    cr_assert_eq(out[len], '~');
    for (size_t cap = 0; cap < len; cap++)
        cr_assert_eq(http_write_head(out, cap, &r), 0, "cap %zu", cap);
}

Test(respond, writes_the_usual_answer)
{
    expect_head((struct http_response){.status = 200,
                                       .minor = 1,
                                       .content_type = "application/json",
                                       .content_length = 140,
                                       .date = DATE},
                "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: application/json\r\n"
                "Content-Length: 140\r\n" CORS "\r\n");
}

Test(respond, says_close_and_keep_alive_where_they_are_not_the_default)
{
    expect_head((struct http_response){.status = 404, .minor = 1, .close = true},
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n" CORS "\r\n");
    expect_head((struct http_response){.status = 200, .minor = 0, .close = true},
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n" CORS "\r\n");
    expect_head((struct http_response){.status = 200, .minor = 0},
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n" CORS "\r\n");
}

Test(respond, adds_the_optional_lines)
{
    expect_head((struct http_response){.status = 429,
                                       .minor = 1,
                                       .retry_after_s = 4294967295u,
                                       .trace_id = "0af7651916cd43dd8448eb211c80319c-and-more"},
                "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n" CORS
                "Retry-After: 4294967295\r\nX-IICP-Trace-Id: 0af7651916cd43dd8448eb211c80319c\r\n\r\n");
    expect_head((struct http_response){.status = 415, .minor = 1, .accept_encoding = "gzip, deflate"},
                "HTTP/1.1 415 Unsupported Media Type\r\nContent-Length: 0\r\n" CORS
                "Accept-Encoding: gzip, deflate\r\n\r\n");
    expect_head((struct http_response){.status = 200, .minor = 1, .gzip = true, .vary = true, .content_length = 9},
                "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n" CORS
                "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n\r\n");
    expect_head((struct http_response){.status = 405, .minor = 1, .allow = "GET, HEAD", .content_length = 7},
                "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 7\r\n" CORS "Allow: GET, HEAD\r\n\r\n");
}

Test(respond, sends_no_length_where_no_body_can_be)
{
    expect_head((struct http_response){.status = 204, .minor = 1, .content_length = 9, .max_age_s = 86400},
                "HTTP/1.1 204 No Content\r\n" CORS "Access-Control-Max-Age: 86400\r\n\r\n");
    expect_head((struct http_response){.status = 304, .minor = 1},
                "HTTP/1.1 304 Not Modified\r\n" CORS "\r\n");
}

Test(respond, interim_answers_are_their_status_line)
{
    expect_head((struct http_response){.status = 100, .minor = 1, .date = DATE},
                "HTTP/1.1 100 Continue\r\n\r\n");
}

Test(respond, passes_on_statuses_without_a_phrase)
{
    expect_head((struct http_response){.status = 299, .minor = 1},
                "HTTP/1.1 299 \r\nContent-Length: 0\r\n" CORS "\r\n");
    expect_head((struct http_response){.status = 799, .minor = 1},
                "HTTP/1.1 799 \r\nContent-Length: 0\r\n" CORS "\r\n");
}

Test(respond, refuses_statuses_without_three_digits)
{
    char out[HTTP_HEAD_BYTES_MAX];
    cr_assert_eq(http_write_head(out, sizeof(out), &(struct http_response){.status = 99}), 0);
    cr_assert_eq(http_write_head(out, sizeof(out), &(struct http_response){.status = 1000}), 0);
}

Test(respond, writes_every_length_exactly)
{
    expect_head((struct http_response){.status = 200, .minor = 1, .content_length = UINT64_MAX},
                "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n" CORS "\r\n");
}

Test(respond, the_longest_head_fits_the_bound)
{
    char type[HTTP_CONTENT_TYPE_MAX + 1], allow[HTTP_ALLOW_MAX + 1], out[HTTP_HEAD_BYTES_MAX];
    memset(type, 't', sizeof(type) - 1);
    memset(allow, 'a', sizeof(allow) - 1);
    type[sizeof(type) - 1] = allow[sizeof(allow) - 1] = '\0';
    struct http_response r = {.status = 431,
                              .minor = 0,
                              .content_type = type,
                              .content_length = UINT64_MAX,
                              .date = DATE,
                              .allow = allow,
                              .accept_encoding = "gzip, deflate",
                              .gzip = true,
                              .vary = true,
                              .retry_after_s = UINT32_MAX,
                              .max_age_s = UINT32_MAX,
                              .trace_id = "0af7651916cd43dd8448eb211c80319c"};
    cr_assert_gt(http_write_head(out, sizeof(out), &r), 600);
}

Test(respond, every_status_has_its_phrase)
{
    cr_assert_str_eq(http_reason(200), "OK");
    cr_assert_str_eq(http_reason(413), "Content Too Large");
    cr_assert_str_eq(http_reason(505), "HTTP Version Not Supported");
    cr_assert_str_eq(http_reason(299), "");
    cr_assert_str_eq(http_reason(65535), "");
}

Test(date, is_imf_fixdate)
{
    char out[HTTP_DATE_BYTES + 1];
    http_format_date(out, 784111777);
    cr_assert_str_eq(out, DATE);
    http_format_date(out, 951782400);
    cr_assert_str_eq(out, "Tue, 29 Feb 2000 00:00:00 GMT");
    http_format_date(out, 4107542399);
    cr_assert_str_eq(out, "Sun, 28 Feb 2100 23:59:59 GMT");
    http_format_date(out, 4107542400);
    cr_assert_str_eq(out, "Mon, 01 Mar 2100 00:00:00 GMT");
}

Test(date, stays_within_four_digit_years)
{
    char out[HTTP_DATE_BYTES + 1];
    http_format_date(out, -5);
    cr_assert_str_eq(out, "Thu, 01 Jan 1970 00:00:00 GMT");
    http_format_date(out, INT64_MAX);
    cr_assert_str_eq(out, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Every fifth day and an odd second for 8,000 years, held against the C library in its plain locale. */
Test(date, agrees_with_the_c_library)
{
    for (time_t t = 0; t < 253402300799; t += 5 * 86400 + 3607) {
        char ours[HTTP_DATE_BYTES + 1], theirs[64];
        struct tm tm;
        http_format_date(ours, t);
        strftime(theirs, sizeof(theirs), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
        cr_assert_str_eq(ours, theirs);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Method, target and version: what begins a request, and what is refused before more comes. */
#include "support.h"

#define REST "Host: a\r\n\r\n"

Test(request_line, names_the_known_methods)
{
    cr_assert_eq(ACCEPTED("GET / HTTP/1.1\r\n" REST).head.method, HTTP_GET);
    cr_assert_eq(ACCEPTED("HEAD / HTTP/1.1\r\n" REST).head.method, HTTP_HEAD);
    cr_assert_eq(ACCEPTED("POST / HTTP/1.1\r\n" REST).head.method, HTTP_POST);
    cr_assert_eq(ACCEPTED("PUT / HTTP/1.1\r\n" REST).head.method, HTTP_PUT);
    cr_assert_eq(ACCEPTED("DELETE / HTTP/1.1\r\n" REST).head.method, HTTP_DELETE);
    cr_assert_eq(ACCEPTED("OPTIONS / HTTP/1.1\r\n" REST).head.method, HTTP_OPTIONS);
    cr_assert_eq(ACCEPTED("PATCH / HTTP/1.1\r\n" REST).head.method, HTTP_PATCH);
}

Test(request_line, leaves_every_other_token_to_the_router)
{
    cr_assert_eq(ACCEPTED("PROPFIND / HTTP/1.1\r\n" REST).head.method, HTTP_OTHER);
    cr_assert_eq(ACCEPTED("get / HTTP/1.1\r\n" REST).head.method, HTTP_OTHER);
    cr_assert_eq(ACCEPTED("!#$%&'*+-.^_`|~ / HTTP/1.1\r\n" REST).head.method, HTTP_OTHER);
    cr_assert_eq(ACCEPTED("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF / HTTP/1.1\r\n" REST).head.method, HTTP_OTHER);
}

Test(request_line, refuses_a_first_byte_that_cannot_start_a_method_at_once)
{
    for (unsigned c = 0; c < 256; c++) {
        char byte = (char)c;
        struct outcome o = parse_in_pieces(&byte, 1, 1, 1, &test_limits);
        bool token = strchr("!#$%&'*+-.^_`|~", (int)c) != NULL || (c >= '0' && c <= '9') ||
                     ((c | 32) >= 'a' && (c | 32) <= 'z' && c < 128);
        cr_assert_eq(o.used, (token && c != 0) || c == '\r' ? 0 : -1, "byte %u", c);
    }
}

Test(request_line, refuses_a_method_over_32_bytes_at_once)
{
    REFUSED("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG", 400);
    cr_assert_eq(PARSE("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF").used, 0);
}

Test(request_line, skips_one_leading_empty_line_only)
{
    struct outcome o = ACCEPTED("\r\nGET /x HTTP/1.1\r\n" REST);
    cr_assert(span_is("\r\nGET /x HTTP/1.1\r\n", o.head.path, "/x"));
    REFUSED("\r\n\r\nGET / HTTP/1.1\r\n" REST, 400);
    REFUSED("\rGET / HTTP/1.1\r\n" REST, 400);
    REFUSED("\nGET / HTTP/1.1\r\n" REST, 400);
}

Test(request_line, allows_exactly_one_space_between_its_parts)
{
    REFUSED("GET  / HTTP/1.1\r\n" REST, 400);
    REFUSED("GET /  HTTP/1.1\r\n" REST, 400);
    REFUSED("GET\t/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET /\tHTTP/1.1\r\n" REST, 400);
    REFUSED("GET / HTTP/1.1 \r\n" REST, 400);
    REFUSED(" GET / HTTP/1.1\r\n" REST, 400);
    REFUSED("GET /a b HTTP/1.1\r\n" REST, 400);
}

Test(request_line, refuses_missing_parts)
{
    REFUSED("GET\r\n" REST, 400);
    REFUSED("GET /\r\n\r\n", 400);
    REFUSED("GET / \r\n\r\n", 400);
    REFUSED("G@T / HTTP/1.1\r\n" REST, 400);
}

Test(request_line, refuses_bare_line_breaks_and_nul)
{
    REFUSED("GET / HTTP/1.1\n" REST, 400);
    REFUSED("GET / HTTP/1.1\r" REST, 400);
    REFUSED("GET /\n HTTP/1.1\r\n" REST, 400);
    REFUSED("GET /\r HTTP/1.1\r\n" REST, 400);
    REFUSED("GET /\0 HTTP/1.1\r\n" REST, 400);
    REFUSED("G\0T / HTTP/1.1\r\n" REST, 400);
}

Test(version, accepts_1_0_and_1_1)
{
    cr_assert_eq(ACCEPTED("GET / HTTP/1.1\r\n" REST).head.minor, 1);
    cr_assert_eq(ACCEPTED("GET / HTTP/1.0\r\n" REST).head.minor, 0);
}

Test(version, answers_505_to_other_well_formed_versions)
{
    REFUSED("GET / HTTP/2.0\r\n" REST, 505);
    REFUSED("GET / HTTP/1.2\r\n" REST, 505);
    REFUSED("GET / HTTP/0.9\r\n" REST, 505);
    REFUSED("GET / HTTP/9.1\r\n" REST, 505);
    REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505);
}

Test(version, answers_400_to_malformed_versions)
{
    REFUSED("GET / HTTP/1.x\r\n" REST, 400);
    REFUSED("GET / HTP/1.1\r\n" REST, 400);
    REFUSED("GET / http/1.1\r\n" REST, 400);
    REFUSED("GET / HTTP/1.10\r\n" REST, 400);
    REFUSED("GET / HTTP/11.1\r\n" REST, 400);
    REFUSED("GET / HTTP/1\r\n" REST, 400);
    REFUSED("GET / HTTP/1.1\rX" REST, 400);
}

Test(target, splits_path_and_query)
{
    static const char text[] = "GET /v1/task?a=1&b=?2 HTTP/1.1\r\n" REST;
    struct outcome o = ACCEPTED(text);
    cr_assert(span_is(text, o.head.target, "/v1/task?a=1&b=?2"));
    cr_assert(span_is(text, o.head.path, "/v1/task"));
    cr_assert(span_is(text, o.head.query, "a=1&b=?2"));
}

Test(target, has_an_empty_query_without_a_question_mark)
{
    cr_assert_eq(ACCEPTED("GET /x HTTP/1.1\r\n" REST).head.query.len, 0);
    cr_assert_eq(ACCEPTED("GET /x? HTTP/1.1\r\n" REST).head.query.len, 0);
}

Test(target, accepts_the_absolute_form)
{
    static const char text[] = "GET http://host.example:81/a/b?c HTTP/1.1\r\n" REST;
    struct outcome o = ACCEPTED(text);
    cr_assert(span_is(text, o.head.target, "http://host.example:81/a/b?c"));
    cr_assert(span_is(text, o.head.path, "/a/b"));
    cr_assert(span_is(text, o.head.query, "c"));
    cr_assert(span_is("GET HTTPS://[::1]:443/p",
                      ACCEPTED("GET HTTPS://[::1]:443/p HTTP/1.1\r\n" REST).head.path, "/p"));
}

Test(target, reads_an_absolute_form_without_path_as_the_root)
{
    static const char bare[] = "GET http://host HTTP/1.1\r\n" REST,
                      query[] = "GET http://host?q HTTP/1.1\r\n" REST;
    cr_assert(span_is(bare, ACCEPTED(bare).head.path, "/"));
    cr_assert(span_is(query, ACCEPTED(query).head.path, "/"));
    cr_assert(span_is(query, ACCEPTED(query).head.query, "q"));
}

Test(target, refuses_a_bad_authority)
{
    REFUSED("GET http:///x HTTP/1.1\r\n" REST, 400);
    REFUSED("GET http://user@host/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET http://host:1x/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET http://host:65536/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET http://[::1/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET http://[]/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET http:/host/ HTTP/1.1\r\n" REST, 400);
    REFUSED("GET ftp://host/ HTTP/1.1\r\n" REST, 400);
}

Test(target, must_be_a_path_or_an_uri)
{
    REFUSED("GET x HTTP/1.1\r\n" REST, 400);
    REFUSED("GET ?q HTTP/1.1\r\n" REST, 400);
    REFUSED("GET host:80 HTTP/1.1\r\n" REST, 400);
    REFUSED("GET ** HTTP/1.1\r\n" REST, 400);
}

Test(target, asterisk_is_for_options_only)
{
    static const char text[] = "OPTIONS * HTTP/1.1\r\n" REST;
    cr_assert(span_is(text, ACCEPTED(text).head.path, "*"));
    REFUSED("GET * HTTP/1.1\r\n" REST, 400);
}

Test(target, connect_takes_an_authority_and_is_left_to_the_router)
{
    struct outcome o = ACCEPTED("CONNECT host:443 HTTP/1.1\r\n" REST);
    cr_assert_eq(o.head.method, HTTP_OTHER);
    cr_assert_eq(o.head.path.len, 0);
    REFUSED("CONNECT /x HTTP/1.1\r\n" REST, 400);
}

Test(target, refuses_bytes_that_must_be_percent_encoded)
{
    for (unsigned c = 0; c < 256; c++) {
        char text[] = "GET /aXb HTTP/1.1\r\n" REST;
        text[6] = (char)c;
        struct outcome o = parse_every_way(text, sizeof(text) - 1, &test_limits);
        bool fine = c > 0x20 && c < 0x7f && c != '#';
        cr_assert_eq(o.used, fine ? (int)sizeof(text) - 1 : -1, "byte %u", c);
        cr_assert(fine || o.why.status == 400);
    }
}

Test(target, over_the_limit_gets_414_as_soon_as_it_is_known)
{
    struct http_limits tight = test_limits;
    tight.target_bytes_max = 8;
    static const char exact[] = "GET /2345678 HTTP/1.1\r\n" REST, over[] = "GET /23456789";
    cr_assert_eq(parse_every_way(exact, sizeof(exact) - 1, &tight).used, (int)sizeof(exact) - 1);
    struct outcome o = parse_every_way(over, sizeof(over) - 1, &tight);
    cr_assert_eq(o.used, -1);
    cr_assert_eq(o.why.status, 414);
}

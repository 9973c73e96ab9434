/* SPDX-License-Identifier: Apache-2.0 */
/* Host, body framing, persistence, expectations: what headers mean together. Smuggling vectors live here. */
#include "support.h"

#define LINE "POST /v1/task HTTP/1.1\r\n"
#define START LINE "Host: a\r\n"
#define OLD "POST /v1/task HTTP/1.0\r\n"

Test(host, is_required_once_in_1_1)
{
    REFUSED("GET / HTTP/1.1\r\n\r\n", 400);
    REFUSED(LINE "Host: a\r\nHost: a\r\n\r\n", 400);
    REFUSED(LINE "Host: a\r\nhOST: b\r\n\r\n", 400);
    REFUSED("GET http://a/ HTTP/1.1\r\n\r\n", 400);
}

Test(host, may_be_absent_but_not_wrong_in_1_0)
{
    ACCEPTED(OLD "\r\n");
    REFUSED(OLD "Host: a b\r\n\r\n", 400);
    REFUSED(OLD "Host: a\r\nHost: a\r\n\r\n", 400);
}

Test(host, accepts_names_addresses_and_ports)
{
    ACCEPTED(LINE "Host: gpu-17.example.net:9484\r\n\r\n");
    ACCEPTED(LINE "Host: 127.0.0.1\r\n\r\n");
    ACCEPTED(LINE "Host: [::1]:9484\r\n\r\n");
    ACCEPTED(LINE "Host: [::ffff:10.0.0.1]\r\n\r\n");
    ACCEPTED(LINE "Host: a:\r\n\r\n");
    ACCEPTED(LINE "Host: a:65535\r\n\r\n");
    ACCEPTED(LINE "Host: a_b~c%20\r\n\r\n");
}

Test(host, refuses_everything_else)
{
    REFUSED(LINE "Host:\r\n\r\n", 400);
    REFUSED(LINE "Host: a b\r\n\r\n", 400);
    REFUSED(LINE "Host: user@a\r\n\r\n", 400);
    REFUSED(LINE "Host: a/b\r\n\r\n", 400);
    REFUSED(LINE "Host: a?b\r\n\r\n", 400);
    REFUSED(LINE "Host: http://a\r\n\r\n", 400);
    REFUSED(LINE "Host: a:b\r\n\r\n", 400);
    REFUSED(LINE "Host: a:80:80\r\n\r\n", 400);
    REFUSED(LINE "Host: a:65536\r\n\r\n", 400);
    REFUSED(LINE "Host: a:000080\r\n\r\n", 400);
    REFUSED(LINE "Host: :80\r\n\r\n", 400);
    REFUSED(LINE "Host: ::1\r\n\r\n", 400);
    REFUSED(LINE "Host: [::1\r\n\r\n", 400);
    REFUSED(LINE "Host: [::1]x\r\n\r\n", 400);
    REFUSED(LINE "Host: [gg]\r\n\r\n", 400);
    REFUSED(LINE "Host: []\r\n\r\n", 400);
    REFUSED(LINE "Host: a\x80\r\n\r\n", 400);
    REFUSED(LINE "Host: a\"b\r\n\r\n", 400);
}

Test(length, is_read_in_full)
{
    struct outcome o = ACCEPTED(START "Content-Length: 188\r\n\r\n");
    cr_assert_eq(o.head.body, HTTP_BODY_LENGTH);
    cr_assert_eq(o.head.content_length, 188);
    o = ACCEPTED(START "Content-Length:\t 0018446744073709551615 \r\n\r\n");
    cr_assert_eq(o.head.content_length, UINT64_MAX);
    o = ACCEPTED(START "Content-Length: 0\r\n\r\n");
    cr_assert_eq(o.head.body, HTTP_BODY_LENGTH);
    cr_assert_eq(o.head.content_length, 0);
    cr_assert_eq(ACCEPTED(START "\r\n").head.body, HTTP_BODY_NONE);
}

Test(length, malformed_is_refused)
{
    REFUSED(START "Content-Length:\r\n\r\n", 400);
    REFUSED(START "Content-Length: +5\r\n\r\n", 400);
    REFUSED(START "Content-Length: -5\r\n\r\n", 400);
    REFUSED(START "Content-Length: 0x5\r\n\r\n", 400);
    REFUSED(START "Content-Length: 5 5\r\n\r\n", 400);
    REFUSED(START "Content-Length: 5.0\r\n\r\n", 400);
    REFUSED(START "Content-Length: 1e3\r\n\r\n", 400);
    REFUSED(START "Content-Length: \"5\"\r\n\r\n", 400);
    REFUSED(START "Content-Length: \xef\xbc\x95\r\n\r\n", 400);
}

Test(length, overflow_is_refused)
{
    REFUSED(START "Content-Length: 18446744073709551616\r\n\r\n", 400);
    REFUSED(START "Content-Length: 184467440737095516150\r\n\r\n", 400);
    REFUSED(START "Content-Length: 99999999999999999999999999999999\r\n\r\n", 400);
}

Test(length, several_are_refused_even_when_equal)
{
    REFUSED(START "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400);
    REFUSED(START "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400);
    REFUSED(START "Content-Length: 5\r\nX: y\r\ncontent-length: 5\r\n\r\n", 400);
    REFUSED(START "Content-Length: 5, 5\r\n\r\n", 400);
    REFUSED(START "Content-Length: 5,6\r\n\r\n", 400);
}

Test(transfer, chunked_is_accepted_in_any_case)
{
    cr_assert_eq(ACCEPTED(START "Transfer-Encoding: chunked\r\n\r\n").head.body, HTTP_BODY_CHUNKED);
    cr_assert_eq(ACCEPTED(START "transfer-encoding:\tChunKED \r\n\r\n").head.body, HTTP_BODY_CHUNKED);
}

Test(transfer, beside_content_length_is_refused)
{
    REFUSED(START "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: gzip\r\nContent-Length: 5\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\n", 400);
}

Test(transfer, must_end_in_one_chunked)
{
    REFUSED(START "Transfer-Encoding: gzip\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: identity\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked, gzip\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked, chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: gzip, chunked, chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked, identity\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400);
}

Test(transfer, look_alikes_are_refused)
{
    REFUSED(START "Transfer-Encoding:\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: xchunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunkedx\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: \"chunked\"\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked;q=1\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked,\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: ,chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: \x0b"
                  "chunked\r\n\r\n",
            400);
    REFUSED(START "Transfer-Encoding: chun\r\n ked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked\t\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked \t \r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding : chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding\n : chunked\r\n\r\n", 400);
    REFUSED(START "X: y\nTransfer-Encoding: chunked\r\n\r\n", 400);
    REFUSED(START "Transfer-Encoding: chunked\0\r\n\r\n", 400);
}

Test(transfer, unknown_coding_before_chunked_gets_501)
{
    REFUSED(START "Transfer-Encoding: gzip, chunked\r\n\r\n", 501);
    REFUSED(START "Transfer-Encoding: frob;x=1 ,\tchunked\r\n\r\n", 501);
}

Test(transfer, is_refused_in_1_0)
{
    REFUSED(OLD "Transfer-Encoding: chunked\r\n\r\n", 400);
    REFUSED(OLD "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400);
}

Test(persistence, is_the_default_in_1_1_only)
{
    cr_assert(ACCEPTED(START "\r\n").head.keep_alive);
    cr_assert(!ACCEPTED(OLD "\r\n").head.keep_alive);
    cr_assert(ACCEPTED(OLD "Connection: Keep-Alive\r\n\r\n").head.keep_alive);
}

Test(persistence, close_wins_wherever_it_stands)
{
    cr_assert(!ACCEPTED(START "Connection: close\r\n\r\n").head.keep_alive);
    cr_assert(!ACCEPTED(START "Connection: upgrade ,\tCLOSE\r\n\r\n").head.keep_alive);
    cr_assert(!ACCEPTED(START "Connection: keep-alive\r\nConnection: x, close, y\r\n\r\n").head.keep_alive);
    cr_assert(!ACCEPTED(OLD "Connection: keep-alive, close\r\n\r\n").head.keep_alive);
    cr_assert(ACCEPTED(START "Connection: closed, enclose, \"close\"\r\n\r\n").head.keep_alive);
    cr_assert(ACCEPTED(START "Connection:\r\n\r\n").head.keep_alive);
}

Test(expectation, waits_for_100_only_with_a_body_in_1_1)
{
    cr_assert(ACCEPTED(START "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n").head.expect_continue);
    cr_assert(
        ACCEPTED(START "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n").head.expect_continue);
    cr_assert(!ACCEPTED(START "Expect: 100-continue\r\n\r\n").head.expect_continue);
    cr_assert(!ACCEPTED(START "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n").head.expect_continue);
    cr_assert(!ACCEPTED(OLD "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n").head.expect_continue);
    cr_assert(!ACCEPTED(START "Content-Length: 5\r\nExpect:\r\n\r\n").head.expect_continue);
}

Test(expectation, any_other_gets_417)
{
    REFUSED(START "Expect: 200-ok\r\n\r\n", 417);
    REFUSED(START "Expect: 100-continue, magic\r\n\r\n", 417);
    REFUSED(START "Expect: 100-continue\r\nExpect: magic\r\n\r\n", 417);
    REFUSED(START "Expect: 100-continue;q=1\r\n\r\n", 417);
}

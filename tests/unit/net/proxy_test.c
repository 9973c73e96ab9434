/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers of both versions: what is read from them, every fragmentation, and what is refused. */
#include "gateway/net/proxy.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(literal) (literal), sizeof(literal) - 1

static enum proxy_result parse_copy(const char *data, size_t len, struct proxy_header *h)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    enum proxy_result r = proxy_parse(copy, len, h);
    free(copy);
    return r;
}

/* However it is cut, a header is complete with its last byte and not before. */
static struct proxy_header accepted(const char *data, size_t len)
{
    struct proxy_header h = {0}, unused;
    char more[4200];
    for (size_t cut = 0; cut < len; cut++)
        cr_assert_eq(parse_copy(data, cut, &unused), PROXY_MORE, "cut at %zu", cut);
    memcpy(more, data, len);
    memcpy(more + len, "GET / HTTP/1.1\r\n\r\n", 18);
    cr_assert_eq(parse_copy(more, len + 18, &h), PROXY_DONE);
    cr_assert_eq(h.bytes, len, "%zu of %zu", h.bytes, len);
    cr_assert_eq(parse_copy(data, len, &h), PROXY_DONE);
    cr_assert_eq(h.bytes, len);
    return h;
}

/* Refused with the last byte at the latest, and never complete before. */
static void refused(const char *data, size_t len)
{
    struct proxy_header h;
    cr_assert_eq(parse_copy(data, len, &h), PROXY_MALFORMED, "%.*s", (int)len, data);
    for (size_t cut = 0; cut < len; cut++)
        cr_assert_neq(parse_copy(data, cut, &h), PROXY_DONE, "cut at %zu", cut);
}

static void expect_source(struct proxy_header h, const char *text, unsigned port)
{
    struct address want;
    cr_assert(address_parse((struct tg_str){text, strlen(text)}, strchr(text, ':') != NULL, &want));
    cr_assert(h.has_source);
    cr_assert_eq(memcmp(&h.source, &want, sizeof(want)), 0);
    cr_assert_eq(h.source_port, port);
}

Test(proxy, reads_a_line_of_version_1)
{
    expect_source(accepted(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n")), "192.0.2.1", 56324);
    expect_source(accepted(BYTES("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n")), "2001:db8::1", 65535);
    expect_source(accepted(BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                                 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n")),
                  "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535);
}

Test(proxy, unknown_says_nothing_about_the_client)
{
    cr_assert_not(accepted(BYTES("PROXY UNKNOWN\r\n")).has_source);
    cr_assert_not(accepted(BYTES("PROXY UNKNOWN ffff::1 and whatever 1 2 3\r\n")).has_source);
}

Test(proxy, refuses_other_lines)
{
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 \r\n"));
    refused(BYTES("PROXY TCP4  192.0.2.1 198.51.100.2 56324 443\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 56324 65536\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 056324 443\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 +1 443\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 -1 443\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.256 1 443\r\n"));
    refused(BYTES("PROXY TCP4 2001:db8::1 ::1 1 443\r\n"));
    refused(BYTES("PROXY TCP6 192.0.2.1 198.51.100.2 1 443\r\n"));
    refused(BYTES("PROXY TCP5 192.0.2.1 198.51.100.2 1 443\r\n"));
    refused(BYTES("PROXY tcp4 192.0.2.1 198.51.100.2 1 443\r\n"));
    refused(BYTES("PROXY TCP4\r\n"));
    refused(BYTES("PROXY \r\n"));
    refused(BYTES("PROXY UNKNOWNS\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 1 443\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1 198.51.100.2 1 443\r\r\n"));
    refused(BYTES("PROXY TCP4 192.0.2.1\0 198.51.100.2 1 443\r\n"));
    refused(BYTES("proxy TCP4 192.0.2.1 198.51.100.2 1 443\r\n"));
    refused(BYTES("PROXYTCP4"));
    refused(BYTES("GET / HTTP/1.1\r\n"));
    refused(BYTES("\x16\x03\x01"));
    refused(BYTES(" "));
}

Test(proxy, a_line_has_107_bytes_at_most)
{
    char line[200];
    struct proxy_header h;
    memset(line, 'x', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    memcpy(line + 105, "\r\n", 2);
    cr_assert_eq(accepted(line, 107).bytes, 107);
    memset(line + 105, 'x', 2);
    cr_assert_eq(parse_copy(line, 106, &h), PROXY_MORE);
    cr_assert_eq(parse_copy(line, 107, &h), PROXY_MALFORMED);
    memcpy(line + 106, "\r\n", 2);
    cr_assert_eq(parse_copy(line, 108, &h), PROXY_MALFORMED);
}

Test(proxy, reads_addresses_of_version_2)
{
    static const char ipv4[] = SIGNATURE "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb";
    static const char ipv6[] = SIGNATURE "\x21\x21\x00\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                                         "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\xff\xff\x01\xbb";
    expect_source(accepted(BYTES(ipv4)), "192.0.2.1", 56324);
    expect_source(accepted(BYTES(ipv6)), "2001:db8::1", 65535);
}

Test(proxy, skips_extras_of_version_2)
{
    static const char extras[] = SIGNATURE "\x21\x11\x00\x16\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
                                           "\x01\x00\x02h2\xea\x00\x00\x04\x00";
    refused(BYTES(extras)); /* the last one is cut off */
    static const char whole[] = SIGNATURE "\x21\x11\x00\x14\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
                                          "\x01\x00\x02h2\xea\x00\x00";
    expect_source(accepted(BYTES(whole)), "192.0.2.1", 56324);
}

Test(proxy, a_balancer_may_speak_for_itself)
{
    cr_assert_not(accepted(BYTES(SIGNATURE "\x20\x00\x00\x00")).has_source);
    cr_assert_not(accepted(BYTES(SIGNATURE "\x20\x11\x00\x03xyz")).has_source, "what it adds does not count");
    cr_assert_not(accepted(BYTES(SIGNATURE "\x21\x00\x00\x00")).has_source);
}

Test(proxy, unix_sockets_have_no_address_to_tell)
{
    char header[16 + 216] = SIGNATURE "\x21\x31\x00\xd8";
    cr_assert_not(accepted(header, sizeof(header)).has_source);
    header[15] = (char)0xd7;
    refused(header, 16);
}

Test(proxy, refuses_other_binary_headers)
{
    refused(BYTES(SIGNATURE "\x11\x11\x00\x0c"));     /* version 1 in binary */
    refused(BYTES(SIGNATURE "\x22\x11"));             /* unknown command */
    refused(BYTES(SIGNATURE "\x21\x12"));             /* datagrams */
    refused(BYTES(SIGNATURE "\x21\x41"));             /* unknown family */
    refused(BYTES(SIGNATURE "\x21\x11\x00\x0b"));     /* too short for its family */
    refused(BYTES(SIGNATURE "\x21\x21\x00\x0c"));
    refused(BYTES(SIGNATURE "\x21\x11\xff\xff"));     /* longer than anybody needs */
    refused(BYTES("\r\n\r\n\0\r\nQUIT\r\x21\x11"));   /* not quite the signature */
}

Test(proxy, the_longest_binary_header_is_read_and_no_longer_one)
{
    static char header[PROXY_HEADER_MAX] = SIGNATURE "\x21\x00";
    size_t rest = sizeof(header) - 16;
    struct proxy_header h;
    header[14] = (char)(rest >> 8);
    header[15] = (char)rest;
    header[16] = '\x04';
    header[17] = (char)((rest - 3) >> 8);
    header[18] = (char)(rest - 3);
    cr_assert_eq(accepted(header, sizeof(header)).bytes, PROXY_HEADER_MAX);
    header[14] = (char)((rest + 1) >> 8);
    header[15] = (char)(rest + 1);
    cr_assert_eq(parse_copy(header, 16, &h), PROXY_MALFORMED);
}

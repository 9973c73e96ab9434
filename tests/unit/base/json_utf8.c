/* SPDX-License-Identifier: Apache-2.0 */
/* Strings are UTF-8 as RFC 3629 has it: every code point but the surrogates, each in its shortest form. */
#include <criterion/criterion.h>
#include "json_rig.h"
#include "utf8.h"

/* By arithmetic on the decoded value, unlike the code under test. */
static bool is_valid(const unsigned char *s, size_t len)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        unsigned n = s[i] < 0x80             ? 1
                     : (s[i] & 0xe0) == 0xc0 ? 2
                     : (s[i] & 0xf0) == 0xe0 ? 3
                     : (s[i] & 0xf8) == 0xf0 ? 4
                                             : 0;
        if (n == 0 || i + n > len)
            return false;
        uint32_t code = n == 1 ? s[i] : s[i] & (0x7fu >> n);
        for (unsigned k = 1; k < n; k++) {
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
            code = code << 6 | (s[i + k] & 0x3fu);
        }
        if ((n > 1 && code < lowest[n]) || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}

static int parse_in_quotes(const unsigned char *bytes, size_t len, size_t lead, struct tg_json_error *err)
{
    char text[64] = "\"................................................";
    struct tg_json_node node[33];
    struct tg_json_doc doc = {.nodes = node, .capacity = 33};
    memcpy(text + 1 + lead, bytes, len);
    text[1 + lead + len] = '"';
    return tg_json_parse(&doc, text, lead + len + 2, err);
}

static void expect_as_reference(const unsigned char *bytes, size_t len, size_t lead)
{
    struct tg_json_error err;
    int expected = is_valid(bytes, len) ? 0 : -EINVAL;
    int status = parse_in_quotes(bytes, len, lead, &err);
    if (status != expected) /* an assertion per case would take minutes */
        cr_assert_fail("%02x %02x %02x %02x (%zu): %d", bytes[0], bytes[1], bytes[2], bytes[3], len, status);
}

Test(json_utf8, every_two_byte_combination_is_judged_as_by_the_standard)
{
    for (unsigned a = 0x80; a < 0x100; a++)
        for (unsigned b = 0x80; b < 0x100; b++)
            for (size_t lead = 0; lead < 40; lead += 13)
                expect_as_reference((const unsigned char[]){(unsigned char)a, (unsigned char)b, 0, 0}, 2,
                                    lead);
}

Test(json_utf8, every_combination_of_three_and_four_bytes_near_an_edge_is_judged_as_by_the_standard)
{
    static const unsigned char edge[] = {0x20, 0x7f, 0x80, 0x81, 0x8f, 0x90, 0x9f, 0xa0, 0xa1, 0xaf, 0xb0,
                                         0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
                                         0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfe, 0xff};
    const size_t n = sizeof(edge);
    for (size_t i = 0; i < n * n * n * n; i++) {
        unsigned char s[] = {edge[i % n], edge[i / n % n], edge[i / n / n % n], edge[i / n / n / n]};
        expect_as_reference(s, 4, i % 40);
        if (i < n * n * n)
            expect_as_reference(s, 3, i % 40);
    }
}

Test(json_utf8, every_code_point_but_surrogates_is_accepted)
{
    for (uint32_t code = 0x80; code <= 0x10ffff; code++) {
        unsigned char s[4] = {0};
        if (code < 0xd800 || code > 0xdfff)
            expect_as_reference(s, tg_utf8_encode(code, (char *)s), code % 40);
    }
}

Test(json_utf8, the_offset_is_the_first_byte_of_the_bad_sequence)
{
    static const char *const bad[] = {"\xff",     "\xc0\xaf",     "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xe2\x82", "\xf0\x9f\x98", "\x80"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++)
        for (size_t lead = 0; lead < 40; lead++) {
            struct tg_json_error err;
            cr_assert_eq(parse_in_quotes((const unsigned char *)bad[i], strlen(bad[i]), lead, &err), -EINVAL);
            cr_assert_eq(err.offset, lead + 1);
            cr_assert_str_eq(err.message, "invalid UTF-8");
        }
}

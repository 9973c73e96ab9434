/* SPDX-License-Identifier: Apache-2.0 */
/* base64url: the test vectors of RFC 4648 without their padding, and what strict means. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "gateway/base/base64.h"

static int64_t read_back(struct tg_str text)
{
    uint8_t out[64];
    return base64_read(out, sizeof(out), text);
}

Test(base64, vectors_of_the_rfc)
{
    static const char *const vectors[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < TG_ARRAY_SIZE(vectors); i++) {
        char text[16], back[16];
        size_t len = strlen(vectors[i][0]), chars = base64_write(text, vectors[i][0], len);
        cr_expect_eq(chars, strlen(vectors[i][1]));
        cr_expect_eq(chars, BASE64_CHARS(len));
        cr_expect_eq(memcmp(text, vectors[i][1], chars), 0);
        cr_expect_eq(base64_read(back, sizeof(back), (struct tg_str){text, chars}), (int64_t)len);
        cr_expect_eq(memcmp(back, vectors[i][0], len), 0);
    }
}

Test(base64, the_alphabet_is_the_one_for_urls)
{
    char text[4];
    base64_write(text, "\xfb\xff\xbf", 3);
    cr_expect_eq(memcmp(text, "-_-_", 4), 0);
    cr_expect_eq(read_back(TG_STR("+/+/")), -EINVAL);
}

Test(base64, every_length_comes_back_also_in_place)
{
    uint8_t bytes[64];
    char text[BASE64_CHARS(64)];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 89 + 7);
    for (size_t n = 0; n <= sizeof(bytes); n++) {
        size_t chars = base64_write(text, bytes, n);
        cr_expect_eq(base64_read(text, sizeof(text), (struct tg_str){text, chars}), (int64_t)n);
        cr_expect_eq(memcmp(text, bytes, n), 0, "%zu bytes", n);
    }
}

Test(base64, padding_and_white_space_are_refused)
{
    cr_expect_eq(read_back(TG_STR("Zg==")), -EINVAL);
    cr_expect_eq(read_back(TG_STR("Zm8=")), -EINVAL);
    cr_expect_eq(read_back(TG_STR("Zm9v\n")), -EINVAL);
    cr_expect_eq(read_back(TG_STR(" Zm9vYm")), -EINVAL);
}

Test(base64, one_character_alone_is_refused)
{
    cr_expect_eq(read_back(TG_STR("Z")), -EINVAL);
    cr_expect_eq(read_back(TG_STR("Zm9vY")), -EINVAL);
}

Test(base64, bits_that_belong_to_no_byte_must_be_zero)
{
    cr_expect_eq(read_back(TG_STR("Zh")), -EINVAL);
    cr_expect_eq(read_back(TG_STR("Zm9")), -EINVAL);
}

Test(base64, no_other_character_is_read_wherever_it_stands)
{
    for (unsigned i = 0; i < 256; i++) {
        char c = (char)i;
        bool ours = i < 128 && (('0' <= c && c <= '9') || ('A' <= (c & ~0x20) && (c & ~0x20) <= 'Z') ||
                                c == '-' || c == '_');
        for (size_t at = 0; at < 5; at++) {
            char text[7] = "AAAAAAA";
            text[at] = c;
            cr_expect_eq(read_back((struct tg_str){text, 7}) == 5, ours, "character %u at %zu", i, at);
        }
    }
}

Test(base64, too_little_room_writes_nothing)
{
    uint8_t out[4] = {9, 9, 9, 9};
    cr_expect_eq(base64_read(out, 3, TG_STR("Zm9vYg")), -ENOSPC);
    cr_expect_eq(memcmp(out, "\x09\x09\x09\x09", 4), 0);
    cr_expect_eq(base64_read(out, 4, TG_STR("Zm9vYg")), 4);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Hexadecimal text there and back. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/base/hex.h"

static void refuses(struct tg_str text)
{
    uint8_t out[2];
    cr_expect_not(hex_read(out, sizeof(out), text), "%.*s", (int)text.len, text.ptr);
}

Test(hex, digits_are_lower_case_and_high_half_first)
{
    char text[8];
    hex_write(text, "\x00\x1f\xa9\xff", 4);
    cr_expect_eq(memcmp(text, "001fa9ff", 8), 0);
}

Test(hex, every_byte_comes_back)
{
    uint8_t bytes[256], back[256];
    char text[512];
    for (unsigned i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    hex_write(text, bytes, sizeof(bytes));
    cr_expect(hex_read(back, sizeof(back), (struct tg_str){text, sizeof(text)}));
    cr_expect_eq(memcmp(bytes, back, sizeof(bytes)), 0);
}

Test(hex, upper_case_is_read)
{
    uint8_t out[2];
    cr_expect(hex_read(out, sizeof(out), TG_STR("AbfF")));
    cr_expect_eq(memcmp(out, "\xab\xff", 2), 0);
}

Test(hex, another_number_of_digits_is_refused)
{
    refuses(TG_STR(""));
    refuses(TG_STR("abc"));
    refuses(TG_STR("abcde"));
    refuses(TG_STR("abcdef"));
}

Test(hex, no_other_character_is_a_digit)
{
    char text[4] = {'0', '0', '0', '0'};
    for (unsigned i = 0; i < 256; i++) {
        uint8_t out[2];
        char c = (char)i;
        bool digit = i < 128 && strchr("0123456789abcdefABCDEF", c) && c;
        text[3] = c;
        cr_expect_eq(hex_read(out, sizeof(out), (struct tg_str){text, 4}), digit, "character %u", i);
    }
}

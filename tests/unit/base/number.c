/* SPDX-License-Identifier: Apache-2.0 */
/* Decimal to binary and back, against the C library's exact conversions. */
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include "json_rig.h"
#include "number.h"

#define RANDOM_COUNT 300000

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static double double_of(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static float float_of(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* What the parser makes of a number that is the whole text, or stands in a long one. */
static double parse_number(const char *text, int around)
{
    static char padded[4000];
    static struct tg_json_node nodes[2100];
    struct tg_json_error err;
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    int len = snprintf(padded, sizeof(padded), "%*s[%s]%*s", around, "", text, around, "");
    if (len < 0 || len >= (int)sizeof(padded) || tg_json_parse(&doc, padded, (size_t)len, &err) != 0)
        return (double)NAN;
    return tg_json_number(nodes + 1);
}

static void expect_read_as(const char *text, double expected)
{
    double whole = parse_number(text, 0), inside = parse_number(text, 50);
    if (!same(whole, expected) || !same(inside, expected))
        cr_assert_fail("%s: %.17g, %.17g, not %.17g", text, whole, inside, expected);
}

/* As many digits before the point and behind as there may be, and one more, with and without a sign. */
Test(number, digits_of_any_count_on_either_side_of_the_point)
{
    static const char digits[] = "9876543210123456789";
    for (int whole = 1; whole < 20; whole++)
        for (int places = 0; places < 20; places++)
            for (int sign = 0; sign < 2; sign++) {
                char text[64];
                snprintf(text, sizeof(text), "%s%.*s%s%.*s", sign ? "-" : "", whole, digits,
                         places ? "." : "", places, digits);
                expect_read_as(text, strtod(text, NULL));
            }
}

/* The reader takes a row of numbers by itself: it must count, end and fail as the parser around it does. */
Test(number, numbers_in_a_row)
{
    static const char text[] =
        "                 [-1.5,2,-30,0.25 ,4, 5,-0.0,[6,7],8.125,9]                                  ";
    static const double expected[] = {-1.5, 2, -30, 0.25, 4, 5, -0.0, 0, 6, 7, 8.125, 9};
    struct rig r = rig_parse((struct tg_str){text, sizeof(text) - 1});
    cr_assert_eq(r.status, 0);
    cr_assert_eq(r.doc.nodes[0].text.aux, 10);
    cr_assert_eq(r.doc.count, 13);
    for (size_t i = 0; i < TG_ARRAY_SIZE(expected); i++)
        cr_assert(r.doc.nodes[i + 1].type == TG_JSON_ARRAY ||
                  same(tg_json_number(&r.doc.nodes[i + 1]), expected[i]));
    cr_assert_eq(r.doc.nodes[8].text.aux, 2);
    rig_finish(&r);
}

Test(number, hard_cases_round_as_the_c_library_does)
{
    static const char *const texts[] = {
        "9007199254740992",
        "9007199254740993",
        "9007199254740993.0",
        "9007199254740993.00000000000000000001",
        "9007199254740992.99999999999999999999",
        "9007199254740995",
        "9007199254740995.0",
        "9007199254740994.999999999",
        "5e-324",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.5e-324",
        "1e-400",
        "2.2250738585072011e-308",
        "2.2250738585072014e-308",
        "2.225073858507201136057409796709131975934819546351645648e-308",
        "1e308",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.79769313486231580793e308",
        "17976931348623157e292",
        "1e22",
        "1e23",
        "8.5e22",
        "6.02214076e23",
        "1e-22",
        "1e-23",
        "3.1415926535897932384626433832795",
        "0.1",
        "0.30000000000000004",
        "123456789012345678",
        "1234567890123456789",
        "12345678901234567890.0",
        "0.000000000000000000000000000000000000000000000000000001",
        "100000000000000000000000000000000000000000",
        "7.2057594037927933e16",
        "1.00000000000000011102230246251565404236316680908203125",
        "1.00000000000000011102230246251565404236316680908203124",
        "1.00000000000000011102230246251565404236316680908203126",
        "179769313486231570000000000000000000000000000000000000000e252",
        "0.5",
        "0.25e-1073",
        "1e-323",
        "3e-324",
        "1448997445238699e0",
        "10860e-1",
        "10.000000000000000000000",
        "69e267",
        "5e-20",
        "9.5e-17",
        "2e-5",
        "184467440737095516150",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++)
        expect_read_as(texts[i], strtod(texts[i], NULL));
}

Test(number, beyond_the_largest_double_is_out_of_range)
{
    cr_expect(isnan(parse_number("1.7976931348623159e308", 0)));
    cr_expect(isnan(parse_number("1e309", 0)));
    cr_expect(isnan(parse_number("-1e309", 50)));
    cr_expect_not(
        isnan(parse_number("1.7976931348623158079372897140530341507993413271003782693617377898e308", 0)));
}

/* 2^1024 - 2^970 is halfway between the largest double and the one that would follow. */
Test(number, the_first_number_out_of_range_is_exact_to_the_last_digit)
{
    char text[400];
    long double limit = 0x1.fffffffffffff8p1023L;
    snprintf(text, sizeof(text), "%.0Lf", limit);
    cr_expect(isnan(parse_number(text, 0)));
    text[strlen(text) - 1]--;
    cr_expect(same(parse_number(text, 0), DBL_MAX));
}

/* The exact text of the halfway point above a double: up to 767 digits. */
static void halfway_text(double v, char *text, size_t cap)
{
    long double half = (long double)v + ((long double)nextafter(v, (double)INFINITY) - (long double)v) / 2;
    snprintf(text, cap, "%.*Le", 780, half);
}

static void nudge(char *text, char last)
{
    char *e = strchr(text, 'e');
    e[-1] = last;
}

Test(number, eight_hundred_digits_decide_a_rounding_in_their_last)
{
    uint64_t state = 1;
    char text[900];
    for (int i = 0; i < 2000; i++) {
        double v = double_of(next_random(&state) >> 1);
        if (!isfinite(v) || v == DBL_MAX)
            continue;
        if (i % 4 == 0)
            v = double_of(next_random(&state) >> 12); /* subnormal */
        halfway_text(v, text, sizeof(text));
        expect_read_as(text, strtod(text, NULL));
        nudge(text, '1');
        expect_read_as(text, strtod(text, NULL));
        expect_read_as(text, nextafter(v, (double)INFINITY));
    }
}

Test(number, more_digits_than_can_matter_still_count_as_not_nothing)
{
    static char text[3000];
    memset(text, '0', sizeof(text));
    memcpy(text, "9007199254740993.", 17);
    text[2900] = '\0';
    expect_read_as(text, 9007199254740992.0);
    text[2899] = '1';
    expect_read_as(text, 9007199254740994.0);
}

Test(number, random_digits_and_exponents_read_as_by_the_c_library)
{
    uint64_t state = 88172645463325252u;
    char text[100];
    for (int i = 0; i < RANDOM_COUNT; i++) {
        uint64_t digits = next_random(&state) >> next_random(&state) % 64;
        int exp10 = (int)(next_random(&state) % 660) - 350;
        snprintf(text, sizeof(text), "%llu.%llue%d", (unsigned long long)digits,
                 (unsigned long long)next_random(&state) >> i % 64, exp10);
        double expected = strtod(text, NULL);
        if (isfinite(expected))
            expect_read_as(text, expected);
        snprintf(text, sizeof(text), "%lluE%d", (unsigned long long)digits, exp10);
        expected = strtod(text, NULL);
        if (isfinite(expected))
            expect_read_as(text, expected);
    }
}

Test(number, seventeen_digits_of_random_doubles_read_back)
{
    uint64_t state = 12345;
    char text[64];
    for (int i = 0; i < RANDOM_COUNT; i++) {
        double v = double_of(next_random(&state));
        if (!isfinite(v))
            continue;
        snprintf(text, sizeof(text), "%.17g", v);
        expect_read_as(text, v);
    }
}

Test(number, decimals_of_every_length_read_as_by_the_c_library)
{
    uint64_t state = 99;
    char text[80];
    for (int i = 0; i < RANDOM_COUNT; i++) {
        int whole = (int)(next_random(&state) % 20) + 1, places = (int)(next_random(&state) % 20) + 1,
            len = 0;
        if (i & 1)
            text[len++] = '-';
        for (int k = 0; k < whole; k++)
            text[len++] =
                (char)('0' + (k == 0 && whole > 1 ? 1 + next_random(&state) % 9 : next_random(&state) % 10));
        text[len++] = '.';
        for (int k = 0; k < places; k++)
            text[len++] = (char)('0' + next_random(&state) % 10);
        text[len] = '\0';
        expect_read_as(text, strtod(text, NULL));
    }
}

/* ---- integers --------------------------------------------------------------------------------------- */

static void expect_kind(const char *text, uint32_t type, uint64_t bits)
{
    for (int padding = 0; padding < 60; padding += 50) {
        char padded[200];
        snprintf(padded, sizeof(padded), "%s%*s", text, padding, "");
        struct rig r = rig_parse((struct tg_str){padded, strlen(padded)});
        cr_expect_eq(r.status, 0, "%s", text);
        cr_expect_eq(r.doc.nodes->type, type, "%s", text);
        cr_expect_eq(r.doc.nodes->u64, bits, "%s", text);
        rig_finish(&r);
    }
}

static uint64_t bits_of(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

Test(number, integers_keep_every_bit_as_long_as_64_suffice)
{
    expect_kind("0", TG_JSON_INT, 0);
    expect_kind("-1", TG_JSON_INT, UINT64_MAX);
    expect_kind("999999999999999", TG_JSON_INT, 999999999999999);
    expect_kind("1234567890123456", TG_JSON_INT, 1234567890123456);
    expect_kind("12345678901234567", TG_JSON_INT, 12345678901234567);
    expect_kind("9223372036854775807", TG_JSON_INT, INT64_MAX);
    expect_kind("-9223372036854775808", TG_JSON_INT, (uint64_t)INT64_MIN);
    expect_kind("9223372036854775808", TG_JSON_UINT, (uint64_t)INT64_MAX + 1);
    expect_kind("18446744073709551615", TG_JSON_UINT, UINT64_MAX);
    expect_kind("18446744073709551616", TG_JSON_REAL, bits_of(18446744073709551616.0));
    expect_kind("-9223372036854775809", TG_JSON_REAL, bits_of(-9223372036854775808.0));
    expect_kind("100000000000000000000", TG_JSON_REAL, bits_of(1e20));
    expect_kind("99999999999999999999", TG_JSON_REAL, bits_of(1e20));
}

Test(number, fraction_exponent_or_minus_zero_make_a_real)
{
    expect_kind("1.0", TG_JSON_REAL, bits_of(1));
    expect_kind("1e2", TG_JSON_REAL, bits_of(100));
    expect_kind("-0", TG_JSON_REAL, bits_of(-0.0));
    expect_kind("-0.0", TG_JSON_REAL, bits_of(-0.0));
    expect_kind("-0e5", TG_JSON_REAL, bits_of(-0.0));
    expect_kind("0.0", TG_JSON_REAL, 0);
}

Test(number, integers_print_in_full)
{
    char out[TG_NUMBER_TEXT_MAX], expected[40];
    uint64_t power = 1;
    for (int digits = 1; digits <= 20; digits++, power *= 10)
        for (uint64_t v = power - 2; v != power + 2; v++) {
            int len = snprintf(expected, sizeof(expected), "%llu", (unsigned long long)v);
            cr_assert_eq(tg_u64_print(v, out), (size_t)len);
            cr_assert_eq(memcmp(out, expected, (size_t)len), 0, "%s", expected);
            len = snprintf(expected, sizeof(expected), "%lld", (long long)v);
            cr_assert_eq(tg_i64_print((int64_t)v, out), (size_t)len);
            cr_assert_eq(memcmp(out, expected, (size_t)len), 0, "%s", expected);
        }
}

/* ---- printing --------------------------------------------------------------------------------------- */

/* Digits from the first that is not 0 to the last that is not 0. */
static int significant_digits(const char *text)
{
    int count = 0, kept = 0;
    for (; *text && *text != 'e'; text++) {
        if (*text < '0' || *text > '9' || (count == 0 && *text == '0'))
            continue;
        count++;
        kept = *text != '0' ? count : kept;
    }
    return kept;
}

static int fewest_digits(double v, bool is_float)
{
    char text[64];
    for (int digits = 1; digits < 17; digits++) {
        snprintf(text, sizeof(text), "%.*e", digits - 1, v);
        if (is_float ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            return significant_digits(text);
    }
    return 17;
}

static void expect_prints_shortest(double v)
{
    char text[TG_NUMBER_TEXT_MAX + 1];
    text[tg_f64_print(v, text)] = '\0';
    if (!same(strtod(text, NULL), v) || significant_digits(text) > fewest_digits(v, false))
        cr_assert_fail("%a printed as %s", v, text);
    expect_read_as(text, v);
}

static void expect_float_prints_shortest(float v)
{
    char text[TG_NUMBER_TEXT_MAX + 1];
    text[tg_f32_print(v, text)] = '\0';
    float back = strtof(text, NULL);
    if (memcmp(&back, &v, sizeof(v)) != 0 || significant_digits(text) > fewest_digits((double)v, true))
        cr_assert_fail("%a printed as %s", (double)v, text);
}

Test(number, random_doubles_print_shortest_and_read_back)
{
    uint64_t state = 4711;
    for (int i = 0; i < RANDOM_COUNT / 2; i++) {
        double v = double_of(next_random(&state));
        if (isfinite(v))
            expect_prints_shortest(v);
    }
}

Test(number, doubles_at_every_power_of_two_print_shortest_and_read_back)
{
    for (uint64_t biased = 0; biased < 2047; biased++)
        for (uint64_t step = 0; step < 5; step++) {
            uint64_t bits = (biased << 52) + step - 2;
            if (bits < UINT64_C(0x7ff) << 52)
                expect_prints_shortest(double_of(bits));
        }
}

Test(number, everyday_decimals_print_as_they_were_written)
{
    char expected[40], text[TG_NUMBER_TEXT_MAX + 1];
    for (int i = 1; i < 100000; i++) {
        int len = snprintf(expected, sizeof(expected), "%d.%03d", i / 1000, i % 1000);
        while (expected[len - 1] == '0')
            expected[--len] = '\0';
        if (expected[len - 1] == '.')
            expected[--len] = '\0';
        text[tg_f64_print((double)i / 1000, text)] = '\0';
        cr_assert_str_eq(text, expected);
    }
}

Test(number, random_floats_print_shortest_and_read_back)
{
    uint64_t state = 815;
    for (int i = 0; i < RANDOM_COUNT; i++) {
        float v = float_of((uint32_t)next_random(&state));
        if (isfinite(v))
            expect_float_prints_shortest(v);
    }
}

Test(number, floats_at_every_power_of_two_print_shortest_and_read_back)
{
    for (uint32_t biased = 0; biased < 255; biased++)
        for (uint32_t step = 0; step < 5; step++) {
            uint32_t bits = (biased << 23) + step - 2;
            if (bits < UINT32_C(0x7f800000))
                expect_float_prints_shortest(float_of(bits));
        }
}

Test(number, layout_follows_ecmascript)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {10, "10"},
        {123.456, "123.456"},
        {0.001, "0.001"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e21"},
        {1.5e21, "1.5e21"},
        {0.000001, "0.000001"},
        {0.0000015, "0.0000015"},
        {1e-7, "1e-7"},
        {1.25e-7, "1.25e-7"},
        {5e-324, "5e-324"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {DBL_MAX, "1.7976931348623157e308"},
        {-1e-7, "-1e-7"},
        {9007199254740992, "9007199254740992"},
        {1e23, "1e23"},
        {9.5367431640625e-7, "9.5367431640625e-7"},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        char text[TG_NUMBER_TEXT_MAX + 1];
        text[tg_f64_print(cases[i].v, text)] = '\0';
        cr_expect_str_eq(text, cases[i].text);
    }
}

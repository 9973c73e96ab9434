/* SPDX-License-Identifier: Apache-2.0 */
/* Availability windows: the contract's examples, the grammar, and the form for directories. */
#include <criterion/criterion.h>
#include "gateway/dialect/iicp_availability.h"

static struct iicp_windows parsed(const char *text)
{
    struct iicp_windows w = {0};
    size_t offset = 0;
    const char *wrong = iicp_windows_parse((struct tg_str){text, strlen(text)}, &w, &offset);
    cr_assert_null(wrong, "%s at %zu: %s", text, offset, wrong);
    return w;
}

static uint32_t offered(const char *windows, uint32_t base, uint32_t hour, uint32_t minute)
{
    struct iicp_windows w = parsed(windows);
    return iicp_effective(base, iicp_windows_share(&w, hour * 60 + minute));
}

Test(availability, the_examples_of_the_contract)
{
    cr_expect_eq(offered("09:00-17:00@0.75", 4, 17, 0), 3, "both ends belong to it");
    cr_expect_eq(offered("09:00-17:00@0.75", 4, 17, 1), 2, "outside of all windows: half");
    cr_expect_eq(offered("22:00-06:00@1", 4, 6, 0), 4);
    cr_expect_eq(offered("22:00-06:00@1", 4, 12, 0), 2);
    cr_expect_eq(offered("00:00-23:59@0", 4, 12, 0), 0);
    cr_expect_eq(offered("00:00-23:59@0.1", 1, 12, 0), 1, "at least one");
}

Test(availability, edges)
{
    cr_expect_eq(offered("", 4, 12, 0), 4, "no windows: all");
    cr_expect_eq(offered("09:00-17:00@0.75", 4, 9, 0), 3);
    cr_expect_eq(offered("09:00-17:00@0.75", 4, 8, 59), 2);
    cr_expect_eq(offered("22:00-06:00", 4, 22, 0), 4);
    cr_expect_eq(offered("22:00-06:00", 4, 23, 59), 4);
    cr_expect_eq(offered("22:00-06:00", 4, 0, 0), 4);
    cr_expect_eq(offered("22:00-06:00", 4, 21, 59), 2);
    cr_expect_eq(offered("22:00-06:00", 4, 6, 1), 2);
    cr_expect_eq(offered("12:00-12:00@0.25", 8, 12, 0), 2, "one minute");
    cr_expect_eq(offered("09:00-17:00@0.25,10:00-11:00@1", 8, 10, 30), 2, "the first match wins");
    cr_expect_eq(offered("00:00-23:59@0.999", 4, 1, 1), 3, "rounded down");
    cr_expect_eq(offered("00:00-23:59@1", 0, 1, 1), 0);
}

Test(availability, white_space_and_short_forms)
{
    struct iicp_windows w = parsed("  09:00-17:00@0.5 ,\t22:00-06:00 ");
    cr_assert_eq(w.count, 2);
    cr_assert_eq(w.items[0].start, 540);
    cr_assert_eq(w.items[0].end, 1020);
    cr_assert_float_eq(w.items[0].share, 0.5, 0);
    cr_assert_float_eq(w.items[1].share, 1, 0);
}

Test(availability, malformed_windows_are_refused)
{
    static const char *const wrong[] = {
        "9:00-17:00",
        "09:00",
        "09:00-",
        "09:00-24:00",
        "09:60-10:00",
        "09:00-17:00@",
        "09:00-17:00@1.01",
        "09:00-17:00@-1",
        "09:00-17:00@.5",
        "09:00-17:00@1.",
        "09:00-17:00@0.5.5",
        "09:00-17:00,",
        ",09:00-17:00",
        "09:00-17:00 10:00-11:00",
        "09.00-17.00",
        "x",
        "09:00-17:00@1e-1",
        "-1:00-02:00",
        "09:00-17:00@0.000000000000000000001",
    };
    struct iicp_windows w;
    size_t offset;
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
        cr_expect_not_null(iicp_windows_parse((struct tg_str){wrong[i], strlen(wrong[i])}, &w, &offset), "%s",
                           wrong[i]);
}

Test(availability, so_many_and_no_more)
{
    char text[40 * 12] = "";
    struct iicp_windows w;
    size_t offset;
    for (int i = 0; i < IICP_WINDOWS_MAX; i++)
        strcat(text, i ? ",09:00-17:00" : "09:00-17:00");
    cr_assert_eq(parsed(text).count, IICP_WINDOWS_MAX);
    strcat(text, ",09:00-17:00");
    cr_assert_str_eq(iicp_windows_parse((struct tg_str){text, strlen(text)}, &w, &offset),
                     "too many windows");
}

Test(availability, the_minute_of_the_local_day)
{
    cr_expect_eq(iicp_minute_of_day(0, 0), 0);
    cr_expect_eq(iicp_minute_of_day(59, 0), 0);
    cr_expect_eq(iicp_minute_of_day(86399, 0), 1439);
    cr_expect_eq(iicp_minute_of_day(0, 3600), 60);
    cr_expect_eq(iicp_minute_of_day(0, -3600), 1380);
    cr_expect_eq(iicp_minute_of_day(-1, 0), 1439);
}

static void expect_utc(const char *windows, int32_t offset_s, const char *expected)
{
    char buf[2048];
    struct iicp_windows w = parsed(windows);
    struct iicp_windows_utc utc;
    struct tg_json_writer out;
    iicp_windows_to_utc(&w, offset_s, &utc);
    tg_json_writer_init(&out, buf, sizeof(buf) - 1);
    iicp_windows_write(&utc, &out);
    buf[out.len] = '\0';
    cr_expect_str_eq(buf, expected);
}

Test(availability, directories_get_utc_without_midnight)
{
    expect_utc("", 3600, "");
    expect_utc("09:00-17:00@0.75", 3600,
               "\"availability\":[{\"start\":\"08:00\",\"end\":\"16:00\",\"share\":0.75}]");
    expect_utc("22:00-06:00@1", 3600,
               "\"availability\":[{\"start\":\"21:00\",\"end\":\"23:59\",\"share\":1},"
               "{\"start\":\"00:00\",\"end\":\"05:00\",\"share\":1}]");
    expect_utc("22:00-06:00@1", -3 * 3600,
               "\"availability\":[{\"start\":\"01:00\",\"end\":\"09:00\",\"share\":1}]");
    expect_utc("00:30-10:00@0.5", 5 * 3600 + 1800,
               "\"availability\":[{\"start\":\"19:00\",\"end\":\"23:59\",\"share\":0.5},"
               "{\"start\":\"00:00\",\"end\":\"04:30\",\"share\":0.5}]");
}

/* Whatever the offset, a directory that evaluates UTC finds the share that we offer. */
Test(availability, utc_and_local_agree_in_every_minute)
{
    struct iicp_windows w = parsed("22:00-06:00@0.3,05:00-09:30@0.6,12:00-12:00@0.9,00:00-23:59@0.1");
    for (int32_t offset_min = -720; offset_min <= 840; offset_min += 15) {
        struct iicp_windows_utc utc;
        iicp_windows_to_utc(&w, offset_min * 60, &utc);
        for (uint32_t minute = 0; minute < IICP_DAY_MINUTES; minute++) {
            uint32_t there = (minute + (uint32_t)(IICP_DAY_MINUTES - offset_min)) % IICP_DAY_MINUTES;
            double share = 0.5;
            for (uint32_t i = utc.count; i-- > 0;) {
                cr_assert_leq(utc.items[i].start, utc.items[i].end);
                if (there >= utc.items[i].start && there <= utc.items[i].end)
                    share = utc.items[i].share;
            }
            cr_assert_float_eq(share, iicp_windows_share(&w, minute), 0, "offset %d minute %u", offset_min,
                               minute);
        }
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Time zones: against the C library's own reading of the same files, and against files that make no sense. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "gateway/control/zone.h"

static const char *const names[] = {
    "Europe/Berlin",     "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Santiago",
    "Africa/Casablanca", "Asia/Kathmandu",   "Pacific/Apia", "America/St_Johns",    "Europe/Dublin",
    "Etc/GMT+5",         "Antarctica/Troll", "UTC",
};

static long library_offset(int64_t unix_s)
{
    time_t t = (time_t)unix_s;
    struct tm local;
    localtime_r(&t, &local);
    return local.tm_gmtoff;
}

static void expect_like_library(const struct zone *z, const char *name, int64_t from, int64_t to,
                                int64_t step)
{
    setenv("TZ", name, 1);
    tzset();
    for (int64_t t = from; t < to; t += step)
        cr_assert_eq(zone_offset_s(z, t), library_offset(t), "%s at %lld: %d, not %ld", name, (long long)t,
                     zone_offset_s(z, t), library_offset(t));
}

Test(zone, named_zones_are_read_as_the_c_library_reads_them)
{
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) < 0)
        cr_skip("no time zone files here");
    for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++) {
        const char *why = "";
        struct zone *z = zone_load(names[i], &why);
        cr_assert(z, "%s: %s", names[i], why);
        expect_like_library(z, names[i], 0, 4102444800, 86400 * 3 + 5407); /* 1970 to 2100 */
        expect_like_library(z, names[i], 1774000000, 1774000000 + 86400 * 14,
                            1800); /* the weeks around a change */
        zone_destroy(z);
    }
}

Test(zone, rules_are_read_as_the_c_library_reads_them)
{
    static const char *const rules[] = {"CET-1CEST,M3.5.0,M10.5.0/3",
                                        "EST5EDT,M3.2.0,M11.1.0",
                                        "<+0545>-5:45",
                                        "NZST-12NZDT,M9.5.0,M4.1.0/3",
                                        "XXX3YYY,J60,J300",
                                        "XXX3YYY2:30,59/1,300/26",
                                        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                        "UTC0"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(rules); i++) {
        struct zone *z = zone_of_rule((struct tg_str){rules[i], strlen(rules[i])});
        cr_assert(z, "%s", rules[i]);
        expect_like_library(z, rules[i], 0, 4102444800, 86400 * 2 + 5407);
        zone_destroy(z);
    }
}

Test(zone, malformed_rules_are_refused)
{
    static const char *const wrong[] = {"",
                                        "CE-1",
                                        "CET",
                                        "CET-1CEST",
                                        "CET-1CEST,M3.5.0",
                                        "CET-1CEST,M13.5.0,M10.5.0",
                                        "CET-1CEST,M3.6.0,M10.5.0",
                                        "CET-1CEST,M3.5.7,M10.5.0",
                                        "CET-1CEST,J0,J300",
                                        "CET-1CEST,J366,J300",
                                        "CET-168",
                                        "CET-1:60",
                                        "<CET-1",
                                        "<>-1",
                                        "CET-1x",
                                        "CET-1CEST,M3.5.0,M10.5.0 "};
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
        cr_expect_null(zone_of_rule((struct tg_str){wrong[i], strlen(wrong[i])}), "%s", wrong[i]);
}

Test(zone, names_lead_nowhere_but_into_the_zone_folder)
{
    static const char *const wrong[] = {
        "../../../etc/passwd", "/etc/localtime", "Europe/Nowhere", "Europe", ".", "a b"};
    const char *why;
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++)
        cr_expect_null(zone_load(wrong[i], &why), "%s", wrong[i]);
}

Test(zone, no_name_is_the_systems_zone)
{
    const char *why;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    struct zone *z = zone_load("", &why);
    cr_assert(z);
    cr_expect_eq(zone_offset_s(z, 1767225600), 3600, "January");
    cr_expect_eq(zone_offset_s(z, 1782864000), 7200, "July");
    zone_destroy(z);
    unsetenv("TZ");
    z = zone_load("", &why);
    cr_expect(z, "whatever /etc/localtime is, or UTC");
    zone_destroy(z);
}

/* Every prefix, and every byte of the header and the tables turned: refused or read, and never beyond the
 * end. */
Test(zone, damaged_files_are_refused_or_harmless)
{
    static char bytes[8192];
    FILE *f = fopen("/usr/share/zoneinfo/Europe/Berlin", "rb");
    if (!f)
        cr_skip("no time zone files here");
    size_t len = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    for (size_t n = 0; n < len; n++) {
        char *exact = malloc(n + 1);
        memcpy(exact, bytes, n);
        struct zone *z = zone_read((struct tg_str){exact, n});
        cr_expect_null(z, "%zu of %zu bytes", n, len);
        zone_destroy(z);
        free(exact);
    }
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= (char)0x91;
        struct zone *z = zone_read((struct tg_str){bytes, len});
        if (z)
            cr_expect_lt(abs(zone_offset_s(z, 1782864000)), 200000);
        zone_destroy(z);
        bytes[i] ^= (char)0x91;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What is read as a list of cpus, and how a set is written. */
#include "gateway/topology/cpu_list.h"
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static const char *round_trip(const char *text)
{
    static char out[256];
    struct cpu_list list;
    char why[CPU_LIST_WHY_BYTES] = "";
    cpu_set_t set;
    cr_assert_eq(cpu_list_parse(text, &list, why), 0, "%s: %s", text, why);
    CPU_ZERO(&set);
    for (uint32_t i = 0; i < list.count; i++)
        CPU_SET(list.cpu[i], &set);
    return cpu_list_format(&set, out, sizeof(out));
}

static void check_fault(const char *text, const char *part)
{
    struct cpu_list list = {.count = 77};
    char why[CPU_LIST_WHY_BYTES] = "";
    cr_assert_eq(cpu_list_parse(text, &list, why), -EINVAL, "%s", text);
    cr_assert(strstr(why, part), "%s: %s", text, why);
    cr_assert_eq(list.count, 77, "what was there is left alone");
}

Test(cpu_list, numbers_and_ranges_are_read)
{
    cr_assert_str_eq(round_trip("0"), "0");
    cr_assert_str_eq(round_trip("0-3,8"), "0-3,8");
    cr_assert_str_eq(round_trip(" 9 , 4 - 5 ,1023"), "4-5,9,1023");
    cr_assert_str_eq(round_trip("7-7"), "7");
    cr_assert_str_eq(round_trip("0-1023"), "0-1023");
}

Test(cpu_list, no_text_is_no_cpu)
{
    cr_assert_str_eq(round_trip(""), "none");
    cr_assert_str_eq(round_trip("  "), "none");
}

Test(cpu_list, the_order_is_kept)
{
    struct cpu_list list;
    char why[CPU_LIST_WHY_BYTES];
    cr_assert_eq(cpu_list_parse("8,2-3,0", &list, why), 0);
    static const uint16_t expected[] = {8, 2, 3, 0};
    cr_assert_eq(list.count, 4);
    cr_assert_arr_eq(list.cpu, expected, sizeof(expected));
}

Test(cpu_list, what_is_no_list_is_refused)
{
    check_fault("x", "\"x\" is no list");
    check_fault("1,,2", "is no list");
    check_fault(",1", "is no list");
    check_fault("1,", "ends in a comma");
    check_fault("1-", "is no list");
    check_fault("-1", "is no list");
    check_fault("1 2", "is no list");
    check_fault("1-2-3", "is no list");
    check_fault("0x1", "is no list");
}

Test(cpu_list, impossible_cpus_are_refused)
{
    check_fault("5-3", "5-3 runs backwards");
    check_fault("1024", "cpu 1024 is beyond");
    check_fault("0-99999999999999999999", "is beyond");
    check_fault("1,0-3", "cpu 1 is named twice");
}

Test(cpu_list, what_does_not_fit_ends_in_dots)
{
    cpu_set_t set;
    char out[16];
    CPU_ZERO(&set);
    for (uint32_t n = 0; n < 100; n += 2)
        CPU_SET(n, &set);
    cr_assert_str_eq(cpu_list_format(&set, out, sizeof(out)), "0,2,4,6,8,10...");
}

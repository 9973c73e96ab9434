/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a device's line of settings apart. */
#include <criterion/criterion.h>
#include <errno.h>
#include "gpu/spec.h"

Test(spec, items_come_in_order_with_and_without_values)
{
    struct tg_str rest = TG_STR("a=1,flag,b==2,,c=");
    static const struct {
        const char *key, *value;
        bool has_value;
    } expected[] = {
        {"a", "1", true}, {"flag", "", false}, {"b", "=2", true}, {"", "", false}, {"c", "", true}};
    struct tg_spec_item item;

    for (size_t i = 0; i < TG_ARRAY_SIZE(expected); i++) {
        cr_assert(tg_spec_next(&rest, ',', &item));
        cr_assert(tg_spec_is(item.key, expected[i].key));
        cr_assert(tg_spec_is(item.value, expected[i].value));
        cr_assert_eq(item.has_value, expected[i].has_value);
    }
    cr_assert_not(tg_spec_next(&rest, ',', &item));
}

Test(spec, an_empty_line_has_no_items)
{
    struct tg_str rest = TG_STR(""), none = {NULL, 0};
    struct tg_spec_item item;

    cr_assert_not(tg_spec_next(&rest, ',', &item));
    cr_assert_not(tg_spec_next(&none, ',', &item));
}

Test(spec, numbers_are_decimal_whole_and_within_bounds)
{
    uint64_t value = 7;

    cr_assert_eq(tg_spec_number(TG_STR("0"), 0, 9, &value), 0);
    cr_assert_eq(value, 0);
    cr_assert_eq(tg_spec_number(TG_STR("18446744073709551615"), 0, UINT64_MAX, &value), 0);
    cr_assert_eq(value, UINT64_MAX);
    cr_assert_eq(tg_spec_number(TG_STR("18446744073709551616"), 0, UINT64_MAX, &value), -ERANGE);
    cr_assert_eq(tg_spec_number(TG_STR("99999999999999999999999"), 0, UINT64_MAX, &value), -ERANGE);
    cr_assert_eq(tg_spec_number(TG_STR("10"), 0, 9, &value), -ERANGE);
    cr_assert_eq(tg_spec_number(TG_STR("2"), 3, 9, &value), -ERANGE);
    cr_assert_eq(value, UINT64_MAX, "an error leaves the output alone");
}

Test(spec, what_is_no_number_is_said_to_be_none)
{
    static const char *const bad[] = {"", " 1", "1 ", "-1", "+1", "0x1", "1e3", "1.0", "one", "1\n"};
    uint64_t value;

    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
        struct tg_str text = {bad[i], strlen(bad[i])};
        cr_assert_eq(tg_spec_number(text, 0, UINT64_MAX, &value), -EINVAL, "%s", bad[i]);
    }
}

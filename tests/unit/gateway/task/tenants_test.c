/* SPDX-License-Identifier: Apache-2.0 */
/* Names of tenants: bounded, stable, and harmless as labels. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "gateway/task/tenants.h"

#define NAMES 8
#define INSTANCES 3

static struct tg_arena arena;
static struct tenants tenants;

static void open_table(void)
{
    cr_assert_eq(tg_arena_init(&arena, tenants_bytes(NAMES, INSTANCES), TG_ARENA_PRIVATE), 0);
    cr_assert_eq(tenants_init(&tenants, &arena, NAMES, INSTANCES), 0);
}

static void close_table(void)
{
    tg_arena_finish(&arena);
}

TestSuite(tenants, .init = open_table, .fini = close_table);

static uint16_t find(const char *name)
{
    return tenants_find(&tenants, (struct tg_str){name, strlen(name)});
}

Test(tenants, a_name_keeps_its_place)
{
    uint16_t a = find("node-a"), b = find("node-b");
    cr_assert_neq(a, TENANT_OTHER);
    cr_assert_neq(a, b);
    cr_assert_eq(find("node-a"), a);
    cr_assert_eq(find("node-b"), b);
    cr_assert_str_eq(tenants.names[a], "node-a");
    cr_assert_eq(tenants_known(&tenants), 3);
}

Test(tenants, one_name_may_begin_like_another)
{
    uint16_t longer = find("node-ab"), shorter = find("node-a");
    cr_assert_neq(longer, shorter);
    cr_assert_eq(find("node-ab"), longer);
}

Test(tenants, those_that_come_too_late_share_a_place)
{
    char name[16];
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof(name), "early-%u", i);
        cr_assert_neq(find(name), TENANT_OTHER);
    }
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof(name), "late-%u", i);
        cr_assert_eq(find(name), TENANT_OTHER);
    }
    cr_assert_neq(find("early-3"), TENANT_OTHER);
    cr_assert_eq(tenants_known(&tenants), NAMES + 1);
}

Test(tenants, what_is_no_label_is_nobody)
{
    static const char *const names[] = {"", "a b", "a\"b", "a\\u0041", "caf\xc3\xa9", "line\nend", "other"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++)
        cr_assert_eq(find(names[i]), TENANT_OTHER, "%s", names[i]);
    cr_assert_eq(tenants_known(&tenants), 1);
}

Test(tenants, the_longest_name_fits_and_a_longer_one_is_nobody)
{
    char name[TENANT_NAME_BYTES_MAX + 2];
    memset(name, 'x', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    cr_assert_eq(find(name), TENANT_OTHER);
    name[TENANT_NAME_BYTES_MAX] = '\0';
    uint16_t place = find(name);
    cr_assert_neq(place, TENANT_OTHER);
    cr_assert_str_eq(tenants.names[place], name);
}

Test(tenants, rows_are_counted_by_name_and_intent)
{
    uint16_t a = find("node-a");
    tenants_count(&tenants, a, 2);
    tenants_count(&tenants, a, 2);
    tenants_count(&tenants, TENANT_OTHER, 0);
    cr_assert_eq(tenants_rows(&tenants, a, 2), 2);
    cr_assert_eq(tenants_rows(&tenants, a, 0), 0);
    cr_assert_eq(tenants_rows(&tenants, TENANT_OTHER, 0), 1);
}

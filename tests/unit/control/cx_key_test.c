/* SPDX-License-Identifier: Apache-2.0 */
/* The key for confidential tasks: made once, found again, never replaced. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "gateway/control/cx_key.h"

static char dir[64];
static struct crypto *crypto;
static const char *why;

static void begin(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/tg-cx-XXXXXX");
    cr_assert(mkdtemp(dir));
    crypto = crypto_create();
}

static void end(void)
{
    char command[128];
    crypto_destroy(crypto);
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(cx_key, .init = begin, .fini = end);

/* sha256("n1") begins with these digits. */
static const char *path_of_n1(void)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/cx/676b8bb84ce7267dd520deca.json", dir);
    return path;
}

Test(cx_key, is_made_once_and_found_again)
{
    struct stat st;
    struct iicp_keys first = {0}, second = {0}, other = {0};
    cr_assert_eq(cx_key_load(crypto, "", dir, "n1", &first, &why), 0, "%s", why);
    cr_assert_eq(stat(path_of_n1(), &st), 0);
    cr_expect_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(cx_key_load(crypto, NULL, dir, "n1", &second, &why), 0);
    cr_expect(first.has_cx && second.has_cx);
    cr_expect_arr_eq(first.cx_private, second.cx_private, sizeof(first.cx_private));
    cr_expect_str_eq(first.cx_key_id, second.cx_key_id);
    cr_assert_eq(cx_key_load(crypto, NULL, dir, "n2", &other, &why), 0);
    cr_expect_str_neq(first.cx_key_id, other.cx_key_id);
}

Test(cx_key, a_damaged_one_is_not_replaced)
{
    struct iicp_keys keys = {0};
    cr_assert_eq(cx_key_load(crypto, NULL, dir, "n1", &keys, &why), 0);
    FILE *f = fopen(path_of_n1(), "w");
    fputs("{}", f);
    fclose(f);
    cr_expect_eq(cx_key_load(crypto, NULL, dir, "n1", &keys, &why), -EINVAL);
    cr_expect_str_eq(why, "the key file is damaged");
}

Test(cx_key, one_that_others_can_read_is_refused)
{
    struct iicp_keys keys = {0};
    cr_assert_eq(cx_key_load(crypto, NULL, dir, "n1", &keys, &why), 0);
    cr_assert_eq(chmod(path_of_n1(), 0644), 0);
    cr_expect_eq(cx_key_load(crypto, NULL, dir, "n1", &keys, &why), -EKEYREJECTED);
}

Test(cx_key, without_a_folder_there_is_none)
{
    struct iicp_keys keys = {0};
    cr_expect_eq(cx_key_load(crypto, "", NULL, "n1", &keys, &why), -ENOENT);
}

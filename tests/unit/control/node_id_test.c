/* SPDX-License-Identifier: Apache-2.0 */
/* The id of a node that was given none: made once, its own, and one that directories take. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "gateway/control/node_id.h"

static char dir[64], id[NODE_ID_BYTES_MAX + 1];

static void begin(void)
{
    (void)snprintf(dir, sizeof(dir), "/tmp/tg-id-XXXXXX");
    cr_assert(mkdtemp(dir));
}

static void end(void)
{
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(node_id, .init = begin, .fini = end);

static const char *path_of(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof(path), "%s/nodes/%s.id", dir, name);
    return path;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path_of("default"), "w");
    cr_assert(f);
    fputs(text, f);
    fclose(f);
}

Test(node_id, is_made_once_of_the_hosts_name_and_kept_in_a_private_file)
{
    char again[NODE_ID_BYTES_MAX + 1];
    struct stat st;
    cr_assert_eq(node_id_load(dir, "default", "gpu1", id), 0);
    cr_assert_eq(strlen(id), strlen("gpu1-") + 8);
    cr_assert_eq(strncmp(id, "gpu1-", 5), 0, "%s", id);
    cr_assert_eq(strspn(id + 5, "0123456789abcdef"), 8, "%s", id);
    cr_assert_eq(stat(path_of("default"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(node_id_load(dir, "default", "another", again), 0);
    cr_assert_str_eq(again, id, "also when the host is called otherwise");
}

Test(node_id, two_hosts_of_one_name_are_two_nodes)
{
    char other[NODE_ID_BYTES_MAX + 1];
    cr_assert_eq(node_id_load(dir, "one", "gpu1", id), 0);
    cr_assert_eq(node_id_load(dir, "two", "gpu1", other), 0);
    cr_assert_str_neq(id, other);
}

Test(node_id, is_one_that_directories_take_whatever_the_host_is_called)
{
    cr_assert_eq(node_id_load(dir, "long", "a-host-with-a-name-that-is-longer-than-ids", id), 0);
    cr_assert_eq(strlen(id), NODE_ID_BYTES_MAX);
    cr_assert_eq(node_id_load(dir, "odd", "-odd name", id), 0);
    cr_assert_eq(strncmp(id, "node-", 5), 0, "%s", id);
    cr_assert_eq(node_id_load(dir, "none", "", id), 0);
    cr_assert_eq(strncmp(id, "node-", 5), 0, "%s", id);
}

Test(node_id, what_an_operator_writes_there_holds_and_nonsense_does_not)
{
    cr_assert_eq(node_id_load(dir, "default", "gpu1", id), 0);
    write_file("mine\n");
    cr_assert_eq(node_id_load(dir, "default", "gpu1", id), 0);
    cr_assert_str_eq(id, "mine");
    write_file("");
    cr_assert_eq(node_id_load(dir, "default", "gpu1", id), -EBADMSG);
    write_file("two words\n");
    cr_assert_eq(node_id_load(dir, "default", "gpu1", id), -EBADMSG);
}

Test(node_id, without_a_folder_there_is_none)
{
    cr_assert_eq(node_id_load("", "default", "gpu1", id), -ENOENT);
    cr_assert_lt(node_id_load("/dev/null", "default", "gpu1", id), 0);
}

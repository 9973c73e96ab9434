/* SPDX-License-Identifier: Apache-2.0 */
/* Small files: replaced whole or not at all, secrets kept, locks held. */
#include "gateway/control/store.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT(s) ((struct tg_str){(s), strlen(s)})

static char folder[64], path[128];

static void make_folder(void)
{
    strcpy(folder, "/tmp/tg-store-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
}

static uint32_t count_files(void)
{
    uint32_t n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void remove_folder(void)
{
    char command[96];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    cr_expect_eq(system(command), 0);
}

static void expect(const char *text)
{
    char got[256];
    int64_t n = store_read(path, true, got, sizeof(got));
    cr_assert_eq(n, (int64_t)strlen(text), "%lld", (long long)n);
    cr_assert_eq(memcmp(got, text, strlen(text)), 0);
}

TestSuite(store, .init = make_folder, .fini = remove_folder);

Test(store, what_is_written_is_read_and_nobody_else_may)
{
    struct stat s;
    umask(0);
    cr_assert_eq(store_write(path, TEXT("one")), 0);
    expect("one");
    cr_assert_eq(store_write_fast(path, TEXT("another one")), 0);
    expect("another one");
    cr_assert_eq(store_write(path, TEXT("")), 0);
    expect("");
    cr_assert_eq(stat(path, &s), 0);
    cr_assert_eq(s.st_mode & 07777, 0600);
    cr_assert_eq(count_files(), 1, "no temporary file is left");
}

Test(store, replacing_does_not_write_through_links)
{
    char target[128], got[16];
    snprintf(target, sizeof(target), "%s/target", folder);
    cr_assert_eq(store_write(target, TEXT("kept")), 0);
    cr_assert_eq(symlink(target, path), 0);
    cr_assert_eq(store_write(path, TEXT("new")), 0);
    expect("new");
    cr_assert_eq(store_read(target, true, got, sizeof(got)), 4);
}

Test(store, folders_are_made_as_far_as_they_are_missing)
{
    struct stat s;
    umask(0);
    snprintf(path, sizeof(path), "%s/a/b/c/file", folder);
    cr_assert_eq(store_write(path, TEXT("x")), -ENOENT);
    cr_assert_eq(store_make_parent(path), 0);
    cr_assert_eq(store_make_parent(path), 0);
    cr_assert_eq(store_write(path, TEXT("x")), 0);
    *strrchr(path, '/') = '\0';
    cr_assert_eq(stat(path, &s), 0);
    cr_assert_eq(s.st_mode & 07777, 0700);
    strcat(path, "/file/x/y");
    cr_assert_eq(store_make_parent(path), -ENOTDIR);
}

Test(store, a_secret_that_others_can_read_is_refused)
{
    static const mode_t open_modes[] = {0604, 0640, 0602, 0620, 0610, 0601, 0644};
    char got[16];
    cr_assert_eq(store_write(path, TEXT("secret")), 0);
    for (size_t i = 0; i < TG_ARRAY_SIZE(open_modes); i++) {
        chmod(path, open_modes[i]);
        cr_expect_eq(store_read(path, true, got, sizeof(got)), -EACCES, "%o", open_modes[i]);
        cr_expect(store_exposed(path), "%o", open_modes[i]);
        cr_expect_eq(store_read(path, false, got, sizeof(got)), 6, "%o", open_modes[i]);
    }
    chmod(path, 0400);
    cr_expect_eq(store_read(path, true, got, sizeof(got)), 6);
    cr_expect_not(store_exposed(path));
    cr_expect_not(store_exposed("/nowhere/secret"));
}

Test(store, a_secret_of_somebody_elses_is_refused)
{
    char got[16];
    if (geteuid() != 0)
        cr_skip_test("only root can give files away");
    cr_assert_eq(store_write(path, TEXT("secret")), 0);
    cr_assert_eq(chown(path, 12345, 12345), 0);
    cr_expect_eq(store_read(path, true, got, sizeof(got)), -EACCES);
}

Test(store, reading_is_bounded_and_files_only)
{
    char got[8], fifo[128];
    cr_assert_eq(store_read(path, true, got, sizeof(got)), -ENOENT);
    cr_assert_eq(store_write(path, TEXT("12345678")), 0);
    cr_assert_eq(store_read(path, true, got, 8), 8);
    cr_assert_eq(store_read(path, true, got, 7), -EFBIG);
    cr_assert_eq(store_read(folder, false, got, sizeof(got)), -EISDIR);
    cr_assert_eq(store_read("/proc/self/maps", false, got, sizeof(got)), -EFBIG, "its size says nothing");
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    cr_assert_eq(store_read(fifo, true, got, sizeof(got)), -EINVAL, "and it does not wait for a writer");
}

Test(store, a_write_that_fails_leaves_the_old_content)
{
    static char large[65536];
    struct rlimit small = {1024, 1024};
    cr_assert_eq(store_write(path, TEXT("old")), 0);
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    cr_assert_eq(store_write(path, (struct tg_str){large, sizeof(large)}), -EFBIG);
    cr_assert_eq(store_write_fast(path, (struct tg_str){large, sizeof(large)}), -EFBIG);
    expect("old");
    cr_assert_eq(count_files(), 1);
}

Test(store, a_full_disk_leaves_the_old_content)
{
    static char large[1 << 20];
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=64k") < 0)
        cr_skip_test("mounting is not allowed here");
    cr_assert_eq(store_write(path, TEXT("old")), 0);
    cr_assert_eq(store_write(path, (struct tg_str){large, sizeof(large)}), -ENOSPC);
    expect("old");
    cr_assert_eq(count_files(), 1);
    cr_assert_eq(store_write(path, TEXT("there is room again")), 0);
    expect("there is room again");
    umount(folder);
}

Test(store, a_folder_that_cannot_be_written_is_said)
{
    cr_assert_eq(store_write("/proc/nothing/here", TEXT("x")), -ENOENT);
    cr_assert_lt(store_write("/proc/file", TEXT("x")), 0);
}

Test(store, a_lock_has_one_holder)
{
    int fd = store_lock(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(store_lock(path), -EBUSY);
    close(fd);
    fd = store_lock(path);
    cr_assert_geq(fd, 0);
    close(fd);
}

Test(store, the_folder_comes_from_the_configuration_the_manager_or_home)
{
    char out[STORE_PATH_MAX], longest[STORE_PATH_MAX + 1];
    setenv("STATE_DIRECTORY", "/var/lib/taskgate:/var/lib/other", 1);
    setenv("HOME", "/home/somebody", 1);
    cr_assert(store_dir("/configured/", out));
    cr_assert_str_eq(out, "/configured");
    cr_assert(store_dir("", out));
    cr_assert_str_eq(out, "/var/lib/taskgate");
    unsetenv("STATE_DIRECTORY");
    cr_assert(store_dir(NULL, out));
    cr_assert_str_eq(out, "/home/somebody/.iicp");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    cr_assert_not(store_dir(longest, out));
    setenv("HOME", longest, 1);
    cr_assert_not(store_dir("", out));
}

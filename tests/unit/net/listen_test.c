/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets: Unix socket files, both address families, and sockets passed by a service manager. */
#include "gateway/net/net.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[] = "/tmp/taskgate-listen-XXXXXX";
static char path[64], error[256];
static struct listen_file file;

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/s", folder);
}

static void remove_folder(void)
{
    unlink(path);
    rmdir(folder);
}

static int connect_to(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", name);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int rc = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : fd;
    if (rc < 0)
        close(fd);
    return rc;
}

static bool is_there(void)
{
    return access(path, F_OK) == 0;
}

static int open_it(void)
{
    return listen_unix_open(path, 8, &file, error, sizeof(error));
}

Test(listen_unix, serves_at_its_path_and_goes_with_it, .init = make_folder, .fini = remove_folder)
{
    struct stat s;
    char name[128];
    int fd = open_it();
    cr_assert_geq(fd, 0, "%s", error);
    cr_assert_eq(stat(path, &s), 0);
    cr_assert_eq(s.st_mode & 07777, 0660, "%o", s.st_mode);
    cr_assert_geq(connect_to(path), 0);
    listen_name(fd, name, sizeof(name));
    cr_assert_eq(strncmp(name, "unix:/tmp/", 10), 0, "%s", name);
    listen_unix_remove(&file);
    cr_assert_not(is_there());
    listen_unix_remove(&file);
    close(fd);
}

Test(listen_unix, replaces_what_a_dead_process_left, .init = make_folder, .fini = remove_folder)
{
    int dead = open_it();
    close(dead);
    cr_assert(is_there());
    cr_assert_eq(connect_to(path), -ECONNREFUSED);
    int fd = open_it();
    cr_assert_geq(fd, 0, "%s", error);
    cr_assert_geq(connect_to(path), 0);
}

Test(listen_unix, leaves_a_living_process_its_socket, .init = make_folder, .fini = remove_folder)
{
    struct listen_file second;
    cr_assert_geq(open_it(), 0);
    cr_assert_eq(listen_unix_open(path, 8, &second, error, sizeof(error)), -EADDRINUSE);
    cr_assert_not_null(strstr(error, "another process answers there"), "%s", error);
    cr_assert_geq(connect_to(path), 0);
}

Test(listen_unix, a_full_backlog_is_an_answer, .init = make_folder, .fini = remove_folder)
{
    struct listen_file second;
    cr_assert_geq(listen_unix_open(path, 0, &file, error, sizeof(error)), 0);
    cr_assert_geq(connect_to(path), 0);
    cr_assert_eq(listen_unix_open(path, 0, &second, error, sizeof(error)), -EADDRINUSE);
}

Test(listen_unix, touches_nothing_but_sockets, .init = make_folder, .fini = remove_folder)
{
    close(open(path, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(open_it(), -EEXIST);
    cr_assert_not_null(strstr(error, "no socket is in the way"), "%s", error);
    cr_assert(is_there());
}

Test(listen_unix, removes_only_its_own_file, .init = make_folder, .fini = remove_folder)
{
    cr_assert_geq(open_it(), 0);
    char aside[80];
    snprintf(aside, sizeof(aside), "%s.old", path); /* its inode stays taken */
    cr_assert_eq(rename(path, aside), 0);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    listen_unix_remove(&file);
    cr_assert(is_there());
    unlink(aside);
}

Test(listen_unix, says_what_is_wrong_with_a_path)
{
    char longest[200];
    memset(longest, 'x', sizeof(longest));
    longest[0] = '/';
    longest[108] = '\0';
    cr_assert_eq(listen_unix_open(longest, 8, &file, error, sizeof(error)), -ENAMETOOLONG);
    cr_assert_not_null(strstr(error, "has 108 bytes, 1 to 107 are possible"), "%s", error);
    cr_assert_eq(listen_unix_open("", 8, &file, error, sizeof(error)), -ENAMETOOLONG);
    cr_assert_eq(listen_unix_open("/nowhere/at/all", 8, &file, error, sizeof(error)), -ENOENT);
    cr_assert_not_null(strstr(error, "cannot listen on unix:/nowhere/at/all: No such file"), "%s", error);
}

/* ---- all addresses ---------------------------------------------------------------------------------------- */

static bool has_ipv6(void)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return ok;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage s;
    socklen_t len = sizeof(s);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&s, &len), 0);
    return ntohs(s.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&s)->sin6_port
                                         : ((struct sockaddr_in *)&s)->sin_port);
}

static bool connects4(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return ok;
}

static bool connects6(unsigned port)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                             .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return ok;
}

Test(listen, no_host_means_both_families)
{
    static const char *const all[] = {":0", "[::]:0"};
    for (size_t i = 0; i < (has_ipv6() ? 2 : 1); i++) {
        int fd = listen_open(all[i], 8, true, error, sizeof(error));
        cr_assert_geq(fd, 0, "%s", error);
        cr_assert(connects4(port_of(fd)), "%s", all[i]);
        cr_assert(!has_ipv6() || connects6(port_of(fd)), "%s", all[i]);
        close(fd);
    }
}

Test(listen, an_ipv4_address_serves_ipv4_alone)
{
    int fd = listen_open("0.0.0.0:0", 8, true, error, sizeof(error));
    cr_assert(connects4(port_of(fd)));
    cr_assert_not(connects6(port_of(fd)));
}

/* ---- sockets passed by a service manager ------------------------------------------------------------------- */

static void pass(int count)
{
    char text[32];
    snprintf(text, sizeof(text), "%d", getpid());
    setenv("LISTEN_PID", text, 1);
    snprintf(text, sizeof(text), "%d", count);
    setenv("LISTEN_FDS", text, 1);
}

/* Put @fd where the protocol wants it. Each test is a process of its own, so nothing else is hurt. */
static void place(int fd, int at)
{
    cr_assert_eq(dup2(fd, at), at);
}

static int inherit(int fds[4])
{
    error[0] = '\0';
    return listen_inherit(fds, 4, error, sizeof(error));
}

Test(listen_inherit, takes_what_is_passed)
{
    int fds[4];
    int a = listen_open("127.0.0.1:0", 8, false, error, sizeof(error)), b = listen_open(":0", 8, false, error, 256);
    unsigned port = port_of(a);
    a = fcntl(a, F_DUPFD, 20);
    b = fcntl(b, F_DUPFD, 21);
    place(a, 3);
    place(b, 4);
    fcntl(3, F_SETFL, 0);
    pass(2);
    cr_assert_eq(inherit(fds), 2, "%s", error);
    cr_assert(fds[0] == 3 && fds[1] == 4);
    cr_assert_eq(port_of(3), port);
    cr_assert(fcntl(3, F_GETFL) & O_NONBLOCK);
    cr_assert(fcntl(3, F_GETFD) & FD_CLOEXEC);
    cr_assert_null(getenv("LISTEN_FDS"));
    cr_assert_eq(inherit(fds), 0, "once");
}

Test(listen_inherit, nothing_is_ours_without_our_process_id)
{
    int fds[4];
    cr_assert_eq(inherit(fds), 0);
    pass(1);
    setenv("LISTEN_PID", "1", 1);
    cr_assert_eq(inherit(fds), 0);
    static const char *const odd[] = {"", "-1", "x", "1x", "99999999999999999999999"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(odd); i++) {
        pass(1);
        setenv("LISTEN_FDS", odd[i], 1);
        cr_assert_eq(inherit(fds), 0, "%s", odd[i]);
    }
}

static void expect_refusal(int fd, const char *why)
{
    int fds[4];
    place(fd, 3);
    pass(1);
    cr_assert_eq(inherit(fds), -EINVAL);
    cr_assert_not_null(strstr(error, why), "%s", error);
}

Test(listen_inherit, refuses_what_cannot_be_accepted_from)
{
    expect_refusal(open("/dev/null", O_RDONLY), "descriptor 3 is no socket");
    expect_refusal(socket(AF_INET, SOCK_DGRAM, 0), "is no stream socket");
    expect_refusal(socket(AF_INET, SOCK_STREAM, 0), "does not listen");
}

Test(listen_inherit, refuses_more_than_can_be_served)
{
    int fds[4];
    pass(5);
    cr_assert_eq(inherit(fds), -E2BIG);
    cr_assert_not_null(strstr(error, "5 sockets were passed, at most 4 are served"), "%s", error);
}

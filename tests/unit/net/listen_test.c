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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
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

/* The protocol's descriptors are the test runner's own here: so each attempt is made by a child process. */
struct attempt {
    int rc, again; /* what listen_inherit() says, and then says once more */
    int fds[4];
    int status_flags, fd_flags; /* of the first */
    bool variables_left;
    char error[256];
};

static void pass(const char *pid, const char *count)
{
    char own[32];
    snprintf(own, sizeof(own), "%d", getpid());
    setenv("LISTEN_PID", pid ? pid : own, 1);
    setenv("LISTEN_FDS", count, 1);
}

static void try_it(struct attempt *a, const char *pid, const char *count, const int *sockets, int sockets_count)
{
    int high[4];
    for (int i = 0; i < sockets_count; i++)
        high[i] = fcntl(sockets[i], F_DUPFD, 100); /* out of the way of those that are put in place */
    for (int i = 0; i < sockets_count; i++)
        dup2(high[i], 3 + i);
    pass(pid, count);
    a->rc = listen_inherit(a->fds, 4, a->error, sizeof(a->error));
    a->status_flags = fcntl(3, F_GETFL);
    a->fd_flags = fcntl(3, F_GETFD);
    a->variables_left = getenv("LISTEN_FDS") || getenv("LISTEN_PID");
    a->again = listen_inherit(a->fds, 4, a->error, sizeof(a->error));
}

static struct attempt inherit(const char *pid, const char *count, const int *sockets, int sockets_count)
{
    struct attempt *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    if (child == 0) {
        try_it(a, pid, count, sockets, sockets_count);
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    return *a;
}

Test(listen_inherit, takes_what_is_passed)
{
    int sockets[2] = {listen_open("127.0.0.1:0", 8, false, error, sizeof(error)),
                      listen_open(":0", 8, false, error, sizeof(error))};
    fcntl(sockets[0], F_SETFL, 0);
    struct attempt a = inherit(NULL, "2", sockets, 2);
    cr_assert_eq(a.rc, 2, "%s", a.error);
    cr_assert(a.fds[0] == 3 && a.fds[1] == 4);
    cr_assert(a.status_flags & O_NONBLOCK);
    cr_assert(a.fd_flags & FD_CLOEXEC);
    cr_assert_not(a.variables_left);
    cr_assert_eq(a.again, 0, "they are passed once");
}

Test(listen_inherit, nothing_is_ours_without_our_process_id)
{
    static const char *const odd[] = {"", "-1", "x", "1x", "0", "99999999999999999999999"};
    cr_assert_eq(inherit("1", "1", NULL, 0).rc, 0);
    cr_assert_eq(inherit("", "1", NULL, 0).rc, 0);
    for (size_t i = 0; i < TG_ARRAY_SIZE(odd); i++)
        cr_assert_eq(inherit(NULL, odd[i], NULL, 0).rc, 0, "%s", odd[i]);
}

static void expect_refusal(int fd, const char *why)
{
    struct attempt a = inherit(NULL, "1", &fd, 1);
    cr_assert_eq(a.rc, -EINVAL);
    cr_assert_not_null(strstr(a.error, why), "%s", a.error);
}

Test(listen_inherit, refuses_what_cannot_be_accepted_from)
{
    expect_refusal(open("/dev/null", O_RDONLY), "descriptor 3 is no socket");
    expect_refusal(socket(AF_INET, SOCK_DGRAM, 0), "is no stream socket");
    expect_refusal(socket(AF_INET, SOCK_STREAM, 0), "does not listen");
}

Test(listen_inherit, refuses_more_than_can_be_served)
{
    struct attempt a = inherit(NULL, "5", NULL, 0);
    cr_assert_eq(a.rc, -E2BIG);
    cr_assert_not_null(strstr(a.error, "5 sockets were passed, at most 4 are served"), "%s", a.error);
}

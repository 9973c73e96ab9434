/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets that a service manager opened for us (systemd.socket(5), sd_listen_fds(3)). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "net.h"

#define FIRST_FD 3

/* The value of a variable that holds a plain number, -1 otherwise. */
static long number_in(const char *name)
{
    const char *text = getenv(name);
    char *end;
    if (!text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    long n = strtol(text, &end, 10);
    return *end || errno ? -1 : n;
}

static int option(int fd, int name)
{
    int value;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -errno : value;
}

/* NULL, or why the descriptor is no use to us. */
static const char *fault_of(int fd)
{
    int type = option(fd, SO_TYPE), family = option(fd, SO_DOMAIN);
    if (type < 0)
        return "is no socket";
    if (type != SOCK_STREAM)
        return "is no stream socket";
    if (option(fd, SO_ACCEPTCONN) != 1)
        return "does not listen (Accept=no is what we need)";
    return family == AF_INET || family == AF_INET6 || family == AF_UNIX ? NULL : "is of an unknown family";
}

static int adopt(int fd, char *error, size_t error_len)
{
    const char *fault = fault_of(fd);
    if (fault) {
        snprintf(error, error_len, "LISTEN_FDS: descriptor %d %s", fd, fault);
        return -EINVAL;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

/* A process that we start must not take them for its own. */
static void forget(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
}

void listen_inherit_drop(void)
{
    long pid = number_in("LISTEN_PID"), count = number_in("LISTEN_FDS");
    if (pid != (long)getppid())
        return;
    forget();
    for (long i = 0; i < count; i++)
        close((int)(FIRST_FD + i));
}

int listen_inherit(int *fds, uint32_t most, char *error, size_t error_len)
{
    long pid = number_in("LISTEN_PID"), count = number_in("LISTEN_FDS");
    if (pid != (long)getpid() || count <= 0)
        return 0;
    forget();
    if (count > (long)most) {
        snprintf(error, error_len, "LISTEN_FDS: %ld sockets were passed, at most %u are served", count, most);
        return -E2BIG;
    }
    for (int i = 0; i < count; i++) {
        int rc = adopt(FIRST_FD + i, error, error_len);
        if (rc < 0)
            return rc;
        fds[i] = FIRST_FD + i;
    }
    return (int)count;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to a service manager. */
#include "gateway/control/notify.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int manager(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(a.sun_path, name, len);
    if (name[0] == '@')
        a.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static void expect(int fd, const char *start)
{
    char text[256] = "";
    cr_assert_gt(recv(fd, text, sizeof(text) - 1, 0), 0, "%s", start);
    cr_assert_eq(strncmp(text, start, strlen(start)), 0, "%s", text);
}

static void tell_all(int fd)
{
    notify_ready();
    expect(fd, "READY=1\n");
    notify_reloading();
    expect(fd, "RELOADING=1\nMONOTONIC_USEC=");
    notify_stopping();
    expect(fd, "STOPPING=1\n");
}

Test(notify, speaks_to_abstract_sockets)
{
    char name[64];
    snprintf(name, sizeof(name), "@taskgate-notify-%d", getpid());
    tell_all(manager(name));
}

Test(notify, speaks_to_socket_files)
{
    char name[64];
    snprintf(name, sizeof(name), "/tmp/taskgate-notify-%d", getpid());
    tell_all(manager(name));
    unlink(name);
}

Test(notify, nobody_listening_is_no_harm)
{
    static const char *const names[] = {"", "/", "relative", "/nowhere/at/all", "@nobody-here"};
    char name[64], longest[300];
    snprintf(name, sizeof(name), "@taskgate-notify-quiet-%d", getpid());
    int fd = manager(name);
    memset(longest, 'x', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    unsetenv("NOTIFY_SOCKET");
    notify_ready();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv("NOTIFY_SOCKET", names[i], 1);
        notify_ready();
    }
    setenv("NOTIFY_SOCKET", longest, 1);
    notify_ready();
    char text[8];
    cr_assert_lt(recv(fd, text, sizeof(text), 0), 0, "and nothing went astray");
}

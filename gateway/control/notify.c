/* SPDX-License-Identifier: Apache-2.0 */
/* One datagram per change of state, to the socket that NOTIFY_SOCKET names. */
#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* A path, or an abstract name written with '@' for its leading NUL. Returns the address's length, 0 if it is none. */
static socklen_t address_of(const char *name, struct sockaddr_un *a)
{
    size_t len = strlen(name);
    *a = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len < 2 || len >= sizeof(a->sun_path) || (name[0] != '/' && name[0] != '@'))
        return 0;
    memcpy(a->sun_path, name, len);
    if (name[0] == '@')
        a->sun_path[0] = '\0';
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

/* A manager that does not listen is its own problem: there is nobody to tell. */
static void notify(const char *text)
{
    const char *name = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a;
    socklen_t len = name ? address_of(name, &a) : 0;
    if (len == 0)
        return;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)!sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (const struct sockaddr *)&a, len);
    close(fd);
}

void notify_ready(void)
{
    notify("READY=1\nSTATUS=serving\n");
}

/* The time lets the manager tell this reload from an earlier one. */
void notify_reloading(void)
{
    char text[96];
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading\n",
             (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
    notify(text);
}

void notify_stopping(void)
{
    notify("STOPPING=1\nSTATUS=draining\n");
}

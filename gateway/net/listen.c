/* SPDX-License-Identifier: Apache-2.0 */
/* Opening listening sockets. */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "net.h"

#define HOST_BYTES 256

/* "host:port", "[v6]:port", ":port". Returns 0 or -EINVAL. */
static int split(const char *address, char host[HOST_BYTES], const char **port)
{
    const char *colon = strrchr(address, ':');
    if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return -EINVAL;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && address[0] == '[' && colon[-1] == ']') {
        address++;
        len -= 2;
    }
    if (len >= HOST_BYTES)
        return -EINVAL;
    memcpy(host, address, len);
    host[len] = '\0';
    *port = colon + 1;
    return 0;
}

static bool ipv6_works(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static int resolve(const char *address, struct addrinfo **list, char *error, size_t error_len)
{
    char host[HOST_BYTES];
    const char *port;
    if (split(address, host, &port) < 0) {
        snprintf(error, error_len, "%s: expected host:port, [v6]:port or :port", address);
        return -EINVAL;
    }
    /* Without IPv6 in the kernel, all addresses are those of IPv4. */
    bool all = host[0] == '\0', has_ipv6 = !all || ipv6_works();
    struct addrinfo hints = {.ai_family = !all ? AF_UNSPEC : has_ipv6 ? AF_INET6 : AF_INET,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    int rc = getaddrinfo(!all ? host : has_ipv6 ? "::" : "0.0.0.0", port, &hints, list);
    if (rc != 0) {
        snprintf(error, error_len, "%s: %s", address, gai_strerror(rc));
        return -EINVAL;
    }
    return 0;
}

static int set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int open_one(const struct addrinfo *a, int backlog, bool reuse_port)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && a->ai_family == AF_INET6)
        rc = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0); /* "::" serves IPv4 too */
    if (rc == 0 && reuse_port)
        rc = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && bind(fd, a->ai_addr, a->ai_addrlen) < 0)
        rc = -errno;
    if (rc == 0 && backlog > 0 && listen(fd, backlog) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int listen_open(const char *address, int backlog, bool reuse_port, char *error, size_t error_len)
{
    struct addrinfo *list;
    int rc = resolve(address, &list, error, error_len);
    if (rc < 0)
        return rc;
    int fd = open_one(list, backlog, reuse_port);
    freeaddrinfo(list);
    if (fd < 0)
        snprintf(error, error_len, "cannot listen on %s: %s", address, strerror(-fd));
    return fd;
}

int listen_check_free(const char *address, char *error, size_t error_len)
{
    int fd = listen_open(address, 0, false, error, error_len);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

void listen_name(int fd, char *out, size_t cap)
{
    struct sockaddr_storage a;
    socklen_t len = sizeof(a);
    char host[64] = "?", port[16] = "?";
    int rc = getsockname(fd, (struct sockaddr *)&a, &len);
    if (rc == 0 && a.ss_family == AF_UNIX) {
        snprintf(out, cap, LISTEN_UNIX "%s", ((struct sockaddr_un *)&a)->sun_path);
        return;
    }
    if (rc == 0)
        getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(out, cap, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

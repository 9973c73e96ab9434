/* SPDX-License-Identifier: Apache-2.0 */
/* Resolves the target and refuses a load test of somebody else's machine unless told otherwise. */
#include "target.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

static int bad(const struct options *o, const char *why)
{
    fprintf(stderr, "bench-load: target '%s': %s\n", o->target, why);
    return -EINVAL;
}

static bool is_loopback(const struct sockaddr_storage *addr)
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)addr;
    const struct sockaddr_in *four = (const struct sockaddr_in *)addr;

    if (addr->ss_family == AF_INET)
        return (ntohl(four->sin_addr.s_addr) >> 24) == 127;
    return addr->ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

static const char *after_scheme(struct options *o)
{
    if (strncmp(o->target, "https://", 8) == 0) {
        o->tls = true;
        return o->target + 8;
    }
    return strncmp(o->target, "http://", 7) == 0 ? o->target + 7 : o->target;
}

/* Cuts "http://HOST:PORT/path" in place; the path stays with the options. */
static int split(struct options *o, char *host, const char **port)
{
    const char *rest = after_scheme(o);
    size_t len = strcspn(rest, "/");
    char *colon;

    if (strstr(rest, "://"))
        return bad(o, "only http:// and https:// are spoken");
    if (len == 0 || len >= sizeof(o->host))
        return bad(o, "no host in it");
    if (rest[len] && rest[len + 1] && !o->path[0])
        o->path = rest + len;
    memcpy(host, rest, len);
    host[len] = 0;
    memcpy(o->host, host, len + 1);
    colon = strrchr(host, ':');
    if (!colon || !colon[1])
        return bad(o, "needs a port, as in http://127.0.0.1:9484");
    *colon = 0;
    *port = colon + 1;
    return 0;
}

static void strip_brackets(char *host)
{
    size_t len = strlen(host);

    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        memmove(host, host + 1, len - 2);
        host[len - 2] = 0;
    }
}

int target_resolve(struct options *o)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    char host[sizeof(o->host)];
    const char *port = NULL;
    int rc = split(o, host, &port);

    if (rc)
        return rc;
    strip_brackets(host);
    rc = getaddrinfo(host, port, &hints, &found);
    if (rc)
        return bad(o, gai_strerror(rc));
    memcpy(&o->addr, found->ai_addr, found->ai_addrlen);
    o->addr_len = found->ai_addrlen;
    freeaddrinfo(found);
    if (!o->allow_remote && !is_loopback(&o->addr))
        return bad(o, "not a loopback address; --allow-remote if the machine is yours to load");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which network cards are behind a listening address. */
#include <dirent.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/address.h"
#include "machine.h"

#define LOWER_MAX 8 /* how deep VLANs, bonds and bridges are followed */

static bool add_card(const struct machine *m, const char *interface, struct machine_nics *out)
{
    for (uint32_t i = 0; i < m->device_count; i++) {
        if (m->devices[i].kind != MACHINE_NIC || strcmp(m->devices[i].name, interface) != 0)
            continue;
        for (uint32_t k = 0; k < out->count; k++)
            if (out->device[k] == i)
                return true;
        if (out->count < MACHINE_NICS_MAX)
            out->device[out->count++] = (uint16_t)i;
        return true;
    }
    return false;
}

/* What carries an interface stands beside it as links named lower_NAME. */
static void add_lower(const struct machine *m, const char *sys, const char *interface, struct machine_nics *out,
                      int depth)
{
    char path[512];
    if (add_card(m, interface, out) || depth == LOWER_MAX)
        return;
    snprintf(path, sizeof(path), "%s/class/net/%s", sys, interface);
    DIR *folder = opendir(path);
    for (const struct dirent *e; folder && (e = readdir(folder));)
        if (strncmp(e->d_name, "lower_", 6) == 0)
            add_lower(m, sys, e->d_name + 6, out, depth + 1);
    if (folder)
        closedir(folder);
}

void machine_nics_of_interface(const struct machine *m, const char *sys, const char *interface,
                               struct machine_nics *out)
{
    add_lower(m, sys, interface, out, 0);
}

/* The host of "host:port" without brackets; empty for all addresses. */
static void host_of(const char *address, char *host, size_t bytes)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    if (len >= 2 && address[0] == '[' && address[len - 1] == ']')
        address++, len -= 2;
    snprintf(host, bytes, "%.*s", (int)len, address);
}

static bool resolve(const char *host, struct address *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    struct sockaddr_storage s = {0};
    if (getaddrinfo(host, "1", &hints, &found) != 0 || !found)
        return false;
    memcpy(&s, found->ai_addr, TG_MIN((size_t)found->ai_addrlen, sizeof(s)));
    freeaddrinfo(found);
    return address_of_socket(&s, out);
}

static bool is_any(const struct address *a)
{
    static const uint8_t ipv4[4], ipv6[16];
    struct address any = address_of_ipv4(ipv4);
    return memcmp(a->bytes, any.bytes, sizeof(any.bytes)) == 0 || memcmp(a->bytes, ipv6, sizeof(ipv6)) == 0;
}

static bool has_address(const struct ifaddrs *i, const struct address *wanted)
{
    struct sockaddr_storage s = {0};
    struct address own;
    if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
        return false;
    memcpy(&s, i->ifa_addr,
           i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    return address_of_socket(&s, &own) && (!wanted || memcmp(own.bytes, wanted->bytes, sizeof(own.bytes)) == 0);
}

/* @wanted NULL: of any address. */
static void add_interfaces(const struct machine *m, const struct address *wanted, struct machine_nics *out)
{
    struct ifaddrs *all = NULL;
    if (getifaddrs(&all) < 0)
        return;
    for (const struct ifaddrs *i = all; i; i = i->ifa_next)
        if ((i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK) && has_address(i, wanted))
            machine_nics_of_interface(m, "/sys", i->ifa_name, out);
    freeifaddrs(all);
}

/* Another machine's addresses are not known, but its cards are. */
static void add_all(const struct machine *m, struct machine_nics *out)
{
    for (uint32_t i = 0; i < m->device_count; i++)
        if (m->devices[i].kind == MACHINE_NIC)
            add_card(m, m->devices[i].name, out);
}

void machine_nics_of_address(const struct machine *m, const char *address, struct machine_nics *out)
{
    char host[256];
    struct address wanted;
    if (strncmp(address, "unix:/", 6) == 0)
        return;
    host_of(address, host, sizeof(host));
    bool any = host[0] == '\0';
    if (!any && !resolve(host, &wanted))
        return;
    any = any || is_any(&wanted);
    if (any && !m->is_ours)
        add_all(m, out);
    else if (m->is_ours)
        add_interfaces(m, any ? NULL : &wanted, out);
}

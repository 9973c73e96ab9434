/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses from sockets and text. */
#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define MAPPED_BITS 96 /* of an IPv4 address in its IPv6 form */

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

struct address address_of_ipv4(const uint8_t bytes[4])
{
    struct address a;
    memcpy(a.bytes, mapped, sizeof(mapped));
    memcpy(a.bytes + sizeof(mapped), bytes, 4);
    return a;
}

bool address_of_socket(const struct sockaddr_storage *s, struct address *out)
{
    if (s->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)s;
        *out = address_of_ipv4((const uint8_t *)&in->sin_addr);
    } else if (s->ss_family == AF_INET6) {
        memcpy(out->bytes, &((const struct sockaddr_in6 *)s)->sin6_addr, sizeof(out->bytes));
    }
    return s->ss_family == AF_INET || s->ss_family == AF_INET6;
}

bool address_parse(struct tg_str text, bool ipv6, struct address *out)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    if (text.len >= sizeof(copy) || (text.len > 0 && memchr(text.ptr, '\0', text.len)))
        return false;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(ipv6 ? AF_INET6 : AF_INET, copy, bytes) != 1)
        return false;
    if (ipv6)
        memcpy(out->bytes, bytes, sizeof(bytes));
    else
        *out = address_of_ipv4(bytes);
    return true;
}

bool address_is_ipv4(const struct address *a)
{
    return memcmp(a->bytes, mapped, sizeof(mapped)) == 0;
}

/* Digits up to @most, without a leading zero; -1 for anything else. */
static int small_number(struct tg_str s, int most)
{
    int n = 0;
    if (s.len == 0 || s.len > 3 || (s.len > 1 && s.ptr[0] == '0'))
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return -1;
        n = n * 10 + (s.ptr[i] - '0');
    }
    return n <= most ? n : -1;
}

/* Bits beyond the prefix must be zero: "10.1.0.0/8" is more likely a slip than a wish. */
static bool host_bits_clear(const struct address_prefix *p)
{
    for (uint32_t bit = p->bits; bit < 128; bit++)
        if (p->address.bytes[bit / 8] >> (7 - bit % 8) & 1)
            return false;
    return true;
}

const char *address_prefix_parse(struct tg_str text, struct address_prefix *out)
{
    const char *slash = text.len > 0 ? memchr(text.ptr, '/', text.len) : NULL;
    struct tg_str name = {text.ptr, slash ? (size_t)(slash - text.ptr) : text.len};
    bool ipv6 = name.len > 0 && memchr(name.ptr, ':', name.len);
    int most = ipv6 ? 128 : 32, bits = most;
    struct address_prefix p;
    if (!address_parse(name, ipv6, &p.address))
        return "is not an address like 192.0.2.0/24 or 2001:db8::/32";
    if (slash)
        bits = small_number((struct tg_str){slash + 1, text.len - name.len - 1}, most);
    if (bits < 0)
        return ipv6 ? "has a prefix length outside 0..128" : "has a prefix length outside 0..32";
    p.bits = (uint32_t)bits + (ipv6 ? 0 : MAPPED_BITS);
    if (!host_bits_clear(&p))
        return "has bits set behind its prefix";
    *out = p;
    return NULL;
}

bool address_prefix_holds(const struct address_prefix *p, const struct address *a)
{
    uint32_t whole = p->bits / 8, rest = p->bits % 8;
    if (memcmp(p->address.bytes, a->bytes, whole) != 0)
        return false;
    return rest == 0 || (p->address.bytes[whole] ^ a->bytes[whole]) >> (8 - rest) == 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Internet addresses and prefixes, IPv4 in its IPv6-mapped form, so that one comparison serves both. Pure. */
#ifndef TG_ADDRESS_H
#define TG_ADDRESS_H

#include <sys/socket.h>

#include "tg/def.h"

struct address {
    uint8_t bytes[16];
};

/* "10.0.0.0/8", "fd00::/8", or one address. */
struct address_prefix {
    struct address address;
    uint32_t bits; /* counted from the first of the 128 */
};

#define ADDRESS_PREFIX_TEXT_MAX 49 /* a full IPv6 address, the slash, three digits */

/** @bytes are 4 (IPv4) or 16, in network order. */
struct address address_of_ipv4(const uint8_t bytes[4]);
/** False for other families, such as Unix sockets. */
bool address_of_socket(const struct sockaddr_storage *s, struct address *out);
/** False unless it is a numeric address (@ipv6: of that family) and nothing else. */
bool address_parse(struct tg_str text, bool ipv6, struct address *out);

bool address_is_ipv4(const struct address *a);

/** Numeric address, or address and number of bits. Returns NULL, or what is wrong with it. */
const char *address_prefix_parse(struct tg_str text, struct address_prefix *out);
bool address_prefix_holds(const struct address_prefix *p, const struct address *a);

#endif

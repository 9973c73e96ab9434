/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses this host calls on somebody else's word (provider node contract, section 10.2).
 * Pure: no resolution here.
 */
#ifndef TG_OUTBOUND_H
#define TG_OUTBOUND_H

#include "gateway/base/address.h"

#define OUTBOUND_URL_MAX 2048

/* A URL taken apart; spans of the text that was parsed. */
struct outbound_url {
    bool https;
    struct tg_str host; /* without brackets */
    bool ipv6;          /* host is an IPv6 literal */
    uint16_t port;      /* 80 or 443 if the text names none */
    struct tg_str path; /* from the first slash on, query included; may be empty */
};

/** http and https only, no user information, no fragment, no control characters, a host. NULL, or what is wrong. */
const char *outbound_url_parse(struct tg_str text, struct outbound_url *out);

/** Same scheme, host and port? */
bool outbound_same_origin(const struct outbound_url *a, const struct outbound_url *b);

/**
 * Is the address one of the public Internet? Loopback, private, link-local, CGNAT, documentation, benchmark,
 * multicast, reserved, unspecified, ULA, and IPv4-mapped, -compatible, NAT64, 6to4 or Teredo forms of those are not.
 */
bool outbound_address_public(const struct address *a);

/**
 * A host that can be refused before anybody resolves it: "localhost" and the like, names of one label, literals that
 * are not public, and numbers that a resolver would take for an address.
 */
bool outbound_host_private(struct tg_str host);

#endif

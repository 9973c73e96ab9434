/* SPDX-License-Identifier: Apache-2.0 */
/* URLs taken apart strictly, and the address ranges that are not the public Internet (IANA's special-purpose
 * registries for IPv4 and IPv6). */
#include "outbound.h"

#include <string.h>
#include <strings.h>

#define HOST_MAX 253
#define LABEL_MAX 63

/* ---- addresses ------------------------------------------------------------------------------------------- */

struct range {
    uint8_t bytes[8]; /* of the prefix, in network order; no range needs more */
    uint32_t bits;
};

static const struct range private_ipv4[] = {
    {{0}, 8},               /* this network; 0.0.0.0 reaches ourselves */
    {{10}, 8},              /* private */
    {{100, 64}, 10},        /* carrier-grade NAT */
    {{127}, 8},             /* loopback */
    {{169, 254}, 16},       /* link-local, and where clouds keep their metadata */
    {{172, 16}, 12},        /* private */
    {{192, 0, 0}, 24},      /* protocol assignments */
    {{192, 0, 2}, 24},      /* documentation */
    {{192, 88, 99}, 24},    /* 6to4 relays, given up */
    {{192, 168}, 16},       /* private */
    {{198, 18}, 15},        /* benchmarks */
    {{198, 51, 100}, 24},   /* documentation */
    {{203, 0, 113}, 24},    /* documentation */
    {{224}, 4},             /* multicast */
    {{240}, 4},             /* reserved, broadcast */
};

/* Within 2000::/3, which alone is public. */
static const struct range private_ipv6[] = {
    {{0x20, 0x01, 0x00}, 23},             /* protocol assignments: benchmarks, ORCHID; Teredo is looked at before */
    {{0x20, 0x01, 0x0d, 0xb8}, 32},       /* documentation */
    {{0x3f, 0xff, 0x00}, 20},             /* documentation */
};

static const struct range global_unicast = {{0x20}, 3};
static const struct range six_to_four = {{0x20, 0x02}, 16};
static const struct range teredo = {{0x20, 0x01, 0x00, 0x00}, 32};
static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};

static bool range_holds(const struct range *r, const uint8_t *bytes)
{
    uint32_t whole = r->bits / 8, rest = r->bits % 8;
    if (memcmp(r->bytes, bytes, whole) != 0)
        return false;
    return rest == 0 || (r->bytes[whole] ^ bytes[whole]) >> (8 - rest) == 0;
}

static bool any_holds(const struct range *ranges, size_t count, const uint8_t *bytes)
{
    for (size_t i = 0; i < count; i++)
        if (range_holds(&ranges[i], bytes))
            return true;
    return false;
}

static bool ipv4_public(const uint8_t *bytes)
{
    return !any_holds(private_ipv4, TG_ARRAY_SIZE(private_ipv4), bytes);
}

/* The client's address is in there with every bit turned over. */
static bool teredo_public(const uint8_t *bytes)
{
    uint8_t client[4];
    for (int i = 0; i < 4; i++)
        client[i] = bytes[12 + i] ^ 0xff;
    return ipv4_public(bytes + 4) && ipv4_public(client);
}

/* An interface identifier that tunnels to an IPv4 address (RFC 5214). */
static bool isatap(const uint8_t *bytes)
{
    return (bytes[8] & 0xfd) == 0 && bytes[9] == 0 && bytes[10] == 0x5e && bytes[11] == 0xfe;
}

bool outbound_address_public(const struct address *a)
{
    const uint8_t *bytes = a->bytes;
    if (address_is_ipv4(a) || memcmp(bytes, nat64, sizeof(nat64)) == 0)
        return ipv4_public(bytes + 12);
    if (!range_holds(&global_unicast, bytes))
        return false;
    if (range_holds(&six_to_four, bytes))
        return ipv4_public(bytes + 2);
    if (range_holds(&teredo, bytes))
        return teredo_public(bytes);
    if (isatap(bytes) && !ipv4_public(bytes + 12))
        return false;
    return !any_holds(private_ipv6, TG_ARRAY_SIZE(private_ipv6), bytes);
}

/* ---- hosts ----------------------------------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static bool is_name_char(char c)
{
    return is_digit(c) || ((c | 32) >= 'a' && (c | 32) <= 'z') || c == '-' || c == '_';
}

/* The root's dot aside. */
static struct tg_str last_label(struct tg_str host)
{
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--;
    size_t at = host.len;
    while (at > 0 && host.ptr[at - 1] != '.')
        at--;
    return (struct tg_str){host.ptr + at, host.len - at};
}

/* Resolvers take "127.1", "0x7f000001" and "2130706433" for addresses; no top-level domain looks like that. */
static bool ends_in_number(struct tg_str host)
{
    struct tg_str label = last_label(host);
    if (label.len >= 2 && label.ptr[0] == '0' && (label.ptr[1] | 32) == 'x')
        return true;
    for (size_t i = 0; i < label.len; i++)
        if (!is_digit(label.ptr[i]))
            return false;
    return label.len > 0;
}

static bool labels_ok(struct tg_str host)
{
    size_t label = 0;
    for (size_t i = 0; i < host.len; i++) {
        if (host.ptr[i] == '.' ? label == 0 : !is_name_char(host.ptr[i]))
            return false;
        label = host.ptr[i] == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return false;
    }
    return true;
}

static const char *check_name(struct tg_str host)
{
    struct address a;
    if (host.len == 0)
        return "names no host";
    if (host.len > HOST_MAX || !labels_ok(host))
        return "has a host that is no name";
    if (ends_in_number(host) && !address_parse(host, false, &a))
        return "has a host that is neither a name nor an IPv4 address";
    return NULL;
}

static bool ends_with(struct tg_str host, const char *suffix)
{
    size_t len = strlen(suffix);
    return host.len >= len && strncasecmp(host.ptr + host.len - len, suffix, len) == 0 &&
           (host.len == len || host.ptr[host.len - len - 1] == '.');
}

bool outbound_host_private(struct tg_str host)
{
    static const char *const local[] = {"localhost", "localdomain", "local", "internal", "home.arpa", "lan"};
    struct address a;
    if (host.len > 0 && memchr(host.ptr, ':', host.len))
        return !address_parse(host, true, &a) || !outbound_address_public(&a);
    if (host.len > 0 && host.ptr[host.len - 1] == '.')
        host.len--; /* the root */
    if (host.len == 0 || ends_in_number(host))
        return !address_parse(host, false, &a) || !outbound_address_public(&a);
    for (size_t i = 0; i < TG_ARRAY_SIZE(local); i++)
        if (ends_with(host, local[i]))
            return true;
    return !memchr(host.ptr, '.', host.len); /* one label is looked up in the local domain */
}

/* ---- URLs ------------------------------------------------------------------------------------------------ */

/* Printable ASCII without what RFC 3986 keeps out, and "%" only before two hex digits. */
static bool characters_ok(struct tg_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c <= 0x20 || c >= 0x7f || strchr("\"<>\\^`{|}", c))
            return false;
        if (c == '%' && (text.len - i < 3 || !is_hex(text.ptr[i + 1]) || !is_hex(text.ptr[i + 2])))
            return false;
    }
    return true;
}

static bool take_scheme(struct tg_str *text, bool *https)
{
    static const struct tg_str schemes[] = {TG_STR_INIT("http://"), TG_STR_INIT("https://")};
    for (size_t i = 0; i < TG_ARRAY_SIZE(schemes); i++) {
        struct tg_str s = schemes[i];
        if (text->len < s.len || strncasecmp(text->ptr, s.ptr, s.len) != 0)
            continue;
        *https = i == 1;
        *text = (struct tg_str){text->ptr + s.len, text->len - s.len};
        return true;
    }
    return false;
}

/* What is left of @authority after its host: "" or ":port". */
static const char *take_host(struct tg_str *authority, struct outbound_url *u)
{
    struct address a;
    u->ipv6 = authority->len > 0 && authority->ptr[0] == '[';
    const char *end = authority->len > 0 ? memchr(authority->ptr, u->ipv6 ? ']' : ':', authority->len) : NULL;
    if (u->ipv6 && !end)
        return "has an address without its closing bracket";
    size_t len = end ? (size_t)(end - authority->ptr) : authority->len;
    u->host = (struct tg_str){authority->ptr + u->ipv6, len - u->ipv6};
    *authority = (struct tg_str){authority->ptr + len + u->ipv6, authority->len - len - u->ipv6};
    if (!u->ipv6)
        return check_name(u->host);
    return address_parse(u->host, true, &a) ? NULL : "has brackets around something that is no IPv6 address";
}

static const char *take_port(struct tg_str rest, struct outbound_url *u)
{
    uint32_t port = 0;
    if (rest.len == 0) {
        u->port = u->https ? 443 : 80;
        return NULL;
    }
    bool ok = rest.ptr[0] == ':' && rest.len >= 2 && rest.len <= 6 && rest.ptr[1] != '0';
    for (size_t i = 1; ok && i < rest.len; i++) {
        ok = is_digit(rest.ptr[i]);
        port = port * 10 + (uint32_t)(rest.ptr[i] - '0');
    }
    if (!ok || port > 65535)
        return "has a port that is no number within 1 and 65535";
    u->port = (uint16_t)port;
    return NULL;
}

const char *outbound_url_parse(struct tg_str text, struct outbound_url *out)
{
    struct outbound_url u = {0};
    if (text.len == 0 || text.len > OUTBOUND_URL_MAX)
        return text.len == 0 ? "is empty" : "is too long";
    if (!characters_ok(text))
        return "has characters that belong in no URL";
    if (memchr(text.ptr, '#', text.len))
        return "has a fragment";
    if (!take_scheme(&text, &u.https))
        return "begins neither with http:// nor with https://";
    size_t len = 0;
    while (len < text.len && text.ptr[len] != '/' && text.ptr[len] != '?')
        len++;
    struct tg_str authority = {text.ptr, len};
    u.path = (struct tg_str){text.ptr + len, text.len - len};
    if (u.path.len > 0 && u.path.ptr[0] == '?')
        return "has a query and no path";
    if (len > 0 && memchr(authority.ptr, '@', len))
        return "has user information";
    const char *wrong = take_host(&authority, &u);
    if (!wrong)
        wrong = take_port(authority, &u);
    if (!wrong)
        *out = u;
    return wrong;
}

bool outbound_same_origin(const struct outbound_url *a, const struct outbound_url *b)
{
    return a->https == b->https && a->port == b->port && a->ipv6 == b->ipv6 && a->host.len == b->host.len &&
           strncasecmp(a->host.ptr, b->host.ptr, a->host.len) == 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers, version 1 and 2. */
#include "proxy.h"

#include <string.h>

#define TEXT_MAX 107 /* the longest version 1 line, with its line end */
#define BINARY_BYTES 16

static const char signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
static const char word[6] = {'P', 'R', 'O', 'X', 'Y', ' '};

/* ---- version 1 ------------------------------------------------------------------------------------------ */

/* Cuts off the text before the next space; false if there is none. */
static bool next_word(struct tg_str *line, struct tg_str *out)
{
    const char *space = line->len > 0 ? memchr(line->ptr, ' ', line->len) : NULL;
    if (!space)
        return false;
    *out = (struct tg_str){line->ptr, (size_t)(space - line->ptr)};
    *line = (struct tg_str){space + 1, line->len - out->len - 1};
    return true;
}

static bool parse_port(struct tg_str s, uint16_t *port)
{
    uint32_t n = 0;
    if (s.len == 0 || s.len > 5 || (s.len > 1 && s.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(s.ptr[i] - '0');
    }
    *port = (uint16_t)n;
    return n <= 65535;
}

/* "TCP4 source destination source-port destination-port", or UNKNOWN and whatever else. */
static bool parse_line(struct tg_str line, struct proxy_header *h)
{
    struct tg_str kind, source, destination, source_port;
    struct address there;
    uint16_t ignored;
    h->has_source = false;
    if (tg_str_eq(line, TG_STR("UNKNOWN")))
        return true;
    if (!next_word(&line, &kind))
        return false;
    if (tg_str_eq(kind, TG_STR("UNKNOWN")))
        return true;
    bool ipv6 = tg_str_eq(kind, TG_STR("TCP6"));
    if (!ipv6 && !tg_str_eq(kind, TG_STR("TCP4")))
        return false;
    h->has_source = true;
    return next_word(&line, &source) && next_word(&line, &destination) && next_word(&line, &source_port) &&
           address_parse(source, ipv6, &h->source) && address_parse(destination, ipv6, &there) &&
           parse_port(source_port, &h->source_port) && parse_port(line, &ignored);
}

static enum proxy_result parse_text(const char *data, size_t len, struct proxy_header *header)
{
    size_t look = TG_MIN(len, (size_t)TEXT_MAX);
    const char *end = memchr(data, '\r', look);
    struct proxy_header h = {0};
    if (memchr(data, '\n', end ? (size_t)(end - data) : look))
        return PROXY_MALFORMED;
    if (!end || end + 1 == data + look)
        return look == TEXT_MAX ? PROXY_MALFORMED : PROXY_MORE;
    if (end[1] != '\n' || !parse_line((struct tg_str){data + sizeof(word), (size_t)(end - data) - sizeof(word)}, &h))
        return PROXY_MALFORMED;
    h.bytes = (size_t)(end + 2 - data);
    *header = h;
    return PROXY_DONE;
}

/* ---- version 2 ------------------------------------------------------------------------------------------ */

enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_NONE = 0x00, FAMILY_TCP4 = 0x11, FAMILY_TCP6 = 0x21, FAMILY_UNIX = 0x31 };

static size_t be16(const char *p)
{
    return (size_t)(uint8_t)p[0] << 8 | (uint8_t)p[1];
}

/* Bytes of the addresses, -1 for a family that cannot have come over this connection. */
static int address_bytes(uint8_t family)
{
    switch (family) {
    case FAMILY_NONE:
        return 0;
    case FAMILY_TCP4:
        return 12;
    case FAMILY_TCP6:
        return 36;
    case FAMILY_UNIX:
        return 216;
    default:
        return -1;
    }
}

static void take_source(uint8_t family, const char *at, struct proxy_header *h)
{
    h->has_source = family == FAMILY_TCP4 || family == FAMILY_TCP6;
    if (family == FAMILY_TCP4) {
        h->source = address_of_ipv4((const uint8_t *)at);
        h->source_port = (uint16_t)be16(at + 8);
    } else if (family == FAMILY_TCP6) {
        memcpy(h->source.bytes, at, 16);
        h->source_port = (uint16_t)be16(at + 32);
    }
}

/* Type, length and value each; we need none of them, but they must add up. */
static bool extras_add_up(const char *at, size_t len)
{
    while (len > 0) {
        if (len < 3 || len - 3 < be16(at + 1))
            return false;
        size_t one = 3 + be16(at + 1);
        at += one;
        len -= one;
    }
    return true;
}

static bool extras_ok(const char *data, size_t rest, uint8_t family)
{
    size_t addresses = (size_t)address_bytes(family);
    return extras_add_up(data + BINARY_BYTES + addresses, rest - addresses);
}

/* The fixed part, as far as it is there. */
static bool fixed_part_ok(const char *data, size_t len)
{
    uint8_t command = len > 12 ? (uint8_t)data[12] : COMMAND_PROXY;
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY)
        return false;
    if (len > 13 && command == COMMAND_PROXY && address_bytes((uint8_t)data[13]) < 0)
        return false;
    return len < BINARY_BYTES || be16(data + 14) <= PROXY_HEADER_MAX - BINARY_BYTES;
}

static enum proxy_result parse_binary(const char *data, size_t len, struct proxy_header *header)
{
    if (!fixed_part_ok(data, len))
        return PROXY_MALFORMED;
    if (len < BINARY_BYTES)
        return PROXY_MORE;
    size_t rest = be16(data + 14);
    /* A health check of the balancer's own: whatever else it says does not count. */
    bool local = (uint8_t)data[12] == COMMAND_LOCAL;
    uint8_t family = (uint8_t)data[13];
    if (!local && rest < (size_t)address_bytes(family))
        return PROXY_MALFORMED;
    if (len < BINARY_BYTES + rest)
        return PROXY_MORE;
    if (!local && !extras_ok(data, rest, family))
        return PROXY_MALFORMED;
    *header = (struct proxy_header){.bytes = BINARY_BYTES + rest};
    if (!local)
        take_source(family, data + BINARY_BYTES, header);
    return PROXY_DONE;
}

/* ---- either ---------------------------------------------------------------------------------------------- */

enum proxy_result proxy_parse(const char *data, size_t len, struct proxy_header *header)
{
    if (len == 0)
        return PROXY_MORE;
    bool text = data[0] == word[0];
    const char *start = text ? word : signature;
    size_t start_len = text ? sizeof(word) : sizeof(signature);
    if (memcmp(data, start, TG_MIN(len, start_len)) != 0)
        return PROXY_MALFORMED;
    if (len < start_len)
        return PROXY_MORE;
    return text ? parse_text(data, len, header) : parse_binary(data, len, header);
}

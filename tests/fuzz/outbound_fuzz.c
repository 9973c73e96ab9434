/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: URLs. What is accepted holds only characters that belong there, its parts lie within the text and in
 * order, and putting them together again gives an equal URL. A host that is a literal is private by name exactly if
 * its address is not public.
 */
#include "gateway/control/outbound.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok)
        abort();
}

static void check_parts(struct tg_str text, const struct outbound_url *u)
{
    const char *end = text.ptr + text.len;
    must(u->port != 0 && u->host.len > 0 && u->host.len <= 253);
    must(u->host.ptr > text.ptr && u->host.ptr + u->host.len <= end);
    must(u->path.ptr >= u->host.ptr + u->host.len && u->path.ptr + u->path.len == end);
    must(u->path.len == 0 || u->path.ptr[0] == '/');
    for (size_t i = 0; i < text.len; i++)
        must(text.ptr[i] > 0x20 && text.ptr[i] < 0x7f && text.ptr[i] != '#' && text.ptr[i] != '\\');
    must(!memchr(u->host.ptr, '@', u->host.len));
}

static void check_again(const struct outbound_url *u)
{
    char text[OUTBOUND_URL_MAX + 16];
    struct outbound_url again;
    int len = snprintf(text, sizeof(text), "%s://%s" TG_STR_FMT "%s:%u" TG_STR_FMT, u->https ? "https" : "http",
                       u->ipv6 ? "[" : "", TG_STR_ARG(u->host), u->ipv6 ? "]" : "", u->port, TG_STR_ARG(u->path));
    if (len > OUTBOUND_URL_MAX)
        return; /* a port that was not written has made it too long */
    must(!outbound_url_parse((struct tg_str){text, (size_t)len}, &again));
    must(outbound_same_origin(u, &again) && tg_str_eq(u->path, again.path));
}

static void check_literal(const struct outbound_url *u)
{
    struct address a;
    if (address_parse(u->host, u->ipv6, &a))
        must(outbound_host_private(u->host) == !outbound_address_public(&a));
    else
        must(!u->ipv6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outbound_url u;
    char *copy = malloc(size ? size : 1); /* of exactly the right size, for the address sanitizer */
    if (!copy)
        abort();
    memcpy(copy, data, size);
    struct tg_str text = {copy, size};
    if (!outbound_url_parse(text, &u)) {
        check_parts(text, &u);
        check_again(&u);
        check_literal(&u);
    }
    outbound_host_private(text);
    free(copy);
    return 0;
}

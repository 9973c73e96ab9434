/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and prefixes from text and sockets. */
#include "gateway/base/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#define TEXT(s) ((struct tg_str){(s), strlen(s)})

static struct address address(const char *text)
{
    struct address a;
    cr_assert(address_parse(TEXT(text), strchr(text, ':') != NULL, &a), "%s", text);
    return a;
}

static bool holds(const char *prefix, const char *text)
{
    struct address_prefix p;
    struct address a = address(text);
    cr_assert_null(address_prefix_parse(TEXT(prefix), &p), "%s", prefix);
    return address_prefix_holds(&p, &a);
}

Test(address, prefixes_hold_what_begins_like_them)
{
    cr_assert(holds("10.0.0.0/8", "10.255.1.2"));
    cr_assert_not(holds("10.0.0.0/8", "11.0.0.0"));
    cr_assert(holds("192.168.128.0/17", "192.168.255.255"));
    cr_assert_not(holds("192.168.128.0/17", "192.168.127.255"));
    cr_assert(holds("192.0.2.7", "192.0.2.7"));
    cr_assert_not(holds("192.0.2.7/32", "192.0.2.6"));
    cr_assert(holds("0.0.0.0/0", "255.255.255.255"));
    cr_assert(holds("fc00::/7", "fdff::1"));
    cr_assert_not(holds("fd00::/8", "fcff::1"));
    cr_assert(holds("2001:db8::/33", "2001:db8:7fff::1"));
    cr_assert_not(holds("2001:db8::/33", "2001:db8:8000::1"));
    cr_assert(holds("::1", "::1"));
}

Test(address, ipv4_is_the_same_in_either_form)
{
    cr_assert(holds("10.0.0.0/8", "::ffff:10.1.2.3"));
    cr_assert(holds("::ffff:10.0.0.0/104", "10.1.2.3"));
    cr_assert_not(holds("0.0.0.0/0", "2001:db8::1"), "all of IPv4 is not all of IPv6");
    cr_assert(holds("::/0", "10.1.2.3"));
}

Test(address, refuses_what_is_no_prefix)
{
    static const char *const wrong[] = {
        "", "/", "/8", "10", "10.0.0/8", "10.0.0.0.0/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1",
        "10.0.0.0/8/8", "10.0.0.0/ 8", " 10.0.0.0/8", "10.0.0.256", "010.0.0.1", "::/129", "::1/64", "1::2::3",
        "fe80::1%eth0", "localhost", "10.0.0.0/999999999999", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff:1",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
        struct address_prefix p = {.bits = 77};
        cr_assert_not_null(address_prefix_parse(TEXT(wrong[i]), &p), "%s", wrong[i]);
        cr_assert_eq(p.bits, 77, "set only on success");
    }
}

Test(address, a_nul_ends_no_address)
{
    struct address a;
    cr_assert_not(address_parse((struct tg_str){"1.2.3.4\0x", 9}, false, &a));
    cr_assert_not(address_parse(TEXT("1.2.3.4"), true, &a));
    cr_assert_not(address_parse(TEXT("::1"), false, &a));
}

Test(address, comes_from_sockets_of_both_families)
{
    struct sockaddr_storage s = {.ss_family = AF_INET};
    struct address a, want = address("192.0.2.1");
    ((struct sockaddr_in *)&s)->sin_addr.s_addr = htonl(0xc0000201);
    cr_assert(address_of_socket(&s, &a));
    cr_assert_eq(memcmp(&a, &want, sizeof(a)), 0);
    cr_assert(address_is_ipv4(&a));
    s = (struct sockaddr_storage){.ss_family = AF_INET6};
    ((struct sockaddr_in6 *)&s)->sin6_addr.s6_addr[15] = 1;
    want = address("::1");
    cr_assert(address_of_socket(&s, &a));
    cr_assert_eq(memcmp(&a, &want, sizeof(a)), 0);
    cr_assert_not(address_is_ipv4(&a));
    s = (struct sockaddr_storage){.ss_family = AF_UNIX};
    cr_assert_not(address_of_socket(&s, &a));
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are public, and which texts are URLs. */
#include "gateway/control/outbound.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define TEXT(s) ((struct tg_str){(s), strlen(s)})

/* The first and last address of every range that is closed, and its open neighbours. */
static const struct {
    const char *address;
    bool is_public;
} addresses[] = {
    {"0.0.0.0", false}, {"0.255.255.255", false}, {"1.0.0.0", true}, {"1.1.1.1", true}, {"8.8.8.8", true},
    {"9.255.255.255", true}, {"10.0.0.0", false}, {"10.255.255.255", false}, {"11.0.0.0", true},
    {"100.63.255.255", true}, {"100.64.0.0", false}, {"100.127.255.255", false}, {"100.128.0.0", true},
    {"126.255.255.255", true}, {"127.0.0.0", false}, {"127.0.0.1", false}, {"127.255.255.255", false},
    {"128.0.0.0", true}, {"169.253.255.255", true}, {"169.254.0.0", false}, {"169.254.169.254", false},
    {"169.254.255.255", false}, {"169.255.0.0", true}, {"172.15.255.255", true}, {"172.16.0.0", false},
    {"172.31.255.255", false}, {"172.32.0.0", true}, {"191.255.255.255", true}, {"192.0.0.0", false},
    {"192.0.0.255", false}, {"192.0.1.0", true}, {"192.0.2.0", false}, {"192.0.2.255", false}, {"192.0.3.0", true},
    {"192.88.98.255", true}, {"192.88.99.0", false}, {"192.88.99.255", false}, {"192.88.100.0", true},
    {"192.167.255.255", true}, {"192.168.0.0", false}, {"192.168.255.255", false}, {"192.169.0.0", true},
    {"198.17.255.255", true}, {"198.18.0.0", false}, {"198.19.255.255", false}, {"198.20.0.0", true},
    {"198.51.99.255", true}, {"198.51.100.0", false}, {"198.51.100.255", false}, {"198.51.101.0", true},
    {"203.0.112.255", true}, {"203.0.113.0", false}, {"203.0.113.255", false}, {"203.0.114.0", true},
    {"223.255.255.255", true}, {"224.0.0.0", false}, {"239.255.255.255", false}, {"240.0.0.0", false},
    {"255.255.255.255", false},
    {"::", false}, {"::1", false}, {"::2", false}, {"::8.8.8.8", false}, {"::127.0.0.1", false},
    {"::ffff:127.0.0.1", false}, {"::ffff:10.0.0.1", false}, {"::ffff:8.8.8.8", true}, {"::ffff:0:127.0.0.1", false},
    {"64:ff9b::127.0.0.1", false}, {"64:ff9b::10.1.2.3", false}, {"64:ff9b::8.8.8.8", true},
    {"64:ff9b::1:8.8.8.8", false}, {"64:ff9b:1::8.8.8.8", false}, {"100::1", false}, {"1fff:ffff::1", false},
    {"2000::1", true}, {"2001::", false}, {"2001:0:808:808::f7f7:f7f7", true}, {"2001:0:7f00:1::f7f7:f7f7", false},
    {"2001:0:808:808::80ff:fffe", false}, {"2001:1::1", false}, {"2001:2::1", false}, {"2001:10::1", false},
    {"2001:20::1", false}, {"2001:1ff:ffff::1", false}, {"2001:200::1", true}, {"2001:4860:4860::8888", true},
    {"2001:db7:ffff::1", true}, {"2001:db8::", false}, {"2001:db8:ffff::1", false}, {"2001:db9::1", true},
    {"2002:7f00:1::", false}, {"2002:a00:1::1", false}, {"2002:c0a8:101::1", false}, {"2002:808:808::1", true},
    {"2003::1", true}, {"2606:4700:4700::1111", true}, {"2600::5efe:127.0.0.1", false},
    {"2600::200:5efe:10.0.0.1", false}, {"2600::5efe:8.8.8.8", true}, {"3ffe::1", true}, {"3fff::1", false},
    {"3fff:fff:ffff::1", false}, {"3fff:1000::1", true}, {"4000::1", false}, {"5f00::1", false}, {"fc00::1", false},
    {"fd12:3456::1", false}, {"fdff:ffff::1", false}, {"fe00::1", false}, {"fe80::1", false}, {"fec0::1", false},
    {"ff02::1", false}, {"ff0e::1", false}, {"ffff::1", false},
};

static struct address address(const char *text)
{
    struct address a;
    cr_assert(address_parse(TEXT(text), strchr(text, ':') != NULL, &a), "%s", text);
    return a;
}

Test(outbound, knows_which_addresses_are_public)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(addresses); i++) {
        struct address a = address(addresses[i].address);
        cr_expect_eq(outbound_address_public(&a), addresses[i].is_public, "%s", addresses[i].address);
    }
}

Test(outbound, ipv4_counts_the_same_in_its_mapped_form_and_behind_nat64)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(addresses) && !strchr(addresses[i].address, ':'); i++) {
        static const char *const forms[] = {"::ffff:", "64:ff9b::"};
        for (size_t k = 0; k < TG_ARRAY_SIZE(forms); k++) {
            char text[64];
            snprintf(text, sizeof(text), "%s%s", forms[k], addresses[i].address);
            struct address a = address(text);
            cr_expect_eq(outbound_address_public(&a), addresses[i].is_public, "%s", text);
        }
    }
}

Test(outbound, takes_a_url_apart)
{
    static const struct {
        const char *url, *host, *path;
        uint16_t port;
        bool https, ipv6;
    } urls[] = {
        {"http://a.example", "a.example", "", 80, false, false},
        {"https://a.example", "a.example", "", 443, true, false},
        {"HTTPS://A.example:8443/api/v1?x=1&y=%20", "A.example", "/api/v1?x=1&y=%20", 8443, true, false},
        {"http://10.1.2.3:1/", "10.1.2.3", "/", 1, false, false},
        {"http://[2001:db8::1]:65535/x", "2001:db8::1", "/x", 65535, false, true},
        {"http://[::1]", "::1", "", 80, false, true},
        {"http://my_host-1.example./", "my_host-1.example.", "/", 80, false, false},
        {"http://xn--bcher-kva.example/", "xn--bcher-kva.example", "/", 80, false, false},
        {"http://a.example/at@path:80", "a.example", "/at@path:80", 80, false, false},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(urls); i++) {
        struct outbound_url u;
        const char *wrong = outbound_url_parse(TEXT(urls[i].url), &u);
        cr_assert_null(wrong, "%s %s", urls[i].url, wrong);
        cr_expect(tg_str_eq(u.host, TEXT(urls[i].host)), "%s", urls[i].url);
        cr_expect(tg_str_eq(u.path, TEXT(urls[i].path)), "%s", urls[i].url);
        cr_expect_eq(u.port, urls[i].port, "%s", urls[i].url);
        cr_expect_eq(u.https, urls[i].https, "%s", urls[i].url);
        cr_expect_eq(u.ipv6, urls[i].ipv6, "%s", urls[i].url);
    }
}

Test(outbound, refuses_what_is_no_plain_url)
{
    static const char *const wrong[] = {
        "", "a.example", "//a.example/", "ftp://a.example/", "file:///etc/passwd", "gopher://a.example/", "http:a.example",
        "http:/a.example", "http://", "http:///x", "https://:443/", "http://user@a.example/", "http://u:p@a.example/",
        "http://a.example@127.0.0.1/", "http://a.example\\@127.0.0.1/", "http://a.example/#x", "http://a.example#@b/",
        "http://a.example?x", "http://a.example:", "http://a.example:0", "http://a.example:080", "http://a.example:65536",
        "http://a.example:99999999999", "http://a.example:8a", "http://a.example:+80", "http://a.example:80:80",
        "http://a b.example/", "http://a.example/ x", "http://a.example/\r\nHost: b", "http://a.example/\t",
        "http://a.example/\x7f", "http://a.example/\xc3\xa4", "http://\xc3\xbc.example/", "http://%61.example/",
        "http://a.example/%", "http://a.example/%2", "http://a.example/%zz", "http://.example/", "http://a..example/",
        "http://-/\"", "http://a.example/<", "http://a!b.example/", "http://[::1", "http://::1/", "http://[::1]x/",
        "http://[127.0.0.1]/", "http://[]/", "http://[fe80::1%25eth0]/", "http://[::1]@b/", "http://127.1/",
        "http://2130706433/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://0177.0.0.1/", "http://1.2.3.4.5/",
        "http://1.2.3.256/", "http://a.123/", "http://a.0x1/", " http://a.example/", "http://127.0.0.1./",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
        struct outbound_url u = {.port = 7};
        cr_expect_not_null(outbound_url_parse(TEXT(wrong[i]), &u), "%s", wrong[i]);
        cr_expect_eq(u.port, 7, "set only on success: %s", wrong[i]);
    }
}

Test(outbound, lengths_are_bounded)
{
    char text[OUTBOUND_URL_MAX + 32] = "http://a.example/";
    struct outbound_url u;
    memset(text + strlen(text), 'x', OUTBOUND_URL_MAX - strlen(text));
    cr_expect_null(outbound_url_parse((struct tg_str){text, OUTBOUND_URL_MAX}, &u));
    cr_expect_not_null(outbound_url_parse((struct tg_str){text, OUTBOUND_URL_MAX + 1}, &u));
    memset(text, 0, sizeof(text));
    memcpy(text, "http://", 7);
    memset(text + 7, 'x', 63);
    cr_expect_null(outbound_url_parse(TEXT(text), &u), "a label of 63");
    text[70] = 'x';
    cr_expect_not_null(outbound_url_parse(TEXT(text), &u), "a label of 64");
    for (size_t i = 7; i < 7 + 254; i++)
        text[i] = i % 32 == 0 ? '.' : 'x';
    cr_expect_not_null(outbound_url_parse((struct tg_str){text, 7 + 254}, &u), "a name of 254");
    cr_expect_null(outbound_url_parse((struct tg_str){text, 7 + 253}, &u), "a name of 253");
    cr_expect_not_null(outbound_url_parse((struct tg_str){"http://a\0b.example/", 18}, &u));
}

Test(outbound, some_hosts_are_private_by_their_name)
{
    static const char *const private[] = {
        "", "localhost", "LOCALHOST", "localhost.", "a.localhost", "localhost.localdomain", "printer.local", "x.internal",
        "metadata.google.internal", "router.home.arpa", "nas.lan", "intranet", "127.0.0.1", "10.0.0.1", "127.1", "0x7f.1",
        "2130706433", "::1", "fe80::1", "::ffff:127.0.0.1", "1.2.3.4.5", "::zz", ".",
    };
    static const char *const open[] = {
        "a.example", "iicp.network", "iicp.network.", "8.8.8.8", "2606:4700:4700::1111", "notlocalhost.example",
        "mylocal.example", "local.example",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(private); i++)
        cr_expect(outbound_host_private(TEXT(private[i])), "%s", private[i]);
    for (size_t i = 0; i < TG_ARRAY_SIZE(open); i++)
        cr_expect_not(outbound_host_private(TEXT(open[i])), "%s", open[i]);
}

Test(outbound, an_origin_is_scheme_host_and_port)
{
    static const struct {
        const char *a, *b;
        bool same;
    } pairs[] = {
        {"http://a.example/x", "http://A.EXAMPLE:80/y", true},  {"https://a.example", "https://a.example:443/", true},
        {"http://a.example", "https://a.example", false},       {"http://a.example:81", "http://a.example", false},
        {"http://a.example", "http://b.example", false},        {"http://a.example", "http://a.example.", false},
        {"http://[::1]/", "http://[::1]:80/", true},            {"http://a.example", "http://aa.example", false},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(pairs); i++) {
        struct outbound_url a, b;
        cr_assert_null(outbound_url_parse(TEXT(pairs[i].a), &a));
        cr_assert_null(outbound_url_parse(TEXT(pairs[i].b), &b));
        cr_expect_eq(outbound_same_origin(&a, &b), pairs[i].same, "%s %s", pairs[i].a, pairs[i].b);
    }
}

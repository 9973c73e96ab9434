/* SPDX-License-Identifier: Apache-2.0 */
/* Values from text by type, the bounds of every row, and the guess at misspelt words. */
#include "config_support.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

static struct config_text why, text;

static void set_up(void)
{
    cr_assert_eq(config_init(&cfg), 0);
}

TestSuite(config_value, .init = set_up, .fini = unload);

static void assert_takes(const char *key, const char *from, const char *canonical)
{
    const struct config_row *row = config_row_find(key);
    cr_assert_eq(config_value_parse(&cfg, row, from, &why), 0, "%s: %s", from, why.text);
    config_value_format(&cfg, row, &text);
    cr_assert_str_eq(text.text, canonical);
}

static void assert_refuses(const char *key, const char *from, const char *reason)
{
    const struct config_row *row = config_row_find(key);
    struct config_text before;
    config_value_format(&cfg, row, &before);
    cr_assert_eq(config_value_parse(&cfg, row, from, &why), -EINVAL, "took %s", from);
    cr_assert_str_eq(why.text, reason);
    config_value_format(&cfg, row, &text);
    cr_assert_str_eq(text.text, before.text, "a refused value left its mark");
}

Test(config_value, integers)
{
    assert_takes("server.workers", "64", "64");
    assert_takes("server.backlog", "1_0_24", "1024");
    assert_takes("server.workers", "-0", "0");
    assert_takes("server.workers", "007", "7");
    assert_refuses("server.workers", "65", "65 is outside 0..64");
    assert_refuses("server.workers", "-1", "-1 is outside 0..64");
    assert_refuses("server.workers", "99999999999999999999999", "99999999999999999999999 is outside 0..64");
    assert_refuses("server.workers", "18446744073709551616", "18446744073709551616 is outside 0..64");
    static const char *const wrong[] = {"", " 1", "1 ", "_1", "1_", "1__0", "+1", "0x1", "1.0", "1KiB", "-"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
        char reason[64];
        snprintf(reason, sizeof reason, "\"%s\" is not a number", wrong[i]);
        assert_refuses("server.workers", wrong[i], reason);
    }
}

Test(config_value, bytes_take_units)
{
    assert_takes("limits.body_bytes", "1KiB", "1024");
    assert_takes("limits.body_bytes", "3 MiB", "3145728");
    assert_takes("lane.bytes", "1GiB", "1073741824");
    assert_refuses("limits.body_bytes", "257MiB", "257MiB is outside 1024..134217728");
    assert_refuses("lane.bytes", "18446744073709551615GiB",
                   "18446744073709551615GiB is outside 65536..17179869184");
    assert_refuses("limits.body_bytes", "1MB", "\"1MB\" is not a number");
    assert_refuses("limits.body_bytes", "1MiBs", "\"1MiBs\" is not a number");
    assert_refuses("limits.body_bytes", "MiB", "\"MiB\" is not a number");
}

Test(config_value, powers_of_two)
{
    assert_takes("lane.rows", "65536", "65536");
    assert_refuses("lane.rows", "1000", "1000 is not a power of two");
}

Test(config_value, booleans)
{
    static const char *const yes[] = {"true", "1", "yes", "on"}, *const no[] = {"false", "0", "no", "off"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(yes); i++) {
        assert_takes("iicp.idempotency", yes[i], "true");
        assert_takes("iicp.idempotency", no[i], "false");
    }
    assert_refuses("iicp.idempotency", "TRUE", "\"TRUE\" is not true or false");
    assert_refuses("iicp.idempotency", "", "\"\" is not true or false");
}

Test(config_value, choices_set_their_constant)
{
    assert_takes("executor.power", "low-latency", "low-latency");
    cr_assert_eq(cfg.executor_power, CONFIG_POWER_LOW_LATENCY);
    assert_refuses("executor.device", "tensor", "\"tensor\" is not one of auto, cpu, null, fault, cuda");
}

Test(config_value, strings_are_bounded_clean_utf8)
{
    char longest[130];
    memset(longest, 'x', sizeof longest);
    longest[128] = 0;
    assert_takes("node.id", longest, longest);
    assert_takes("node.id", "\xf0\x9f\x98\x80 \xe2\x82\xac \xc3\xa9",
                 "\xf0\x9f\x98\x80 \xe2\x82\xac \xc3\xa9");
    assert_refuses("node.region", "", "\"\" has 0 bytes, outside 1..64");
    assert_refuses("node.id", "a\tb", "\"a?b\" holds a control character");
    static const char *const broken[] = {"\x80",         "\xc0\xaf",         "\xe0\x80\x80",
                                         "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                         "\xc3",         "\xe2\x82",         "\xf0\x8f\xbf\xbf"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(broken); i++) {
        cr_assert_eq(config_value_parse(&cfg, config_row_find("node.id"), broken[i], &why), -EINVAL);
        cr_assert_not_null(strstr(why.text, "is not valid UTF-8"));
    }
}

#define NO_ADDRESS " is not an address like 127.0.0.1:9484, [::1]:9484, :9484 or unix:/run/taskgate.sock"
#define NO_PREFIX " is not an address like 192.0.2.0/24 or 2001:db8::/32"

Test(config_value, addresses)
{
    assert_takes("server.listen", "0.0.0.0:0", "0.0.0.0:0");
    assert_takes("server.listen", " host.name:65535 , [fe80::1%eth0]:1 ", "host.name:65535,[fe80::1%eth0]:1");
    assert_takes("server.listen", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8");
    assert_refuses("server.listen", "a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9", "more than 8 addresses");
    assert_refuses("server.listen", "", "names no address");
    static const char *const wrong[] = {"9484",     "unix:",   "host:",  "host:65536", "host:000080",
                                        "host:1_0", "::1:80",  "[]:80",  "[::1]",      "[::1:80",
                                        "a b:80",   "host:-1", "[a]b]:1",
                                        "unix:run/x"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(wrong); i++) {
        char reason[160];
        snprintf(reason, sizeof reason, "\"%s\"" NO_ADDRESS, wrong[i]);
        assert_refuses("server.listen", wrong[i], reason);
    }
    assert_refuses("server.listen", "a:1,", "\"\"" NO_ADDRESS);
    assert_takes("server.listen", ":9484", ":9484");
    assert_takes("server.listen", "unix:/run/a b:c.sock,[::]:1", "unix:/run/a b:c.sock,[::]:1");
}

Test(config_value, texts_keep_commas_and_semicolons)
{
    assert_takes("executor.gpu", "device=0,pin_mib=1", "device=0,pin_mib=1");
    assert_takes("executor.gpu", "device=GPU-1f,graphs=0 | device=2", "device=GPU-1f,graphs=0|device=2");
    assert_takes("executor.device_settings", "cpu;abort=2|null:service_us=5", "cpu;abort=2|null:service_us=5");
    assert_takes("executor.device_settings", "", "");
    assert_refuses("executor.device_settings", "cpu|", "\"\" is empty");
    assert_refuses("executor.device_settings", "a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p|q", "more than 16 of them");
    assert_refuses("executor.device_settings", "a\tb", "\"a?b\" holds a control character");
}

Test(config_value, prefixes)
{
    assert_takes("server.proxy_trusted", "", "");
    assert_takes("server.proxy_trusted", "10.0.0.0/8, 192.0.2.7 ,fd00::/8", "10.0.0.0/8,192.0.2.7,fd00::/8");
    assert_refuses("server.proxy_trusted", "10.0.0.0/33", "\"10.0.0.0/33\" has a prefix length outside 0..32");
    assert_refuses("server.proxy_trusted", "10.1.0.0/8", "\"10.1.0.0/8\" has bits set behind its prefix");
    assert_refuses("server.proxy_trusted", "localhost", "\"localhost\"" NO_PREFIX);
    assert_refuses("server.proxy_trusted", "::1,", "\"\"" NO_PREFIX);
}

Test(config_value, quotes_in_messages_are_short_and_printable)
{
    char out[CONFIG_QUOTE_MAX], many[300];
    memset(many, 'x', sizeof many);
    many[sizeof many - 1] = 0;
    cr_assert_str_eq(config_quote("a\n\x1b[31m\xff", out), "\"a??[31m?\"");
    config_quote(many, out);
    cr_assert_lt(strlen(out), sizeof out);
    cr_assert_str_eq(out + strlen(out) - 5, "x...\"");
}

static bool is_number(const struct config_row *row)
{
    return row->type == CONFIG_TYPE_U32 || row->type == CONFIG_TYPE_U64 || row->type == CONFIG_TYPE_POW2;
}

Test(config_value, every_numeric_row_takes_its_bounds_and_nothing_beyond)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        char number[32];
        if (!is_number(row))
            continue;
        cr_assert_leq(row->max, row->type == CONFIG_TYPE_U64 ? (uint64_t)INT64_MAX : UINT32_MAX, "%s",
                      row->key);
        snprintf(number, sizeof number, "%" PRIu64, row->min);
        assert_takes(row->key, number, number);
        snprintf(number, sizeof number, "%" PRIu64, row->max);
        assert_takes(row->key, number, number);
        snprintf(number, sizeof number, "%" PRIu64, row->max + 1);
        cr_assert_eq(config_value_parse(&cfg, row, number, &why), -EINVAL, "%s took %s", row->key, number);
        snprintf(number, sizeof number, "%" PRId64, (int64_t)row->min - 1);
        cr_assert_eq(config_value_parse(&cfg, row, number, &why), -EINVAL, "%s took %s", row->key, number);
    }
}

Test(config_value, the_table_is_sound)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        size_t sections = 0;
        for (size_t j = 0; j < config_section_count; j++)
            sections += config_row_in(row, config_sections[j].name);
        cr_assert_eq(sections, 1, "%s belongs to %zu sections", row->key, sections);
        cr_assert_eq(config_row_find(row->key), row, "%s is there twice", row->key);
        cr_assert_str_eq(config_keys[i], row->key);
        cr_assert_null(strchr(row->doc, '|'), "%s: a bar would break the table of the docs", row->key);
        cr_assert(islower((unsigned char)row->doc[0]) || isupper((unsigned char)row->doc[0]), "%s", row->key);
    }
}

Test(config_value, variable_names_follow_from_keys)
{
    char name[CONFIG_ENV_NAME_MAX];
    config_row_env(config_row_find("limits.requests_per_connection"), name);
    cr_assert_str_eq(name, "TASKGATE_LIMITS_REQUESTS_PER_CONNECTION");
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        cr_assert_lt(strlen("TASKGATE_") + strlen(config_rows[i].key), sizeof name);
}

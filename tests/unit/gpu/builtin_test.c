/* SPDX-License-Identifier: Apache-2.0 */
/* noop and echo. */
#include "runner_fixture.h"

static struct fixture f;

static void expect_invalid(const char *payload, const char *field)
{
    cr_assert_eq(fixture_ask(&f, payload), TG_INVALID, "%s", payload);
    cr_assert_str_eq(f.err.field, field, "%s", payload);
    cr_assert_str_not_empty(f.err.message);
}

Test(noop, answers_at_once_by_default)
{
    fixture_open(&f, SETTINGS({"type", "noop", NULL}));
    cr_assert_eq(fixture_ask(&f, "{}"), TG_OK);
    cr_assert_str_eq(f.text, "{\"slept_ms\":0}");
    cr_assert_eq(f.ready_ns, 0);
    fixture_close(&f);
}

Test(noop, the_payload_overrides_the_option)
{
    fixture_open(&f, SETTINGS({"type", "noop", NULL}, {"sleep_ms", "20", NULL}));
    fixture_now_ns = 5000;
    cr_assert_eq(fixture_ask(&f, "{\"other\":[1]}"), TG_OK);
    cr_assert_str_eq(f.text, "{\"slept_ms\":20}");
    cr_assert_eq(f.ready_ns, 5000 + 20000000);
    cr_assert_eq(fixture_ask(&f, "{\"sleep_ms\":3.0}"), TG_OK);
    cr_assert_str_eq(f.text, "{\"slept_ms\":3}");
    cr_assert_eq(f.ready_ns, 5000 + 3000000);
    cr_assert_eq(fixture_ask(&f, "{\"sleep_ms\":0}"), TG_OK);
    cr_assert_eq(f.ready_ns, 0);
    fixture_close(&f);
}

Test(noop, a_batch_is_ready_with_its_longest_row)
{
    struct tg_row rows[3] = {{.param = 5}, {.param = 9}, {.param = 0}};
    struct tg_segment segments[2] = {{.rows = rows, .count = 2}, {.rows = rows + 2, .count = 1}};
    struct tg_batch b = {.count = 3, .segment_count = 2, .segments = segments};
    fixture_open(&f, SETTINGS({"type", "noop", NULL}));
    fixture_now_ns = 7;
    cr_assert_eq(f.instance->runner->run_batch(f.instance->self, &b), 0);
    cr_assert_eq(b.ready_ns, 7 + 9000000);
    fixture_close(&f);
}

Test(noop, bad_payloads_name_their_field)
{
    fixture_open(&f, SETTINGS({"type", "noop", NULL}));
    expect_invalid("[]", "payload");
    expect_invalid("null", "payload");
    expect_invalid("{\"sleep_ms\":-1}", "payload.sleep_ms");
    expect_invalid("{\"sleep_ms\":300001}", "payload.sleep_ms");
    expect_invalid("{\"sleep_ms\":1.5}", "payload.sleep_ms");
    expect_invalid("{\"sleep_ms\":1e300}", "payload.sleep_ms");
    expect_invalid("{\"sleep_ms\":18446744073709551615}", "payload.sleep_ms");
    expect_invalid("{\"sleep_ms\":\"5\"}", "payload.sleep_ms");
    cr_assert_eq(tg_lane_used(f.lanes[0]), 0);
    fixture_close(&f);
}

Test(echo, gives_back_any_json_byte_for_byte)
{
    const char *texts[] = {
        "null", "true", "-0.0", "1.50e+3", "\"a\\u0041\\n\"", "[1, 2,\t3]", "{\"a\": {\"b\":[ ]}}"};
    fixture_open(&f, SETTINGS({"type", "echo", NULL}));
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
        cr_assert_eq(fixture_ask(&f, texts[i]), TG_OK);
        cr_assert_str_eq(f.text, texts[i]);
    }
    fixture_close(&f);
}

/* A string of @bytes with its quotes, malloc'ed. */
static char *string_of(size_t bytes)
{
    char *s = malloc(bytes + 1);
    memset(s, 'x', bytes);
    s[0] = s[bytes - 1] = '"';
    s[bytes] = '\0';
    return s;
}

Test(echo, texts_go_to_the_smallest_class_that_holds_them)
{
    const struct {
        size_t bytes;
        uint32_t class;
    } cases[] = {{256, 0}, {257, 1}, {4096, 1}, {4097, 2}, {65536, 2}, {65537, 3}, {2u << 20, 3}};
    fixture_open(&f, SETTINGS({"type", "echo", NULL}));
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        char *s = string_of(cases[i].bytes);
        cr_assert_eq(fixture_ask(&f, s), TG_OK);
        cr_assert_eq(f.rows.lane->size_class, cases[i].class);
        cr_assert_str_eq(f.text, s);
        free(s);
    }
    fixture_close(&f);
}

Test(echo, a_text_over_the_largest_class_is_too_large)
{
    fixture_open(&f, SETTINGS({"type", "echo", NULL}));
    char *s = string_of((2u << 20) + 1);
    cr_assert_eq(fixture_ask(&f, s), TG_TOO_LARGE);
    free(s);
    fixture_close(&f);
}

Test(echo, a_missing_payload_is_named)
{
    fixture_open(&f, SETTINGS({"type", "echo", NULL}));
    struct tg_request req = {0};
    struct tg_rows rows = {.lanes = f.lanes, .lane_count = 4};
    cr_assert_eq(f.instance->runner->decode(f.instance->self, &req, &rows, &f.err), TG_INVALID);
    cr_assert_str_eq(f.err.field, "payload");
    fixture_close(&f);
}

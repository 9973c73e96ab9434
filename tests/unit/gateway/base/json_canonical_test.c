/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical JSON in both forms. tests/fuzz/canonical.py compares with Python itself, at random. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include "gateway/base/json_canonical.h"

#define NODES 4096

static struct tg_json_node nodes[NODES];
static uint32_t members[JSON_CANONICAL_ROOM(NODES)];
static char out[65536];

static struct tg_json_doc parse(struct tg_str text)
{
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES};
    struct tg_json_error err;
    cr_assert_eq(tg_json_parse(&doc, text.ptr, text.len, &err), 0, "%.*s", (int)text.len, text.ptr);
    return doc;
}

static struct tg_str canonical(struct tg_str text, enum json_canonical_form form)
{
    struct tg_json_doc doc = parse(text);
    struct json_canonical_room room = {members, JSON_CANONICAL_ROOM(doc.count)};
    struct tg_json_writer w;
    tg_json_writer_init(&w, out, sizeof(out));
    cr_assert_eq(json_canonical_write(&doc, doc.nodes, form, room, &w), 0);
    return (struct tg_str){w.buf, w.len};
}

static void expect(enum json_canonical_form form, const char *text, const char *wanted)
{
    struct tg_str got = canonical((struct tg_str){text, strlen(text)}, form);
    cr_expect(tg_str_eq(got, (struct tg_str){wanted, strlen(wanted)}), "%s gave %.*s, not %s", text,
              (int)got.len, got.ptr, wanted);
}

static void expect_both(const char *text, const char *wanted)
{
    expect(JSON_CANONICAL_PYTHON, text, wanted);
    expect(JSON_CANONICAL_JCS, text, wanted);
}

Test(json_canonical, white_space_goes_and_keys_are_sorted_at_every_depth)
{
    expect_both(" { \"b\" : [ { \"z\" : 1 , \"y\" : null } , true ] ,\n\"a\" : { } , \"\":\tfalse } ",
                "{\"\":false,\"a\":{},\"b\":[{\"y\":null,\"z\":1},true]}");
}

Test(json_canonical, a_key_that_another_begins_with_comes_first)
{
    expect_both("{\"aa\":1,\"a\":2,\"ab\":3,\"A\":4}", "{\"A\":4,\"a\":2,\"aa\":1,\"ab\":3}");
}

Test(json_canonical, keys_are_compared_without_their_escapes)
{
    expect_both("{\"\\u0062\":1,\"a\":2,\"\\/\":3}", "{\"/\":3,\"a\":2,\"b\":1}");
}

Test(json_canonical, the_last_of_equal_keys_counts)
{
    expect_both("{\"a\":1,\"b\":2,\"\\u0061\":3,\"a\":[4]}", "{\"a\":[4],\"b\":2}");
}

Test(json_canonical, escapes_are_the_shortest_ones)
{
    expect_both("\"\\u0022\\u005c\\/\\u0008\\u0009\\u000a\\u000c\\u000d\\u0001\\u001F ~\"",
                "\"\\\"\\\\/\\b\\t\\n\\f\\r\\u0001\\u001f ~\"");
}

Test(json_canonical, python_writes_ascii_only)
{
    expect(JSON_CANONICAL_PYTHON, "\"\xc3\xa9\xe2\x82\xac\\u20AC\xf0\x9f\x98\x80\x7f\"",
           "\"\\u00e9\\u20ac\\u20ac\\ud83d\\ude00\\u007f\"");
}

Test(json_canonical, jcs_writes_utf8)
{
    expect(JSON_CANONICAL_JCS, "\"\\u00e9\\u20ac\\ud83d\\ude00\x7f\"",
           "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"");
}

/* U+1F600 is above U+FB33 as a code point, and below it as the surrogates D83D DE00. */
Test(json_canonical, the_forms_order_surrogates_differently)
{
    const char *text = "{\"\\ufb33\":1,\"\\ud83d\\ude00\":2,\"\\u20ac\":3}";
    expect(JSON_CANONICAL_PYTHON, text, "{\"\\u20ac\":3,\"\\ufb33\":1,\"\\ud83d\\ude00\":2}");
    expect(JSON_CANONICAL_JCS, text, "{\"\xe2\x82\xac\":3,\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":1}");
}

Test(json_canonical, numbers_look_as_each_form_prints_them)
{
    static const char *const rows[][3] = {
#define NUMBER(text, python, jcs) {text, python, jcs},
#include "json_canonical.def"
#undef NUMBER
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
        expect(JSON_CANONICAL_PYTHON, rows[i][0], rows[i][1]);
        expect(JSON_CANONICAL_JCS, rows[i][0], rows[i][2]);
    }
}

Test(json_canonical, what_is_canonical_stays_as_it_is)
{
    expect_both("{\"a\":[1,-2,0.5,\"x\"],\"b\":{\"c\":null}}", "{\"a\":[1,-2,0.5,\"x\"],\"b\":{\"c\":null}}");
}

/* Long enough to leave in several pieces, and out of order however one looks at it. */
Test(json_canonical, a_thousand_keys_are_sorted)
{
    static char text[32768];
    size_t len = 1;
    text[0] = '{';
    for (unsigned i = 0; i < 1000; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s\"k%03u\":%u", i ? "," : "",
                                i * 379 % 1000, i);
    text[len++] = '}';
    struct tg_str got = canonical((struct tg_str){text, len}, JSON_CANONICAL_PYTHON);
    cr_assert_eq(got.len, len);
    struct tg_json_doc doc = parse(got);
    unsigned next = 0;
    TG_JSON_FOREACH_MEMBER(key, doc.nodes)
    {
        char wanted[8];
        snprintf(wanted, sizeof(wanted), "k%03u", next++);
        cr_assert(tg_json_string_eq(&doc, key, (struct tg_str){wanted, 4}), "%s", wanted);
    }
    cr_expect_eq(next, 1000);
}

Test(json_canonical, part_of_a_document_is_a_value_too)
{
    struct tg_json_doc doc = parse(TG_STR("{\"x\":0,\"result\":{\"b\":1,\"a\":2}}"));
    struct json_canonical_room room = {members, 2};
    struct tg_json_writer w;
    tg_json_writer_init(&w, out, sizeof(out));
    cr_expect_eq(json_canonical_write(&doc, tg_json_get(&doc, doc.nodes, TG_STR("result")),
                                      JSON_CANONICAL_JCS, room, &w),
                 0);
    cr_expect(tg_str_eq((struct tg_str){w.buf, w.len}, TG_STR("{\"a\":2,\"b\":1}")));
}

Test(json_canonical, too_little_room_for_members_or_text_is_said)
{
    struct tg_json_doc doc = parse(TG_STR("{\"a\":{\"b\":1,\"c\":2}}"));
    struct tg_json_writer w;
    tg_json_writer_init(&w, out, sizeof(out));
    struct json_canonical_room small = {members, 2}, enough = {members, 3};
    cr_expect_eq(json_canonical_write(&doc, doc.nodes, JSON_CANONICAL_JCS, small, &w), -ENOSPC);
    for (size_t cap = 0; cap < 19; cap++) {
        tg_json_writer_init(&w, out, cap);
        cr_expect_eq(json_canonical_write(&doc, doc.nodes, JSON_CANONICAL_JCS, enough, &w), -ENOSPC);
    }
    tg_json_writer_init(&w, out, 19);
    cr_expect_eq(json_canonical_write(&doc, doc.nodes, JSON_CANONICAL_JCS, enough, &w), 0);
}

static bool refuse(void *context, struct tg_str piece)
{
    (void)piece;
    ++*(int *)context;
    return false;
}

Test(json_canonical, a_sink_that_refuses_is_not_asked_again)
{
    static char text[4096];
    memset(text, 'x', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    struct tg_json_doc doc = parse((struct tg_str){text, sizeof(text)});
    int asked = 0;
    cr_expect_eq(json_canonical(&doc, doc.nodes, JSON_CANONICAL_PYTHON,
                                (struct json_canonical_room){members, 1}, refuse, &asked),
                 -ECANCELED);
    cr_expect_eq(asked, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up in a parsed document. */
#include <criterion/criterion.h>
#include "json_rig.h"

static struct tg_str unescape(const struct rig *r, char *out, size_t cap)
{
    int64_t len = tg_json_unescape(&r->doc, r->doc.nodes, out, cap);
    return (struct tg_str){out, len < 0 ? SIZE_MAX : (size_t)len};
}

Test(json_read, text_gives_every_value_as_it_stands)
{
    static const char *const values[] = {
        "null",     "true",   "false",          "0",      "-17", "18446744073709551615", "1.50", "1E+3",
        "\"a\\n\"", "[1, 2]", "{ \"a\" : [] }", "-0.0e-0"};
    char text[200] = "[";
    for (size_t i = 0; i < TG_ARRAY_SIZE(values); i++)
        strcat(strcat(text, i ? " ,\t" : ""), values[i]);
    strcat(text, "]");
    struct rig r = rig_parse((struct tg_str){text, strlen(text)});
    size_t i = 0;
    cr_assert_eq(r.status, 0);
    TG_JSON_FOREACH(it, r.doc.nodes)
    {
        struct tg_str expected = {values[i], strlen(values[i])};
        cr_expect(tg_str_eq(tg_json_text(&r.doc, it), expected), "%s", values[i]);
        i++;
    }
    cr_expect_eq(i, TG_ARRAY_SIZE(values));
    rig_finish(&r);
}

Test(json_read, a_number_that_ends_the_text_has_a_text)
{
    struct rig r = rig_parse(TG_STR("-12.5e+1"));
    cr_expect(tg_str_eq(tg_json_text(&r.doc, r.doc.nodes), TG_STR("-12.5e+1")));
    rig_finish(&r);
}

Test(json_read, unescape_resolves_every_escape)
{
    static const char expected[] =
        "\"\\/\b\f\n\r\t\0\x1f\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf!";
    struct rig r =
        rig_parse(TG_STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\u001F\\u007f\\u0080\\u07fF\\u0800\\uffff"
                         "\\ud800\\udc00\\uDBFF\\uDFFF!\""));
    char out[200];
    cr_assert_eq(r.status, 0);
    cr_assert_eq(r.doc.nodes->text.aux, 1);
    cr_expect(tg_str_eq(unescape(&r, out, sizeof(out)), (struct tg_str){expected, sizeof(expected) - 1}));
    rig_finish(&r);
}

Test(json_read, unescape_fits_in_the_escaped_length_and_stops_short_of_less)
{
    struct rig r = rig_parse(TG_STR("\"ab\\u00e9\\ncd\\ud83d\\ude00\""));
    size_t cap = r.doc.nodes->text.len;
    char *out = malloc(cap);
    struct tg_str s = unescape(&r, out, cap);
    cr_expect(tg_str_eq(s, TG_STR("ab\xc3\xa9\ncd\xf0\x9f\x98\x80")));
    for (size_t less = 0; less < 11; less++) {
        char *small = malloc(less ? less : 1);
        cr_expect_eq(tg_json_unescape(&r.doc, r.doc.nodes, small, less), -ENOSPC);
        free(small);
    }
    cr_expect_eq(tg_json_unescape(&r.doc, r.doc.nodes, out, 11), 11);
    free(out);
    rig_finish(&r);
}

Test(json_read, equality_looks_through_escapes)
{
    struct rig r = rig_parse(TG_STR("\"t\\u0061sk\\u005fid\""));
    cr_expect(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("task_id")));
    cr_expect_not(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("task_i")));
    cr_expect_not(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("task_idx")));
    cr_expect_not(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("tbsk_id")));
    cr_expect_not(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("")));
    cr_expect_not(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("t\\u0061sk\\u005fid")));
    rig_finish(&r);
    r = rig_parse(TG_STR("\"plain\""));
    cr_expect(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("plain")));
    cr_expect_not(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("plaim")));
    rig_finish(&r);
    r = rig_parse(TG_STR("\"\""));
    cr_expect(tg_json_string_eq(&r.doc, r.doc.nodes, TG_STR("")));
    rig_finish(&r);
}

Test(json_read, get_finds_the_first_member_of_that_name)
{
    struct rig r = rig_parse(TG_STR("{\"a\":{\"c\":1},\"b\":[1,{\"c\":2}],\"\\u0063\":3,\"c\":4,\"\":5}"));
    const struct tg_json_node *root = r.doc.nodes;
    cr_assert_eq(r.status, 0);
    cr_assert_not_null(tg_json_get(&r.doc, root, TG_STR("c")));
    cr_expect_eq(tg_json_get(&r.doc, root, TG_STR("c"))->i64, 3);
    cr_expect_eq(tg_json_get(&r.doc, root, TG_STR(""))->i64, 5);
    cr_expect_eq(tg_json_count(tg_json_get(&r.doc, root, TG_STR("b"))), 2);
    cr_expect_null(tg_json_get(&r.doc, root, TG_STR("d")));
    cr_expect_null(tg_json_get(&r.doc, tg_json_get(&r.doc, root, TG_STR("b")), TG_STR("c")));
    rig_finish(&r);
}

Test(json_read, get_on_anything_but_an_object_is_null)
{
    static const char *const texts[] = {"null", "1", "\"a\"", "[\"a\",1]", "{}"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
        struct rig r = rig_parse((struct tg_str){texts[i], strlen(texts[i])});
        cr_expect_null(tg_json_get(&r.doc, r.doc.nodes, TG_STR("a")));
        rig_finish(&r);
    }
}

Test(json_read, iteration_visits_children_and_nothing_below)
{
    struct rig r = rig_parse(TG_STR("{\"a\":[[1,2],[3]],\"b\":{\"x\":{}},\"c\":7}"));
    char names[8] = "";
    int count = 0;
    TG_JSON_FOREACH_MEMBER(key, r.doc.nodes)
    strncat(names, tg_json_string(&r.doc, key).ptr, 1);
    TG_JSON_FOREACH(it, tg_json_get(&r.doc, r.doc.nodes, TG_STR("a")))
    count += it->type == TG_JSON_ARRAY;
    cr_expect_str_eq(names, "abc");
    cr_expect_eq(count, 2);
    rig_finish(&r);
}

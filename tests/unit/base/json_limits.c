/* SPDX-License-Identifier: Apache-2.0 */
/* Bounds: depth, nodes, length; and that the tape has the shape it promises. */
#include <criterion/criterion.h>
#include "json_rig.h"

static struct tg_str repeat(char *buf, const char *unit, size_t times)
{
    size_t n = strlen(unit);
    for (size_t i = 0; i < times; i++)
        memcpy(buf + i * n, unit, n);
    return (struct tg_str){buf, n * times};
}

static struct rig parse_nested(const char *open, const char *inner, const char *close, size_t depth)
{
    static char text[8000];
    size_t len = repeat(text, open, depth).len;
    len += repeat(text + len, inner, 1).len;
    len += repeat(text + len, close, depth).len;
    return rig_parse((struct tg_str){text, len});
}

Test(json_limits, arrays_may_nest_64_deep_and_no_deeper)
{
    struct rig r = parse_nested("[", "", "]", 64);
    cr_expect_eq(r.status, 0);
    cr_expect_eq(r.doc.count, 64);
    rig_finish(&r);
    r = parse_nested("[", "", "]", 65);
    cr_expect_eq(r.status, -EINVAL);
    cr_expect_eq(r.err.offset, 64);
    cr_expect_str_eq(r.err.message, "nested too deeply");
    rig_finish(&r);
}

Test(json_limits, objects_and_mixtures_count_alike)
{
    struct rig r = parse_nested("{\"a\":", "1", "}", 64);
    cr_expect_eq(r.status, 0);
    rig_finish(&r);
    r = parse_nested("{\"a\":", "[]", "}", 64);
    cr_expect_eq(r.status, -EINVAL);
    cr_expect_eq(r.err.offset, 64 * 5);
    rig_finish(&r);
    r = parse_nested("[{\"a\":", "1", "}]", 32);
    cr_expect_eq(r.status, 0);
    rig_finish(&r);
}

Test(json_limits, closing_makes_room_again)
{
    static char text[20000];
    size_t len = 0;
    text[len++] = '[';
    for (int i = 0; i < 100; i++) {
        len += repeat(text + len, "[", 63).len;
        len += repeat(text + len, "]", 63).len;
        text[len++] = i < 99 ? ',' : ']';
    }
    struct rig r = rig_parse((struct tg_str){text, len});
    cr_expect_eq(r.status, 0);
    cr_expect_eq(tg_json_count(r.doc.nodes), 100);
    rig_finish(&r);
}

Test(json_limits, a_hundred_thousand_brackets_are_refused_at_the_65th)
{
    static char text[500000];
    static const char *const units[] = {"[", "{\"\":", "[[", "[{\"\":"};
    static const uint32_t offsets[] = {64, 64 * 4, 64, 32 * 5};
    for (size_t i = 0; i < TG_ARRAY_SIZE(units); i++) {
        struct rig r = rig_parse(repeat(text, units[i], 100000));
        cr_expect_eq(r.status, -EINVAL);
        cr_expect_eq(r.err.offset, offsets[i]);
        rig_finish(&r);
    }
}

/* These have the most values for their length: n values in an odd length of 2n - 1. */
Test(json_limits, half_the_length_plus_one_nodes_suffice_for_the_densest_texts)
{
    static char text[4002];
    for (size_t n = 1; n < 1000; n++) {
        text[0] = '[';
        repeat(text + 1, "0,", n);
        text[2 * n] = ']';
        struct rig r = rig_parse_capacity((struct tg_str){text, 2 * n + 1}, (uint32_t)n + 1);
        cr_assert_eq(r.status, 0);
        cr_assert_eq(r.doc.count, n + 1);
        cr_assert_eq(r.doc.count, (2 * n + 1) / 2 + 1);
        rig_finish(&r);
    }
}

/* Nothing is denser than brackets that stay open, and any value may be the one that no longer fits. */
Test(json_limits, malformed_texts_find_their_exact_error_in_the_nodes_promised)
{
    static char text[400];
    for (size_t open = 1; open <= 64; open++)
        for (size_t more = 0; more < 100; more++) {
            memset(text, '[', open);
            size_t len = open + repeat(text + open, "0,", more).len;
            struct rig r = rig_parse((struct tg_str){text, len});
            cr_assert_eq(r.status, -EINVAL);
            cr_assert_eq(r.err.offset, len);
            cr_assert_str_eq(r.err.message, "unexpected end of text");
            rig_finish(&r);
        }
}

Test(json_limits, half_the_length_plus_one_nodes_never_end_in_no_space)
{
    static char text[64];
    for (size_t open = 1; open <= 64; open++) {
        memset(text, '[', open);
        struct rig r = rig_parse_capacity((struct tg_str){text, open}, (uint32_t)open / 2 + 1);
        cr_expect_eq(r.status, -EINVAL);
        cr_expect_leq(r.err.offset, open);
        rig_finish(&r);
    }
}

Test(json_limits, one_node_less_than_needed_is_no_space)
{
    static const struct tg_str texts[] = {TG_STR_INIT("0"),
                                          TG_STR_INIT("\"\""),
                                          TG_STR_INIT("true"),
                                          TG_STR_INIT("[]"),
                                          TG_STR_INIT("[0,0,0]"),
                                          TG_STR_INIT("{\"\":0}"),
                                          TG_STR_INIT("[[[[]]]]"),
                                          TG_STR_INIT("[{\"a\":[]}]"),
                                          TG_STR_INIT("[1.5,-7,null]"),
                                          TG_STR_INIT("[\"\\n\",\"\"]")};
    for (size_t i = 0; i < TG_ARRAY_SIZE(texts); i++) {
        struct rig full = rig_parse(texts[i]);
        cr_assert_eq(full.status, 0);
        for (uint32_t capacity = 0; capacity <= full.doc.count; capacity++) {
            struct rig r = rig_parse_capacity(texts[i], capacity);
            cr_expect_eq(r.status, capacity < full.doc.count ? -ENOSPC : 0, "%s with %u: %d", texts[i].ptr,
                         capacity, r.status);
            rig_finish(&r);
        }
        rig_finish(&full);
    }
}

Test(json_limits, a_text_too_long_for_an_offset_is_refused_unread)
{
    struct tg_json_node node;
    struct tg_json_error err;
    struct tg_json_doc doc = {.nodes = &node, .capacity = 1};
    cr_expect_eq(tg_json_parse(&doc, "0", (size_t)TG_JSON_TEXT_MAX + 1, &err), -EFBIG);
}

Test(json_limits, nothing_at_all_is_no_value)
{
    struct tg_json_node node;
    struct tg_json_error err;
    struct tg_json_doc doc = {.nodes = &node, .capacity = 1};
    cr_expect_eq(tg_json_parse(&doc, NULL, 0, &err), -EINVAL);
    cr_expect_eq(err.offset, 0);
    doc = (struct tg_json_doc){.nodes = NULL};
    cr_expect_eq(tg_json_parse(&doc, "0", 1, &err), -ENOSPC);
}

Test(json_limits, spans_counts_lengths_and_offsets_describe_the_text)
{
    struct rig r = rig_parse(TG_STR(" {\"a\":[1,[],{}], \"bc\":{\"d\":null}} "));
    const struct tg_json_node *n = r.doc.nodes;
    static const struct tg_json_node expected[] = {
        {.type = TG_JSON_OBJECT, .offset = 1, .span = 10, .text = {32, 2}},
        {.type = TG_JSON_STRING, .offset = 2, .span = 1, .text = {1, 0}},
        {.type = TG_JSON_ARRAY, .offset = 6, .span = 4, .text = {9, 3}},
        {.type = TG_JSON_INT, .offset = 7, .span = 1, .i64 = 1},
        {.type = TG_JSON_ARRAY, .offset = 9, .span = 1, .text = {2, 0}},
        {.type = TG_JSON_OBJECT, .offset = 12, .span = 1, .text = {2, 0}},
        {.type = TG_JSON_STRING, .offset = 17, .span = 1, .text = {2, 0}},
        {.type = TG_JSON_OBJECT, .offset = 22, .span = 3, .text = {10, 1}},
        {.type = TG_JSON_STRING, .offset = 23, .span = 1, .text = {1, 0}},
        {.type = TG_JSON_NULL, .offset = 27, .span = 1, .u64 = 0},
    };
    cr_assert_eq(r.status, 0);
    cr_assert_eq(r.doc.count, TG_ARRAY_SIZE(expected));
    for (size_t i = 0; i < TG_ARRAY_SIZE(expected); i++) {
        cr_expect_eq(n[i].type, expected[i].type, "node %zu", i);
        cr_expect_eq(n[i].offset, expected[i].offset, "node %zu", i);
        cr_expect_eq(n[i].span, expected[i].span, "node %zu", i);
        cr_expect_eq(n[i].u64, expected[i].u64, "node %zu", i);
    }
    rig_finish(&r);
}

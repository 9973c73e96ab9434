/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where texts end. With a bracket last and a long tape, the parser leaves out checks that it makes otherwise: both
 * ways must agree, and neither may look behind the end.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include "json_rig.h"

/* Parsed with the long tape and with the shortest that a valid text may need. */
static void expect_both_alike(struct tg_str s)
{
    struct rig a = rig_parse(s), b = rig_parse_capacity(s, (uint32_t)(s.len / 2 + 1));
    cr_assert_eq(a.status, b.status, "%.*s", (int)s.len, s.ptr);
    if (a.status) {
        cr_assert_leq(b.err.offset, a.err.offset); /* the short tape may be used up before */
    } else {
        cr_assert_eq(a.doc.count, b.doc.count);
        cr_assert_arr_eq(a.doc.nodes, b.doc.nodes, a.doc.count * sizeof(*a.doc.nodes));
    }
    rig_finish(&a);
    rig_finish(&b);
}

static const char sample[] =
    "{\"task_id\":\"6f1c2b9e-58a4\",\"list\":[1,-2.5,3e4,0.125,true,false,null,[],{}],\"text\":\"one\\ntwo \xc3\xa9 "
    "three\", \"deep\" : {\"a\":{\"b\":[\"c\",\"\",{\"d\":1234567890123}]}},\n\t\"long\":\"................................"
    "........................................................................\"}";

Test(json_ends, a_prefix_and_a_bracket_are_judged_alike_on_both_ways)
{
    static const char *const ends[] = {"", "]", "}", "]}", "}]", "\"}", "\"]} ", "] \n", "0}", "e]", "\\]"};
    char text[sizeof(sample) + 8];
    for (size_t len = 0; len < sizeof(sample); len++)
        for (size_t i = 0; i < TG_ARRAY_SIZE(ends); i++) {
            memcpy(text, sample, len);
            memcpy(text + len, ends[i], strlen(ends[i]));
            expect_both_alike((struct tg_str){text, len + strlen(ends[i])});
        }
}

Test(json_ends, brackets_too_few_or_too_many_are_refused_where_they_are)
{
    for (size_t pad = 0; pad < 140; pad++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "[\"%*s\",[1]", (int)pad, "");
        struct rig few = rig_parse((struct tg_str){text, (size_t)len});
        cr_assert_eq(few.status, -EINVAL);
        cr_assert_eq(few.err.offset, (size_t)len);
        cr_assert_str_eq(few.err.message, "unexpected end of text");
        rig_finish(&few);
        struct rig many = rig_parse((struct tg_str){text, (size_t)snprintf(text + len, 8, "]]") + (size_t)len});
        cr_assert_eq(many.status, -EINVAL);
        cr_assert_eq(many.err.offset, (size_t)len + 1);
        rig_finish(&many);
    }
}

Test(json_ends, a_string_that_swallows_the_last_bracket_is_unterminated)
{
    for (size_t pad = 0; pad < 200; pad++) {
        char text[300];
        int len = snprintf(text, sizeof(text), "{\"name\":\"%*s}", (int)pad, "");
        struct rig r = rig_parse((struct tg_str){text, (size_t)len});
        cr_assert_eq(r.status, -EINVAL);
        cr_assert_eq(r.err.offset, (size_t)len);
        cr_assert_str_eq(r.err.message, "unterminated string");
        rig_finish(&r);
    }
}

Test(json_ends, blanks_behind_the_last_bracket_count_for_nothing_and_for_the_error)
{
    for (size_t pad = 0; pad < 140; pad++) {
        char text[400];
        int len = snprintf(text, sizeof(text), "[\"%*s\",2] \r\n\t%*s", (int)pad, "", (int)pad, "");
        struct rig r = rig_parse((struct tg_str){text, (size_t)len});
        cr_assert_eq(r.status, 0);
        cr_assert_eq(r.doc.len, (size_t)len);
        cr_assert_eq(r.doc.nodes[0].text.len, pad + 6);
        rig_finish(&r);
        text[0] = '{';
        r = rig_parse((struct tg_str){text, (size_t)len});
        cr_assert_eq(r.status, -EINVAL);
        cr_assert_eq(r.err.offset, pad + 3, "at %u", r.err.offset);
        rig_finish(&r);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which texts are JSON, which are not, and where those stop being it. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "json_rig.h"

static const struct tg_str accepted[] = {
#define ACCEPT(text) TG_STR_INIT(text),
#define REFUSE(offset, text)
#include "json_grammar.def"
#undef ACCEPT
#undef REFUSE
};

static const struct {
    uint32_t offset;
    struct tg_str text;
} refused[] = {
#define ACCEPT(text)
#define REFUSE(offset, text) {offset, TG_STR_INIT(text)},
#include "json_grammar.def"
#undef ACCEPT
#undef REFUSE
};

Test(json_grammar, accepts_every_form_of_the_grammar)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(accepted); i++) {
        struct rig r = rig_parse(accepted[i]);
        cr_expect_eq(r.status, 0, "%s: %d %s at %u", accepted[i].ptr, r.status, r.err.message, r.err.offset);
        rig_finish(&r);
    }
}

Test(json_grammar, refuses_everything_else_and_says_where)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(refused); i++) {
        struct rig r = rig_parse(refused[i].text);
        cr_expect_eq(r.status, -EINVAL, "accepted: %s", refused[i].text.ptr);
        if (r.status != 0)
            cr_expect_eq(r.err.offset, refused[i].offset, "%s: %s at %u, not %u", refused[i].text.ptr,
                         r.err.message, r.err.offset, refused[i].offset);
        rig_finish(&r);
    }
}

/* The same texts in the middle of a long one take the paths that read many bytes at once. */
static struct rig parse_padded(struct tg_str s, const char *behind)
{
    char *text = malloc(s.len + 200);
    int len = snprintf(text, s.len + 200, "[\"%40s\",", "");
    memcpy(text + len, s.ptr, s.len);
    int tail = snprintf(text + len + s.len, 100, "%s", behind);
    struct rig r = rig_parse((struct tg_str){text, (size_t)len + s.len + (size_t)tail});
    free(text);
    return r;
}

Test(json_grammar, accepts_the_same_inside_a_long_text)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(accepted); i++) {
        struct rig r =
            parse_padded(accepted[i], ",\"........................................................\"]");
        cr_expect_eq(r.status, 0, "%s: %s", accepted[i].ptr, r.err.message);
        rig_finish(&r);
    }
}

/* What is refused only for ending too early, or for what follows it, means something else there. */
static bool depends_on_the_end(struct tg_str s, uint32_t offset)
{
    struct rig r = rig_parse((struct tg_str){s.ptr, offset});
    bool depends = offset >= s.len || r.status == 0;
    rig_finish(&r);
    return depends;
}

Test(json_grammar, refuses_the_same_at_the_same_byte_inside_a_long_text)
{
    int compared = 0;
    for (size_t i = 0; i < TG_ARRAY_SIZE(refused); i++) {
        if (depends_on_the_end(refused[i].text, refused[i].offset))
            continue;
        struct rig r =
            parse_padded(refused[i].text, " , \"......................................................\"]");
        cr_expect_eq(r.status, -EINVAL, "accepted: %s", refused[i].text.ptr);
        if (r.status != 0)
            cr_expect_eq(r.err.offset, refused[i].offset + 44, "%s: %s at %u", refused[i].text.ptr,
                         r.err.message, r.err.offset);
        rig_finish(&r);
        compared++;
    }
    cr_expect_gt(compared, 60);
}

Test(json_grammar, refuses_every_proper_prefix_at_its_end)
{
    static const char text[] =
        "{\"a\":[1,-2.5e+3,\"x\\u00e9\\ud83d\\ude00y\",true,false,null,{}],\"b\":{\"\":[]}}";
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct rig r = rig_parse((struct tg_str){text, len});
        cr_expect_eq(r.status, -EINVAL, "accepted %zu bytes", len);
        cr_expect_leq(r.err.offset, len);
        rig_finish(&r);
    }
}

Test(json_grammar, refuses_a_stray_byte_anywhere_outside_strings)
{
    static const char text[] = "{ \"a\" : [ 1 , 2.5 , true , null , [ ] , { } ] }";
    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        if (copy[at] != ' ')
            continue;
        copy[at] = '\x01';
        struct rig r = rig_parse((struct tg_str){copy, sizeof(text) - 1});
        cr_expect_eq(r.status, -EINVAL);
        cr_expect_eq(r.err.offset, at);
        rig_finish(&r);
    }
}

Test(json_grammar, white_space_of_any_length_and_kind_counts_for_nothing)
{
    for (int n = 0; n < 70; n++) {
        char text[500];
        int len = snprintf(text, sizeof(text), "%*s[%*s\t1%*s\r,%*s\n2%*s]%*s", n, "", n, "", n, "", n, "", n,
                           "", n, "");
        struct rig r = rig_parse((struct tg_str){text, (size_t)len});
        cr_expect_eq(r.status, 0, "%d blanks: %s", n, r.status ? r.err.message : "");
        cr_expect_eq(r.doc.count, 3);
        rig_finish(&r);
    }
}

/* Appends a string of @len bytes; in one of three stands an escape, in another a letter of two bytes. */
static size_t add_string(char *text, size_t len, size_t kind)
{
    static const char *const special[] = {"", "\\n", "\xc3\xa9"};
    text[0] = '"';
    memset(text + 1, 'a', len);
    if (kind > 0 && len >= 2)
        memcpy(text + 1 + len * 2 / 3 - (len * 2 / 3 > len - 2), special[kind], 2);
    memcpy(text + 1 + len, "\",", 2);
    return len + 3;
}

/* Wherever the text is cut into blocks, names and strings of any length end where they end. */
Test(json_grammar, strings_of_any_length_anywhere)
{
    static char text[20000];
    for (size_t first = 0; first < 140; first++) {
        size_t len = 1;
        text[0] = '[';
        len += add_string(text + len, first, 0);
        for (size_t n = 0; n < 150; n++)
            len += add_string(text + len, n, n % 3);
        text[len - 1] = ']';
        struct rig r = rig_parse((struct tg_str){text, len});
        cr_assert_eq(r.status, 0, "%s", r.err.message);
        cr_assert_eq(r.doc.count, 152);
        for (size_t n = 0; n < 150; n++) {
            cr_assert_eq(r.doc.nodes[n + 2].text.len, n);
            cr_assert_eq(r.doc.nodes[n + 2].text.aux, n % 3 == 1 && n >= 2);
        }
        rig_finish(&r);
    }
}

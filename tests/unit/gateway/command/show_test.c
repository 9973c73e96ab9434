/* SPDX-License-Identifier: Apache-2.0 */
/* What commands print of other people's text. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include "gateway/command/show.h"

static char *shown(void (*show)(FILE *, const struct tg_json_doc *, const struct tg_json_node *),
                   const char *json)
{
    static struct tg_json_node nodes[256];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = 256};
    struct tg_json_error err;
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    cr_assert_eq(tg_json_parse(&doc, json, strlen(json), &err), 0);
    show(f, &doc, nodes);
    fclose(f);
    return out;
}

static void assert_shown(void (*show)(FILE *, const struct tg_json_doc *, const struct tg_json_node *),
                         const char *json, const char *wanted)
{
    char *out = shown(show, json);
    cr_expect_str_eq(out, wanted, "%s: %s", json, out);
    free(out);
}

Test(show, objects_are_laid_out_and_short_lists_stay_on_a_line)
{
    assert_shown(show_json, "{\"a\":1,\"b\":[1,2.5,\"x\"],\"c\":{}}",
                 "{\n  \"a\": 1,\n  \"b\": [1, 2.5, \"x\"],\n  \"c\": {}\n}");
    assert_shown(show_json, "[{\"a\":null}]", "[\n  {\n    \"a\": null\n  }\n]");
    assert_shown(show_json, "true", "true");
}

Test(show, one_line_has_no_break)
{
    assert_shown(show_json_line, "{\"a\":[1,{\"b\":2}],\n\"c\":[]}", "{\"a\": [1, {\"b\": 2}], \"c\": []}");
}

Test(show, nothing_steers_a_terminal)
{
    char *out = NULL;
    size_t len = 0;
    FILE *f = open_memstream(&out, &len);
    show_text(f, TG_STR("a\x1b[31m\x7f\r\n\xc2\x9b"
                        "31m \xc3\xa9"));
    fclose(f);
    cr_assert_str_eq(out, "a?[31m????31m \xc3\xa9");
    free(out);
}

Test(show, copies_are_cut_and_terminated)
{
    struct tg_json_node nodes[64];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = 64};
    struct tg_json_error err;
    char out[6];
    const char *json = "\"abcdefgh\"";
    cr_assert_eq(tg_json_parse(&doc, json, strlen(json), &err), 0);
    show_copy(&doc, nodes, out, sizeof(out));
    cr_assert_eq(strlen(out), 5);
    show_copy(&doc, NULL, out, sizeof(out));
    cr_assert_str_eq(out, "");
}

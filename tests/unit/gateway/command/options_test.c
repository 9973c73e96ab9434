/* SPDX-License-Identifier: Apache-2.0 */
/* Flags by table. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>
#include "gateway/command/options.h"

struct parsed {
    struct options options;
    const char *text;
    uint32_t number;
    double real;
    bool flag;
};

#define AT(member) offsetof(struct parsed, member)
static const struct option_row rows[] = {
    {"text", OPTION_TEXT, AT(text), 0, 0, "T", "a text"},
    {"number", OPTION_NUMBER, AT(number), 1, 50, "N", "a number"},
    {"real", OPTION_REAL, AT(real), 0, 1, "R", "a real number"},
    {"flag", OPTION_BOOL, AT(flag), 0, 0, "", "a flag"},
};

static const struct options_spec spec = {.command = "try",
                                         .arguments = "[flags]",
                                         .about = "Tries.",
                                         .rows = rows,
                                         .row_count = TG_ARRAY_SIZE(rows),
                                         .words_max = 1};

static enum options_result parse(struct parsed *p, char *a, char *b, char *c)
{
    char name[] = "try";
    char *argv[] = {name, a, b, c, NULL};
    int argc = 1 + (a != NULL) + (b != NULL) + (c != NULL);
    *p = (struct parsed){.number = 7};
    return options_read(&spec, argc, argv, &p->options);
}

#define W(word)                                                                                              \
    (char[])                                                                                                 \
    {                                                                                                        \
        word                                                                                                 \
    }

Test(options, values_follow_an_equals_sign_or_a_blank)
{
    struct parsed p;
    cr_assert_eq(parse(&p, W("--text=a=b"), W("--number"), W("50")), OPTIONS_GO);
    cr_assert_str_eq(p.text, "a=b");
    cr_assert_eq(p.number, 50);
    cr_assert_eq(parse(&p, W("--real=0.25"), W("--flag"), NULL), OPTIONS_GO);
    cr_assert_eq(p.real, 0.25);
    cr_assert(p.flag);
    cr_assert_eq(p.number, 7, "what is not given keeps its default");
}

Test(options, what_has_a_dot_is_the_configuration_s)
{
    struct parsed p;
    cr_assert_eq(parse(&p, W("--directory.url=http://d"), W("--config"), W("c.toml")), OPTIONS_GO);
    cr_assert_eq(p.options.config_argc, 3);
    cr_assert_str_eq(p.options.config_argv[2], "c.toml");
}

Test(options, wrong_ones_are_told, .init = cr_redirect_stderr)
{
    struct parsed p;
    cr_assert_eq(parse(&p, W("--numbr=3"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("--number=0"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("--number=51"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("--number=1e1"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("--real=nan"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("--flag=maybe"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("--text"), NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, W("a"), W("b"), NULL), OPTIONS_WRONG);
}

Test(options, a_dash_alone_is_a_word)
{
    struct parsed p;
    cr_assert_eq(parse(&p, W("-"), NULL, NULL), OPTIONS_GO);
    cr_assert_str_eq(p.options.words[0], "-");
}

Test(options, help_wins_over_everything, .init = cr_redirect_stdout)
{
    struct parsed p;
    cr_assert_eq(parse(&p, W("--nonsense"), W("--help"), NULL), OPTIONS_HELPED);
}

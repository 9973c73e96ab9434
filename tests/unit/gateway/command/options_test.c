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

/* The words as main() has them: they may be written to, and live as long as the process. */
static enum options_result parse(struct parsed *p, const char *a, const char *b, const char *c)
{
    static char texts[4][64];
    static char *argv[5];
    const char *const given[] = {"try", a, b, c};
    int argc = 0;
    for (; argc < 4 && given[argc]; argc++)
        argv[argc] = strcpy(texts[argc], given[argc]);
    argv[argc] = NULL;
    *p = (struct parsed){.number = 7};
    return options_read(&spec, argc, argv, &p->options);
}

Test(options, values_follow_an_equals_sign_or_a_blank)
{
    struct parsed p;
    cr_assert_eq(parse(&p, "--text=a=b", "--number", "50"), OPTIONS_GO);
    cr_assert_str_eq(p.text, "a=b");
    cr_assert_eq(p.number, 50);
    cr_assert_eq(parse(&p, "--real=0.25", "--flag", NULL), OPTIONS_GO);
    cr_assert_eq(p.real, 0.25);
    cr_assert(p.flag);
    cr_assert_eq(p.number, 7, "what is not given keeps its default");
}

Test(options, what_has_a_dot_is_the_configuration_s)
{
    struct parsed p;
    cr_assert_eq(parse(&p, "--directory.url=http://d", "--config", "c.toml"), OPTIONS_GO);
    cr_assert_eq(p.options.config_argc, 3);
    cr_assert_str_eq(p.options.config_argv[2], "c.toml");
}

Test(options, wrong_ones_are_told, .init = cr_redirect_stderr)
{
    struct parsed p;
    cr_assert_eq(parse(&p, "--numbr=3", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "--number=0", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "--number=51", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "--number=1e1", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "--real=nan", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "--flag=maybe", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "--text", NULL, NULL), OPTIONS_WRONG);
    cr_assert_eq(parse(&p, "a", "b", NULL), OPTIONS_WRONG);
}

Test(options, a_dash_alone_is_a_word)
{
    struct parsed p;
    cr_assert_eq(parse(&p, "-", NULL, NULL), OPTIONS_GO);
    cr_assert_str_eq(p.options.words[0], "-");
}

Test(options, help_wins_over_everything, .init = cr_redirect_stdout)
{
    struct parsed p;
    cr_assert_eq(parse(&p, "--nonsense", "--help", NULL), OPTIONS_HELPED);
}

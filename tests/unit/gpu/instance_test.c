/* SPDX-License-Identifier: Apache-2.0 */
/* [runner.NAME] tables: what is accepted, and the words for what is not. */
#include "runner_fixture.h"

static struct fixture f;

/* The table is refused, and these words are among the lines. */
static void expect_problem(const struct tg_setting *settings, const char *words)
{
    cr_assert_neq(fixture_create(&f, settings), 0, "accepted; expected: %s", words);
    cr_assert_not_null(strstr(f.problems.text, words), "expected \"%s\" in:\n%s", words, f.problems.text);
    cr_assert_null(f.instance);
}

Test(instance, defaults_come_from_the_runner)
{
    cr_assert_eq(fixture_create(&f, SETTINGS({"type", "noop", NULL})), 0, "%s", f.problems.text);
    cr_assert_str_eq(f.instance->name, "t");
    cr_assert_str_eq(f.instance->intent, "urn:iicp:intent:x.taskgate:noop:v1");
    cr_assert_eq(f.instance->max_batch, f.instance->shape.max_batch);
    cr_assert_eq(f.instance->max_delay_us, 0);
    cr_assert_eq(f.instance->streams, 2);
    fixture_close(&f);
}

Test(instance, common_keys_override_them)
{
    cr_assert_eq(fixture_create(&f, SETTINGS({"type", "noop", NULL}, {"intent", "urn:x:mine", NULL},
                                             {"max_batch", "7", NULL}, {"max_delay_us", "250", NULL},
                                             {"streams", "3", NULL})),
                 0, "%s", f.problems.text);
    cr_assert_str_eq(f.instance->intent, "urn:x:mine");
    cr_assert(f.instance->max_batch == 7 && f.instance->max_delay_us == 250 && f.instance->streams == 3);
    fixture_close(&f);
}

Test(instance, an_unknown_key_names_its_place_and_the_nearest)
{
    expect_problem(
        SETTINGS({"type", "noop", "f.toml:2"}, {"sleep_sm", "5", "f.toml:3"}),
        "f.toml:3: runner.t.sleep_sm: a noop runner has no such option; did you mean \"sleep_ms\"?");
    expect_problem(SETTINGS({"type", "noop", NULL}, {"max_bach", "5", NULL}), "did you mean \"max_batch\"?");
    expect_problem(SETTINGS({"type", "noop", NULL}, {"zzzzzzzzzz", "5", NULL}), "no such option\n");
}

Test(instance, an_unknown_type_lists_what_there_is)
{
    expect_problem(SETTINGS({"type", "knm", "f.toml:2"}),
                   "f.toml:2: runner.t.type: there is no \"knm\" runner; did you mean \"knn\"? (there are: "
                   "noop, echo, saxpy, knn, kernel)");
    expect_problem(SETTINGS({"max_batch", "1", NULL}), "f.toml:1: runner.t: \"type\" is missing");
}

Test(instance, a_missing_required_option_is_named)
{
    expect_problem(SETTINGS({"type", "knn", NULL}), "f.toml:1: runner.t: \"data\" is missing");
}

Test(instance, values_are_checked_against_their_row)
{
    const struct {
        const char *key, *value, *words;
    } cases[] = {
        {"sleep_ms", "x", "\"x\" must be an integer"},
        {"sleep_ms", "1.5", "must be an integer"},
        {"sleep_ms", " 5", "must be an integer"},
        {"sleep_ms", "", "must be an integer"},
        {"sleep_ms", "99999999999999999999", "must be an integer"},
        {"sleep_ms", "-1", "must be from 0 to 300000"},
        {"sleep_ms", "300001", "must be from 0 to 300000"},
        {"streams", "0", "must be from 1 to 64"},
        {"max_batch", "257", "must be from 1 to 256 for this runner"},
        {"intent", "nonsense", "is no URN"},
        {"intent", "urn:with space", "is no URN"},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++)
        expect_problem(SETTINGS({"type", "noop", NULL}, {cases[i].key, cases[i].value, "f.toml:9"}),
                       cases[i].words);
}

Test(instance, every_problem_is_reported_not_only_the_first)
{
    expect_problem(SETTINGS({"type", "knn", NULL}, {"metric", "l1", NULL}, {"k_max", "0", NULL},
                            {"foo_bar", "1", NULL}, {"streams", "many", NULL}, {"streams", "2", NULL}),
                   "runner.t.streams: given twice");
    cr_assert_eq(f.problems.count, 6, "%s", f.problems.text);
    cr_assert_not_null(strstr(f.problems.text, "must be one of l2|ip|cosine"));
}

Test(instance, problems_collect_over_tables)
{
    struct tg_problems problems = {.len = 0};
    struct tg_instance *in = NULL;
    struct tg_setting bad = {"type", "nope", NULL}, good = {"type", "echo", NULL};
    struct tg_instance_options o = {.name = "a", .settings = &bad, .setting_count = 1};
    cr_assert_neq(tg_instance_create(&fixture_host, &o, &in, &problems), 0);
    o = (struct tg_instance_options){.name = "b", .settings = &good, .setting_count = 1};
    cr_assert_eq(tg_instance_create(&fixture_host, &o, &in, &problems), 0);
    cr_assert_eq(problems.count, 1);
    tg_instance_destroy(in);
    tg_instance_destroy(NULL);
}

Test(instance, more_problems_than_fit_are_counted)
{
    struct tg_problems p = {.len = 0};
    for (int i = 0; i < 1000; i++)
        tg_problem_add(&p, "f.toml:1", "problem number %d of many", i);
    cr_assert_eq(p.count, 1000);
    cr_assert_lt(p.len, sizeof(p.text));
    cr_assert_eq(p.text[p.len - 1], '\n');
}

Test(instance, option_types_parse)
{
    union tg_value v;
    struct tg_error err;
    struct tg_option number = {"n", TG_OPTION_NUMBER, "0", 0, 1, NULL, "d"},
                     flag = {.key = "b", .type = TG_OPTION_BOOL};
    struct tg_option choice = {"c", TG_OPTION_CHOICE, "a", 0, 0, "ab|a", "d"};
    cr_assert_eq(tg_option_parse(&number, "0.25", &v, &err), 0);
    cr_assert_eq(v.number, 0.25);
    cr_assert_neq(tg_option_parse(&number, "nan", &v, &err), 0);
    cr_assert_neq(tg_option_parse(&number, "1.01", &v, &err), 0);
    cr_assert_eq(tg_option_parse(&flag, "true", &v, &err), 0);
    cr_assert(v.boolean);
    cr_assert_neq(tg_option_parse(&flag, "yes", &v, &err), 0);
    cr_assert_eq(tg_option_parse(&choice, "a", &v, &err), 0);
    cr_assert_neq(tg_option_parse(&choice, "b", &v, &err), 0);
    cr_assert_neq(tg_option_parse(&choice, "", &v, &err), 0);
}

static int shape_error(const struct tg_shape *s, const char *words)
{
    struct tg_error err = {.message = ""};
    int rc = tg_shape_check(s, &err);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
    return rc;
}

Test(instance, shapes_that_cannot_be_laid_out_are_refused)
{
    const struct tg_shape good = {2, {64, 128}, {8, 8}, 1, 1, 0};
    struct tg_shape s = good;
    cr_assert_eq(shape_error(&s, ""), 0);
    s.size_classes = 0;
    cr_assert_neq(shape_error(&s, "size_classes"), 0);
    s.size_classes = 5;
    cr_assert_neq(shape_error(&s, "size_classes"), 0);
    s = good;
    s.in_bytes[1] = 64;
    cr_assert_neq(shape_error(&s, "not ascending"), 0);
    s = good;
    s.out_bytes[0] = UINT32_MAX;
    cr_assert_neq(shape_error(&s, "out_bytes"), 0);
    s = good;
    s.rows_per_task_max = 0;
    cr_assert_neq(shape_error(&s, "rows_per_task_max"), 0);
    s = good;
    s.max_batch = 0;
    cr_assert_neq(shape_error(&s, "max_batch"), 0);
}

Test(instance, builtins_pass_the_check_plugins_must_pass)
{
    struct tg_error err = {.message = ""};
    uint32_t n = 0;
    for (const struct tg_runner *r; (r = tg_runner_builtin(n)); n++) {
        cr_assert_eq(tg_runner_check(r, &err), 0, "%s: %s", r->type, err.message);
        cr_assert_eq(tg_runner_find(r->type), r);
    }
    cr_assert_eq(n, 5);
}

static void expect_fault(const struct tg_runner *r, const char *words)
{
    struct tg_error err = {.message = ""};
    cr_assert_neq(tg_runner_check(r, &err), 0, "expected: %s", words);
    cr_assert_not_null(strstr(err.message, words), "%s", err.message);
}

static int launch_nothing(void *self, const void *state, const struct tg_cuda_batch *batch)
{
    return 0;
}

Test(instance, a_table_without_run_batch_has_a_part_for_a_gpu)
{
    static const struct tg_runner_cuda cuda = {.size = sizeof(cuda), .launch = launch_nothing};
    struct tg_error err = {.message = ""};
    struct tg_runner r = *tg_runner_find("noop");
    r.run_batch = NULL;
    expect_fault(&r, "function run_batch is missing");
    r.cuda = &cuda;
    cr_assert_eq(tg_runner_check(&r, &err), 0, "%s", err.message);
    cr_assert_eq(tg_runner_cuda_part(&r), &cuda);
    r.size = TG_RUNNER_SIZE_MIN; /* ends before `cuda` */
    expect_fault(&r, "function run_batch is missing");
}

Test(instance, faults_of_a_table_are_named)
{
    const struct tg_runner good = *tg_runner_find("noop");
    struct tg_runner r = good;
    r.abi = 2;
    expect_fault(&r, "speaks runner ABI 2, this program speaks 1");
    r = good;
    r.size = 8;
    expect_fault(&r, "its table has 8 bytes");
    r = good;
    r.type = "Noop";
    expect_fault(&r, "type must be a name");
    r = good;
    r.doc = "";
    expect_fault(&r, "doc is missing");
    r = good;
    r.intent = "noop";
    expect_fault(&r, "intent must be a URN");
    r = good;
    r.options = NULL;
    expect_fault(&r, "the table is NULL");
    r = good;
    r.encode = NULL;
    expect_fault(&r, "function encode is missing");
}

Test(instance, faults_of_an_option_are_named)
{
    const struct tg_option bad[][2] = {
        {{"A", TG_OPTION_BOOL, "true", 0, 0, NULL, "d"}},
        {{"a", (enum tg_option_type)9, "true", 0, 0, NULL, "d"}},
        {{"a", TG_OPTION_CHOICE, "x", 0, 0, NULL, "d"}},
        {{"a", TG_OPTION_INTEGER, "1", 5, 2, NULL, "d"}},
        {{"a", TG_OPTION_INTEGER, "9", 1, 2, NULL, "d"}},
        {{"a", TG_OPTION_BOOL, "true", 0, 0, NULL, NULL}},
        {{"a", TG_OPTION_BOOL, "true", 0, 0, NULL, "d"}, {"a", TG_OPTION_BOOL, "true", 0, 0, NULL, "d"}},
    };
    const char *words[] = {"key must be", "unknown type", "without choices", "min is above max",
                           "its default", "no doc",       "listed twice"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(bad); i++) {
        struct tg_runner r = *tg_runner_find("noop");
        r.options = bad[i];
        r.option_count = i == 6 ? 2 : 1;
        expect_fault(&r, words[i]);
    }
}

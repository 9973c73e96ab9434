/* SPDX-License-Identifier: Apache-2.0 */
/* The harness: a good plugin passes, and each bad one fails at the line that is about it. */
#include <criterion/criterion.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner.h"
#include "runner_test.h"

static char output[65536];

/* Runs the harness in a child with its output in a file. Returns its exit code. */
static int run(const char *const *args)
{
    char *argv[16];
    int argc = 0, status;
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    for (; args[argc]; argc++) /* copies, because the harness splits some of its arguments */
        argv[argc] = strdup(args[argc]);
    argv[argc] = NULL;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(file), STDOUT_FILENO);
        dup2(fileno(file), STDERR_FILENO);
        _exit(tg_runner_test_main(argc, argv));
    }
    for (int i = 0; i < argc; i++)
        free(argv[i]);
    cr_assert_eq(waitpid(child, &status, 0), child);
    rewind(file);
    output[fread(output, 1, sizeof(output) - 1, file)] = '\0';
    fclose(file);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define RUN(...) run((const char *const[]){"runner-test", __VA_ARGS__, NULL})

static const char *plugin(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof(path), "%s/%s.so", PLUGIN_DIR, name);
    return path;
}

static void expect_output(const char *words)
{
    cr_assert_not_null(strstr(output, words), "expected \"%s\" in:\n%s", words, output);
}

static void expect_fault(const char *name, const char *words)
{
    cr_assert_eq(RUN(plugin(name)), 1, "%s passed:\n%s", name, output);
    expect_output(words);
}

Test(harness, the_example_plugin_passes)
{
    cr_assert_eq(RUN(plugin("scale_plugin"), "--payload", "{\"x\":[1,2.5],\"a\":2}", "--payload",
                     "{\"x\":[1e3]}", "--option", "b=1.5"),
                 0, "%s", output);
    expect_output("ok   run_batch: 64 rows");
    expect_output("ok   encode: 64 answers");
    expect_output("all checks passed");
}

Test(harness, a_plugin_without_faults_passes)
{
    cr_assert_eq(RUN(plugin("bad_nothing"), "--rows", "100"), 0, "%s", output);
    expect_output("ok   run_batch: 100 rows");
}

Test(harness, the_built_in_runners_pass)
{
    cr_assert_eq(RUN("noop", "--payload", "{\"sleep_ms\":2}", "--payload", "{}"), 0, "%s", output);
    cr_assert_eq(RUN("echo", "--payload", "{\"a\":[1,\"x\",null]}", "--payload", "1.50"), 0, "%s", output);
    cr_assert_eq(RUN("knn", "--option", "data=builtin:digits", "--option", "k_max=5", "--payload",
                     "{\"k\":5,\"vectors\":["
                     "[0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,0,5,8,0,0,9,8,"
                     "0,0,4,11,0,"
                     "1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,0,0,0],"
                     "[0,0,5,13,9,1,0,0,0,0,13,15,10,15,5,0,0,3,15,2,0,11,8,0,0,4,12,0,0,8,8,0,0,5,8,0,0,9,8,"
                     "0,0,4,11,0,"
                     "1,12,7,0,0,2,14,5,10,12,0,0,0,0,6,13,10,9,1,0.5]]}"),
                 0, "%s", output);
    expect_output("ok   run_batch: 64 rows");
}

Test(harness, faults_of_the_table_are_found)
{
    expect_fault("bad_abi", "FAIL table: speaks runner ABI 2, this program speaks 1");
    expect_fault("bad_function", "FAIL table: function encode is missing");
    expect_fault("empty_plugin", "FAIL table: does not export tg_runner_entry()");
    expect_fault("there_is_no_such_plugin", "FAIL table: cannot be loaded");
}

Test(harness, faults_of_decode_are_found)
{
    expect_fault("bad_neighbour", "FAIL decode: wrote outside its rows");
    expect_fault("bad_status", "FAIL decode: returned TG_INVALID without a message");
    expect_fault("bad_rows", "FAIL decode: claimed more rows than rows_per_task_max");
    expect_fault("bad_full", "FAIL decode: returned a status that decode may not return");
}

/* The sanitizers' allocators keep no count to go by. */
static bool allocations_are_counted(void)
{
    size_t before = mallinfo2().uordblks;
    char *volatile block = malloc(100000);
    bool counted = mallinfo2().uordblks > before;
    free(block);
    return counted;
}

Test(harness, a_leak_in_decode_is_found)
{
    if (!allocations_are_counted())
        cr_skip_test("the allocator keeps no count");
    expect_fault("bad_leak", "FAIL decode: allocates memory and keeps it");
}

Test(harness, faults_of_run_batch_are_found)
{
    expect_fault("bad_order", "FAIL run_batch: row");
    expect_fault("bad_output", "FAIL run_batch: ");
    expect_fault("bad_crash", "FAIL run_batch: ");
    expect_output("row by row: ");
}

Test(harness, faults_of_encode_are_found)
{
    expect_fault("bad_text", "FAIL encode: not one JSON value: {\"unfinished\":");
    expect_fault("bad_buffer", "FAIL encode: wrote past the end of the writer's buffer");
    expect_fault("bad_stale", "FAIL encode: the answer depends on what the rows held before");
}

Test(harness, a_refused_payload_that_was_given_is_a_failure)
{
    cr_assert_eq(RUN(plugin("scale_plugin"), "--payload", "{}"), 1);
    expect_output("FAIL decode: refused the payload {}: payload.x");
}

Test(harness, without_a_payload_that_fits_the_runs_are_skipped)
{
    cr_assert_eq(RUN(plugin("scale_plugin")), 0, "%s", output);
    expect_output("skip run_batch and encode");
}

Test(harness, wrong_options_of_the_runner_are_told)
{
    cr_assert_eq(RUN("knn", "--option", "dta=x"), 1);
    expect_output("FAIL create: runner.test.dta: a knn runner has no such option; did you mean \"data\"?");
}

Test(harness, a_wrong_command_line_is_told_apart)
{
    cr_assert_eq(run((const char *const[]){"runner-test", NULL}), 2);
    expect_output("usage: runner-test PLUGIN.so");
    cr_assert_eq(RUN("noop", "--rows"), 2);
    cr_assert_eq(RUN("noop", "--rows", "0"), 2);
    cr_assert_eq(RUN("noop", "--rows", "12x"), 2);
    cr_assert_eq(RUN("noop", "--option", "novalue"), 2);
    cr_assert_eq(RUN("noop", "--what", "1"), 2);
}

Test(harness, help_is_no_error)
{
    cr_assert_eq(RUN("--help"), 0);
    expect_output("--payload  a payload the runner takes");
}

Test(plugin, loads_as_an_instance_and_answers_to_its_own_type)
{
    const struct tg_host host = {.abi = TG_RUNNER_ABI, .size = sizeof(host)};
    struct tg_problems problems = {.len = 0};
    struct tg_instance *in = NULL;
    struct tg_setting settings[] = {{"plugin", plugin("scale_plugin"), NULL}, {"type", "scale", NULL}};
    struct tg_instance_options o = {.name = "s", .settings = settings, .setting_count = 2};
    cr_assert_eq(tg_instance_create(&host, &o, &in, &problems), 0, "%s", problems.text);
    cr_assert_str_eq(in->intent, "urn:iicp:intent:x.taskgate:scale:v1");
    tg_instance_destroy(in);
    settings[1].value = "knn";
    cr_assert_neq(tg_instance_create(&host, &o, &in, &problems), 0);
    cr_assert_not_null(strstr(problems.text, "is a \"scale\" runner"), "%s", problems.text);
}

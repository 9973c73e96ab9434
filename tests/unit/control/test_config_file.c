/* SPDX-License-Identifier: Apache-2.0 */
/* The file: TOML, its mistakes with their lines, and the runner tables. */
#include "config_support.h"

#include <errno.h>

TestSuite(config_file, .fini = unload);

static void assert_reported(const char *text, const char *end)
{
    cr_assert_eq(load_file(text, NULL), -EINVAL, "accepted: %s", text);
    cr_assert_eq(report.count, 1, "%zu lines for: %s", report.count, text);
    cr_assert(reported(end), "got: %s", report.lines[0]);
    unload();
}

Test(config_file, every_type_is_taken_from_toml)
{
    cr_assert_eq(load_file("server.listen = ['a:1', '[::1]:2']\nserver.io = 'epoll'\n[lane]\nrows = 0x40\n"
                           "bytes = '1MiB'\n[metrics]\nenabled = false\n[node]\nid = 'n\xc3\xb6 \"1\"'\n",
                           NULL),
                 0);
    cr_assert_eq(cfg.server_listen.count, 2);
    cr_assert_str_eq(cfg.server_listen.address[1], "[::1]:2");
    cr_assert_eq(cfg.server_io, CONFIG_IO_EPOLL);
    cr_assert_eq(cfg.lane_rows, 64);
    cr_assert_eq(cfg.lane_bytes, 1048576);
    cr_assert_not(cfg.metrics_enabled);
    cr_assert_str_eq(cfg.node_id, "n\xc3\xb6 \"1\"");
}

Test(config_file, another_toml_type_is_taken_where_its_text_parses)
{
    cr_assert_eq(
        load_file("server.workers = '4'\niicp.idempotency = 'on'\nserver.listen = 'a:1, b:2'\n", NULL), 0);
    cr_assert_eq(cfg.server_workers, 4);
    cr_assert(cfg.iicp_idempotency);
    cr_assert_eq(cfg.server_listen.count, 2);
}

Test(config_file, texts_in_arrays_may_have_commas)
{
    cr_assert_eq(load_file("[executor]\ngpu = ['device=0,graphs=0', 'device=1']\ndevice_settings = 'cpu;fail=1'\n", NULL), 0);
    cr_assert_eq(cfg.executor_gpu.count, 2);
    cr_assert_str_eq(cfg.executor_gpu.address[0], "device=0,graphs=0");
    cr_assert_str_eq(cfg.executor_gpu.address[1], "device=1");
    cr_assert_eq(cfg.executor_device_settings.count, 1);
    cr_assert_str_eq(cfg.executor_device_settings.address[0], "cpu;fail=1");
}

Test(config_file, wrong_toml_types_are_refused)
{
    assert_reported("[server]\nworkers = 1.5\n", ":2: server.workers: \"1.5\" is not a number");
    assert_reported("[server]\nworkers = true\n", ":2: server.workers: \"true\" is not a number");
    assert_reported("[server]\nworkers = [1]\n", ":2: server.workers: takes one value, not an array");
    assert_reported("[node]\nid = 5\n", ":2: node.id: takes a string: put it in quotes");
    assert_reported("[log.level]\nx = 1\n", ":1: log.level: takes one value, not a table");
    assert_reported("server = 1\n", ":1: server: is a section, not a key");
    assert_reported("[server]\nlisten = [['a:1']]\n",
                    ":2: server.listen: holds a table or an array inside an array");
    assert_reported("[executor]\ngpu = ['a|b']\n", ":2: executor.gpu: holds a \"|\" inside an array item");
    assert_reported("[server]\nlisten = ['a:1,b:2']\n", ":2: server.listen: holds a comma inside an array item");
    assert_reported("[node]\nid = \"a\\u0000b\"\n", ":2: node.id: holds a NUL character");
    assert_reported("[node]\nid = \"a\\nb\"\n", ":2: node.id: \"a?b\" holds a control character");
}

Test(config_file, syntax_errors_name_line_and_column)
{
    cr_assert_eq(load_file("[server]\nworkers = = 3\n", NULL), -EINVAL);
    cr_assert_eq(report.count, 1);
    cr_assert_not_null(strstr(report.lines[0], ":2:11: "), "%s", report.lines[0]);
    unload();
    cr_assert_eq(load_file("[server]\nworkers = 1\nworkers = 2\n", NULL), -EINVAL);
    cr_assert_not_null(strstr(report.lines[0], ":3:"), "%s", report.lines[0]);
    unload();
    cr_assert_eq(load_file("[node]\nid = \"\xff\"\n", NULL), -EINVAL);
    cr_assert_not_null(strstr(report.lines[0], ":2:"), "%s", report.lines[0]);
}

static char *nested_header(int parts)
{
    return PRINTED({
        fputs("\n[a", out);
        for (int i = 1; i < parts; i++)
            fputs(".a", out);
        fputs("]\nx = 1\n", out);
    });
}

Test(config_file, deep_nesting_is_refused_without_deep_recursion)
{
    char *deep = nested_header(1001), *too_deep = nested_header(100000);
    assert_reported(deep, ":2: unknown section \"a\"");
    assert_reported(too_deep, ":2: more than 1000 dots in one line");
    free(deep);
    free(too_deep);
    char *brackets = PRINTED(for (int i = 0; i < 100000; i++) fputc(i == 0 ? 'a' : i == 1 ? '=' : '[', out));
    cr_assert_eq(load_file(brackets, NULL), -EINVAL);
    cr_assert_not_null(strstr(report.lines[0], ":1:"));
    free(brackets);
}

Test(config_file, unknown_names_are_errors_with_the_nearest_match)
{
    assert_reported("\n\n[limits]\nhedders = 5\n",
                    ":4: unknown key \"limits.hedders\" (did you mean \"limits.headers\"?)");
    assert_reported("[sevrer]\na = 1\nb.c = 2\n",
                    ":1: unknown section \"sevrer\" (did you mean \"server\"?)");
    assert_reported("[server]\n[server.tls]\nx=1\n", ":2: unknown section \"server.tls\"");
    assert_reported("zzz = 1\n", ":1: unknown key \"zzz\"");
    assert_reported("[empty_and_unknown]\n", ":1: unknown section \"empty_and_unknown\"");
    assert_reported("\"a\\nb\" = 1\n", ":1: unknown key \"\"a\\u000Ab\"\"");
}

Test(config_file, a_wrong_choice_names_the_nearest)
{
    assert_reported(
        "[log]\nlevel = 'wran'\n",
        ":2: log.level: \"wran\" is not one of debug, info, warn, error (did you mean \"warn\"?)");
}

Test(config_file, embedded_runners_serve_when_the_file_has_none)
{
    cr_assert_eq(load_file("[server]\nworkers = 1\n", NULL), 0);
    cr_assert_eq(cfg.runner_count, 3);
    cr_assert_str_eq(cfg.runners[0].name, "echo");
    cr_assert_str_eq(cfg.runners[1].name, "noop");
    struct config_runner *digits = config_runner_find(&cfg, "digits");
    cr_assert_str_eq(config_option_find(digits, "type")->value, "knn");
    cr_assert_str_eq(config_option_find(digits, "data")->value, "builtin:digits");
}

Test(config_file, runners_keep_file_order_lines_and_text)
{
    cr_assert_eq(
        load_file("[runner.zebra]\ntype = 'knn'\nk = 3\nratio = 0.5\nexact = true\nnames = ['a', 'b']\n"
                  "\n[runner.ant]\ntype = 'echo'\n",
                  NULL),
        0);
    cr_assert_eq(cfg.runner_count, 2);
    cr_assert_str_eq(cfg.runners[0].name, "zebra");
    cr_assert_eq(cfg.runners[0].line, 1);
    cr_assert_eq(cfg.runners[1].line, 8);
    static const char *const values[] = {"knn", "3", "0.5", "true", "a,b"};
    cr_assert_eq(cfg.runners[0].option_count, TG_ARRAY_SIZE(values));
    for (size_t i = 0; i < TG_ARRAY_SIZE(values); i++) {
        cr_assert_str_eq(cfg.runners[0].options[i].value, values[i]);
        cr_assert_eq(cfg.runners[0].options[i].line, (int)i + 2);
        cr_assert_eq(cfg.runners[0].options[i].source, CONFIG_FROM_FILE);
    }
}

Test(config_file, flags_change_runner_options_and_make_new_runners)
{
    cr_assert_eq(
        load(FLAGS("--runner.digits.k=5", "--runner.digits.type", "other", "--runner.new.type=noop"), NULL),
        0);
    struct config_runner *digits = config_runner_find(&cfg, "digits");
    cr_assert_str_eq(config_option_find(digits, "k")->value, "5");
    cr_assert_str_eq(config_option_find(digits, "type")->value, "other");
    cr_assert_eq(config_option_find(digits, "type")->source, CONFIG_FROM_FLAG);
    cr_assert_eq(cfg.runner_count, 4);
    cr_assert_str_eq(cfg.runners[3].name, "new");
}

Test(config_file, looking_an_option_up_marks_it_used)
{
    cr_assert_eq(load(NULL, NULL), 0);
    struct config_runner *echo = config_runner_find(&cfg, "echo");
    cr_assert_not(echo->options[0].used);
    cr_assert_null(config_option_find(echo, "absent"));
    cr_assert_eq(config_option_find(echo, "type"), &echo->options[0]);
    cr_assert(echo->options[0].used);
}

Test(config_file, odd_runner_tables_are_refused)
{
    assert_reported("runner = 1\n", ":1: runner: a runner is a table: write [runner.NAME]");
    assert_reported("[runner]\necho = 1\n", ":2: runner.echo: a runner is a table: write [runner.NAME]");
    assert_reported("[[runner.echo]]\ntype = 'echo'\n",
                    ":1: runner.echo: holds a table or an array inside an array");
    assert_reported("[runner.echo.deep]\na = 1\nb = 2\n",
                    ":1: runner.echo.deep: is a table, but a runner's options are plain values");
    assert_reported("[runner.\"a b\"]\ntype = 'echo'\n",
                    ":1: runner.\"a b\": a runner's name is at most 64 letters, digits, '-' and '_'");
    assert_reported("[runner.echo]\n\"a b\" = 1\n",
                    ":2: runner.echo.\"a b\": an option's name is made of letters, digits, '-' and '_'");
    assert_reported("[runner.echo]\nlist = ['a,b']\n",
                    ":2: runner.echo.list: holds a comma inside an array item");
    assert_reported("[runner.echo]\nx = \"\\u0007\"\n", ":2: runner.echo.x: \"?\" holds a control character");
}

Test(config_file, a_runner_problem_says_where_the_option_was_given)
{
    cr_assert_eq(load_file("[runner.echo]\ntype = 'echo'\n", NULL), 0);
    struct config_runner *echo = config_runner_find(&cfg, "echo");
    cr_assert_eq(config_runner_set(echo, "size", "x", CONFIG_FROM_FLAG, 0), 0);
    config_report_option(&report, &cfg, echo, &echo->options[0], "%s", "is odd");
    config_report_option(&report, &cfg, echo, config_option_find(echo, "size"), "is odd");
    config_report_option(&report, &cfg, echo, NULL, "needs \"data\"");
    cr_assert(reported(":2: runner.echo.type: is odd"));
    cr_assert_str_eq(report.lines[1], "--runner.echo.size: is odd");
    cr_assert(reported(":1: runner.echo: needs \"data\""));
    unload();
    cr_assert_eq(load(NULL, NULL), 0);
    config_report_option(&report, &cfg, &cfg.runners[0], &cfg.runners[0].options[0], "is odd");
    cr_assert_str_eq(report.lines[0], "runner.echo.type: is odd");
}

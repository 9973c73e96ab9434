/* SPDX-License-Identifier: Apache-2.0 */
/* Where values come from, and what is said about those that cannot be taken. */
#include "config_support.h"

#include <errno.h>

TestSuite(config_load, .fini = unload);

Test(config_load, without_any_source_every_row_has_its_default)
{
    cr_assert_eq(load(NULL, NULL), 0);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        struct config_text text;
        config_value_format(&cfg, &config_rows[i], &text);
        cr_assert_str_eq(text.text, config_rows[i].def, "%s", config_rows[i].key);
        cr_assert_eq(cfg.source[i], CONFIG_FROM_DEFAULT);
    }
}

Test(config_load, defaults_reach_the_fields)
{
    cr_assert_eq(load(NULL, NULL), 0);
    cr_assert_eq(cfg.server_listen.count, 1);
    cr_assert_str_eq(cfg.server_listen.address[0], "127.0.0.1:9484");
    cr_assert_eq(cfg.limits_body_bytes, 2097152);
    cr_assert_eq(cfg.iicp_task_rate_limit, 120);
    cr_assert_eq(cfg.log_level, CONFIG_LOG_INFO);
    cr_assert_eq(cfg.executor_power, CONFIG_POWER_ADAPTIVE);
    cr_assert(cfg.metrics_enabled);
    cr_assert_not(cfg.iicp_idempotency);
    cr_assert_str_eq(cfg.node_region, "unknown");
}

Test(config_load, flag_wins_over_environment_over_file_over_default)
{
    char path[64], text[] = "[timeout]\nheader_ms = 101\nbody_ms = 102\nidle_ms = 103\n";
    file_write(path, text, strlen(text));
    int rc = load(FLAGS("--config", path, "--timeout.header_ms=301"),
                  ENV("TASKGATE_TIMEOUT_HEADER_MS=201", "TASKGATE_TIMEOUT_BODY_MS=202"));
    unlink(path);
    cr_assert_eq(rc, 0);
    cr_assert_eq(cfg.timeout_header_ms, 301);
    cr_assert_eq(cfg.timeout_body_ms, 202);
    cr_assert_eq(cfg.timeout_idle_ms, 103);
    cr_assert_eq(cfg.timeout_write_ms, 30000);
    cr_assert_eq(cfg.source[CONFIG_ROW_timeout_header_ms], CONFIG_FROM_FLAG);
    cr_assert_eq(cfg.source[CONFIG_ROW_timeout_body_ms], CONFIG_FROM_ENV);
    cr_assert_eq(cfg.source[CONFIG_ROW_timeout_idle_ms], CONFIG_FROM_FILE);
    cr_assert_eq(cfg.line[CONFIG_ROW_timeout_idle_ms], 4);
}

Test(config_load, file_is_found_through_the_environment_and_the_flag_wins)
{
    char a[64], b[64], variable[96];
    file_write(a, "[node]\nid='a'\n", 14);
    file_write(b, "[node]\nid='b'\n", 14);
    snprintf(variable, sizeof variable, "TASKGATE_CONFIG=%s", a);
    cr_expect_eq(load(NULL, ENV(variable)), 0);
    cr_expect_str_eq(cfg.node_id, "a");
    cr_expect_str_eq(cfg.path, a);
    unload();
    cr_expect_eq(load(FLAGS("--config", b), ENV(variable)), 0);
    cr_expect_str_eq(cfg.node_id, "b");
    unlink(a);
    unlink(b);
}

Test(config_load, alias_variable_counts_unless_the_main_one_is_set)
{
    cr_assert_eq(load(NULL, ENV("IICP_TASK_RATE_LIMIT=7")), 0);
    cr_assert_eq(cfg.iicp_task_rate_limit, 7);
    unload();
    cr_assert_eq(load(NULL, ENV("IICP_TASK_RATE_LIMIT=7", "TASKGATE_IICP_TASK_RATE_LIMIT=8")), 0);
    cr_assert_eq(cfg.iicp_task_rate_limit, 8);
}

Test(config_load, empty_variable_counts_as_unset)
{
    cr_assert_eq(load(NULL, ENV("TASKGATE_SERVER_WORKERS=", "TASKGATE_CONFIG=")), 0);
    cr_assert_eq(cfg.server_workers, 0);
    cr_assert_null(cfg.path);
}

Test(config_load, flags_take_values_both_ways_and_the_last_wins)
{
    cr_assert_eq(
        load(FLAGS("--server.workers", "3", "--node.id=--x", "--log.level=warn", "--log.level=debug"), NULL),
        0);
    cr_assert_eq(cfg.server_workers, 3);
    cr_assert_str_eq(cfg.node_id, "--x");
    cr_assert_eq(cfg.log_level, CONFIG_LOG_DEBUG);
}

Test(config_load, boolean_flag_may_stand_alone)
{
    cr_assert_eq(
        load(FLAGS("--iicp.idempotency", "--metrics.enabled", "off", "--iicp.allow_tool_execution"), NULL),
        0);
    cr_assert(cfg.iicp_idempotency);
    cr_assert_not(cfg.metrics_enabled);
    cr_assert(cfg.iicp_allow_tool_execution);
}

Test(config_load, words_ask_for_something_else_than_serving)
{
    static const struct {
        const char *flag;
        enum config_ask ask;
    } cases[] = {
        {"--help", CONFIG_ASK_HELP},          {"-h", CONFIG_ASK_HELP},
        {"--version", CONFIG_ASK_VERSION},    {"--check-config", CONFIG_ASK_CHECK},
        {"--print-config", CONFIG_ASK_PRINT}, {"--print-example", CONFIG_ASK_EXAMPLE},
        {"--print-docs", CONFIG_ASK_DOCS},    {"--log.level=info", CONFIG_ASK_NOTHING},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(cases); i++) {
        cr_assert_eq(load(FLAGS(cases[i].flag), NULL), 0);
        cr_assert_eq(cfg.ask, cases[i].ask, "%s", cases[i].flag);
        unload();
    }
}

Test(config_load, help_answers_beside_anything_that_is_wrong)
{
    cr_assert_eq(load(FLAGS("--check-config", "--help", "--nonsense", "--config=/nonexistent"), NULL), 0);
    cr_assert_eq(cfg.ask, CONFIG_ASK_HELP);
}

Test(config_load, all_problems_of_all_sources_are_reported_at_once)
{
    char path[64], text[] = "[server]\nlisen = 'x'\nworkers = 65\n";
    file_write(path, text, strlen(text));
    int rc =
        load(FLAGS("--config", path, "--limits.body_bytes=abc", "word"), ENV("TASKGATE_SERVER_WORKERS=99"));
    unlink(path);
    cr_assert_eq(rc, -EINVAL);
    cr_assert_eq(report.count, 5);
    cr_assert(reported(":2: unknown key \"server.lisen\" (did you mean \"server.listen\"?)"));
    cr_assert(reported(":3: server.workers: 65 is outside 0..64"));
    cr_assert_str_eq(report.lines[2], "TASKGATE_SERVER_WORKERS: 99 is outside 0..64");
    cr_assert_str_eq(report.lines[3], "--limits.body_bytes: \"abc\" is not a number");
    cr_assert_str_eq(report.lines[4], "\"word\" is not a flag");
    cr_assert_eq(strncmp(report.lines[0], path, strlen(path)), 0);
}

Test(config_load, file_that_cannot_be_read_is_named_with_the_reason)
{
    cr_assert_eq(load(FLAGS("--config=/nonexistent/t.toml"), NULL), -EINVAL);
    cr_assert_eq(report.count, 1);
    cr_assert_str_eq(report.lines[0], "/nonexistent/t.toml: cannot open: No such file or directory");
    unload();
    cr_assert_eq(load(FLAGS("--config=/"), NULL), -EINVAL);
    cr_assert_str_eq(report.lines[0], "/: cannot read: Is a directory");
    unload();
    cr_assert_eq(load(FLAGS("--config=/dev/zero"), NULL), -EINVAL);
    cr_assert_str_eq(report.lines[0], "/dev/zero: larger than 1048576 bytes");
}

Test(config_load, a_problem_is_one_printable_line_whatever_the_path)
{
    cr_assert_eq(load(FLAGS("--config=/nonexistent/a\n\x1b[31mb"), NULL), -EINVAL);
    cr_assert_str_eq(report.lines[0], "/nonexistent/a??[31mb: cannot open: No such file or directory");
}

Test(config_load, flag_mistakes_are_named)
{
    cr_assert_eq(load(FLAGS("--server.lisen=x", "--print-confg", "--zzzzzzzz", "--config", "--server.workers",
                            "--version=2", "--runner.echo", "--runner.echo.a b=1"),
                      NULL),
                 -EINVAL);
    cr_assert_eq(report.count, 8);
    cr_assert(reported("unknown flag \"--server.lisen\" (did you mean \"--server.listen\"?)"));
    cr_assert(reported("unknown flag \"--print-confg\" (did you mean \"--print-config\"?)"));
    cr_assert(reported("unknown flag \"--zzzzzzzz\""));
    cr_assert(reported("--config: wants a path"));
    cr_assert(reported("--server.workers: wants a value"));
    cr_assert(reported("--version: takes no value"));
    cr_assert(reported("unknown flag \"--runner.echo\""));
    cr_assert(reported("unknown flag \"--runner.echo.a b\""));
}

Test(config_load, misspelt_variable_is_an_error_but_a_foreign_one_is_not)
{
    cr_assert_eq(load(NULL, ENV("TASKGATE_SERVICE_HOST=10.0.0.1", "TASKGATE_PORT_9484_TCP_ADDR=10.0.0.1",
                                "TASKGATE_NODE_PORT=1", "OTHER=1")),
                 0);
    unload();
    cr_assert_eq(load(NULL, ENV("TASKGATE_SERVER_WORKRES=2")), -EINVAL);
    cr_assert_str_eq(report.lines[0],
                     "TASKGATE_SERVER_WORKRES: unknown variable (did you mean TASKGATE_SERVER_WORKERS?)");
}

Test(config_load, rows_that_contradict_each_other_blame_the_one_that_was_set)
{
    cr_assert_eq(load(FLAGS("--task.timeout_max_ms=1000"), NULL), -EINVAL);
    cr_assert_str_eq(report.lines[0],
                     "--task.timeout_max_ms: task.timeout_ms (5000) is above task.timeout_max_ms (1000)");
    unload();
    cr_assert_eq(load(NULL, ENV("TASKGATE_LIMITS_HEAD_BYTES=2048")), -EINVAL);
    cr_assert_str_eq(
        report.lines[0],
        "TASKGATE_LIMITS_HEAD_BYTES: limits.target_bytes (8192) is above limits.head_bytes (2048)");
}

Test(config_load, a_flood_of_problems_is_cut_and_counted)
{
    char *text = PRINTED({
        for (int i = 0; i < 150; i++)
            fprintf(out, "nonsense%d = 1\n", i);
    });
    cr_assert_eq(load_file(text, NULL), -EINVAL);
    free(text);
    cr_assert_eq(report.count, CONFIG_REPORT_MAX);
    cr_assert_eq(report.more, 50);
    char *printed = PRINTED(config_report_print(&report, out));
    cr_assert_not_null(strstr(printed, "\n50 more problems\n"));
    free(printed);
}

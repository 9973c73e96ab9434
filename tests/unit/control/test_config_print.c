/* SPDX-License-Identifier: Apache-2.0 */
/* What is printed: TOML that loads back, help, and the two committed pages made from the table. */
#include "config_support.h"

TestSuite(config_print, .fini = unload);

static struct config again;

static void ignore_change(void *arg, const struct config_change *change)
{
    cr_log_warn("%s: %s became %s", change->key, change->now, change->next);
}

static void assert_loads_back(void)
{
    char path[64], flag[80];
    struct config_report problems;
    char *text = PRINTED(config_print(out, &cfg));
    file_write(path, text, strlen(text));
    snprintf(flag, sizeof flag, "--config=%s", path);
    int rc = config_load(&again, 1, FLAGS(flag), NULL, &problems);
    unlink(path);
    config_report_print(&problems, stderr);
    cr_assert_eq(rc, 0, "%s", text);
    cr_assert_eq(config_diff(&cfg, &again, ignore_change, NULL), 0);
    free(text);
    config_finish(&again);
    config_report_finish(&problems);
}

Test(config_print, defaults_load_back)
{
    cr_assert_eq(load(NULL, NULL), 0);
    assert_loads_back();
}

Test(config_print, unusual_values_load_back)
{
    cr_assert_eq(
        load(FLAGS("--server.listen=a:1,[::1]:2", "--node.id=q\"uo\\te # \xe2\x82\xac", "--node.model=\"\"\"",
                   "--lane.bytes=17179869184", "--limits.requests_per_connection=4294967295",
                   "--executor.power=low-latency", "--metrics.enabled=off", "--runner.echo.n=007",
                   "--runner.echo.m=-5", "--runner.echo.big=99999999999999999999", "--runner.echo.t=true",
                   "--runner.echo.f=1.50", "--runner.echo.e=", "--runner.echo.q=a\"b\\c",
                   "--runner.echo.l=a,b", "--runner.x-1_Y.type=z"),
             NULL),
        0);
    assert_loads_back();
}

Test(config_print, every_row_at_its_bounds_loads_back)
{
    cr_assert_eq(load(NULL, NULL), 0);
    for (int high = 0; high < 2; high++) {
        for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
            const struct config_row *row = &config_rows[i];
            uint64_t bound = high ? row->max : row->min;
            if (row->type == CONFIG_TYPE_U64)
                *(uint64_t *)((char *)&cfg + row->offset) = bound;
            else if (row->type != CONFIG_TYPE_STR && row->type != CONFIG_TYPE_LISTEN &&
                     row->type != CONFIG_TYPE_NETS && row->type != CONFIG_TYPE_LIST && row->type != CONFIG_TYPE_BOOL)
                *(uint32_t *)((char *)&cfg + row->offset) = (uint32_t)bound;
        }
        if (high)
            cfg.limits_target_bytes = cfg.limits_head_bytes;
        cfg.tls_client_auth = CONFIG_TLS_CLIENT_NONE; /* the others need a file */
        assert_loads_back();
    }
}

Test(config_print, what_is_no_default_names_its_source)
{
    cr_assert_eq(
        load_file("[server]\n\nworkers = 3\n[runner.echo]\ntype = 'echo'\n", ENV("TASKGATE_LOG_LEVEL=warn")),
        0);
    char *text = PRINTED(config_print(out, &cfg));
    char expected[128];
    snprintf(expected, sizeof expected, "\nworkers = 3  # from %s:3\n", cfg.path);
    cr_assert_not_null(strstr(text, expected));
    cr_assert_not_null(strstr(text, "\nlevel = \"warn\"  # from the environment\n"));
    cr_assert_not_null(strstr(text, "\nbacklog = 4096\n"));
    snprintf(expected, sizeof expected, "\ntype = \"echo\"  # from %s:5\n", cfg.path);
    cr_assert_not_null(strstr(text, expected));
    free(text);
}

Test(config_print, a_line_break_in_the_path_stays_inside_the_comment)
{
    const char *path = "/tmp/tg-config-a\nb";
    FILE *out = fopen(path, "w");
    fputs("[node]\nid = 'x'\n", out);
    fclose(out);
    int rc = load(FLAGS("--config", path), NULL);
    unlink(path);
    cr_assert_eq(rc, 0);
    assert_loads_back();
}

Test(config_print, help_has_every_row_once_with_its_default)
{
    char *text = PRINTED(config_help(out));
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        char flag[80];
        snprintf(flag, sizeof flag, "\n  --%s=", config_rows[i].key);
        const char *found = strstr(text, flag);
        cr_assert_not_null(found, "%s", flag);
        cr_assert_null(strstr(found + 1, flag), "%s twice", flag);
    }
    cr_assert_not_null(strstr(text, "--server.workers=0..64\n"));
    cr_assert_not_null(strstr(text, "request body; over it the answer is 413 [2MiB]\n"));
    free(text);
}

Test(config_print, example_file_loads_and_changes_nothing)
{
    char *text = file_read(TG_SOURCE_ROOT "/docs/taskgate.example.toml");
    cr_assert_eq(load_file(text, NULL), 0);
    cr_assert_eq(config_init(&again), 0);
    cr_assert_eq(config_diff(&cfg, &again, ignore_change, NULL), 0);
    config_finish(&again);
    free(text);
}

/* `#key = value` becomes `key = value`; prose has a blank after its #. */
static void uncomment(char *text)
{
    for (char *c = text; (c = strchr(c, '#')) != NULL; c++)
        if ((c == text || c[-1] == '\n') && c[1] != ' ')
            *c = ' ';
}

Test(config_print, example_file_with_every_key_taken_in_sets_every_row_to_its_default)
{
    char *text = file_read(TG_SOURCE_ROOT "/docs/taskgate.example.toml");
    uncomment(text);
    cr_assert_eq(load_file(text, NULL), 0);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        cr_assert_eq(cfg.source[i], CONFIG_FROM_FILE, "%s is missing", config_rows[i].key);
    cr_assert_eq(config_init(&again), 0);
    cr_assert_eq(config_diff(&cfg, &again, ignore_change, NULL), 0);
    config_finish(&again);
    free(text);
}

Test(config_print, committed_example_is_up_to_date)
{
    char *committed = file_read(TG_SOURCE_ROOT "/docs/taskgate.example.toml");
    char *fresh = PRINTED(config_print_example(out));
    cr_assert_str_eq(committed, fresh, "run: taskgate --print-example > docs/taskgate.example.toml");
    free(committed);
    free(fresh);
}

Test(config_print, committed_reference_is_up_to_date)
{
    char *committed = file_read(TG_SOURCE_ROOT "/docs/configuration.md");
    char *fresh = PRINTED(config_print_markdown(out));
    cr_assert_str_eq(committed, fresh, "run: taskgate --print-docs > docs/configuration.md");
    free(committed);
    free(fresh);
}

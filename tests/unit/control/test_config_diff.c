/* SPDX-License-Identifier: Apache-2.0 */
/* A reload: what differs, what may take effect, and what stays until a restart. */
#include "config_support.h"

static struct config next;
static struct config_report next_report;

static struct {
    size_t count, reloadable;
    char log[1024];
} seen;

static void note_change(void *arg, const struct config_change *change)
{
    size_t used = strlen(seen.log);
    cr_assert_eq(arg, &seen);
    seen.count++;
    seen.reloadable += change->reloadable;
    snprintf(seen.log + used, sizeof seen.log - used, "%s: %s -> %s\n", change->key, change->now,
             change->next);
}

static void load_next(char **flags, int count)
{
    cr_assert_eq(config_load(&next, count, flags, NULL, &next_report), 0);
}

static void set_up(void)
{
    cr_assert_eq(load(NULL, NULL), 0);
}

static void tear_down(void)
{
    unload();
    config_finish(&next);
    config_report_finish(&next_report);
}

TestSuite(config_diff, .init = set_up, .fini = tear_down);

Test(config_diff, equal_configurations_have_no_difference)
{
    load_next(NULL, 0);
    cr_assert_eq(config_diff(&cfg, &next, note_change, &seen), 0);
    cr_assert_eq(seen.count, 0);
}

Test(config_diff, changes_come_in_table_order_and_say_whether_they_reload)
{
    load_next(
        FLAGS("--log.level=debug", "--server.listen=a:1,b:2", "--node.region=eu", "--limits.body_bytes=1MiB"),
        4);
    cr_assert_eq(config_diff(&cfg, &next, note_change, &seen), 4);
    cr_assert_eq(seen.reloadable, 1);
    cr_assert_str_eq(seen.log, "server.listen: 127.0.0.1:9484 -> a:1,b:2\n"
                               "node.region: unknown -> eu\n"
                               "limits.body_bytes: 2097152 -> 1048576\n"
                               "log.level: info -> debug\n");
}

static bool is_list(const struct config_row *row)
{
    return row->type == CONFIG_TYPE_NETS || row->type == CONFIG_TYPE_LIST || row->type == CONFIG_TYPE_LISTEN;
}

Test(config_diff, every_row_that_differs_is_seen)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        void *field = (char *)&next + row->offset;
        load_next(NULL, 0);
        seen.count = 0;
        if (row->type == CONFIG_TYPE_STR)
            ((*(char **)field) = realloc(*(char **)field, 2))[0] = 'x', (*(char **)field)[1] = 0;
        else if (is_list(row) && ((struct config_listen *)field)->count == 0)
            *(struct config_listen *)field = (struct config_listen){1, {strdup("::1")}};
        else if (is_list(row))
            ((struct config_listen *)field)->address[0][0] = '9';
        else if (row->type == CONFIG_TYPE_BOOL)
            *(bool *)field = !*(bool *)field;
        else if (row->type == CONFIG_TYPE_ENUM)
            *(uint32_t *)field = !*(uint32_t *)field;
        else
            *(unsigned char *)field ^= 1;
        cr_assert_eq(config_diff(&cfg, &next, note_change, &seen), 1, "%s", row->key);
        config_finish(&next);
    }
}

Test(config_diff, runners_differ_by_option_and_by_presence)
{
    load_next(FLAGS("--runner.echo.size=1", "--runner.new.type=noop"), 2);
    cr_assert_eq(config_diff(&cfg, &next, note_change, &seen), 2);
    cr_assert_eq(seen.reloadable, 0);
    cr_assert_str_eq(seen.log, "runner.echo: type=echo -> type=echo size=1\nrunner.new:  -> type=noop\n");
    memset(&seen, 0, sizeof seen);
    cr_assert_eq(config_diff(&next, &cfg, note_change, &seen), 2);
    cr_assert_str_eq(seen.log, "runner.echo: type=echo size=1 -> type=echo\nrunner.new: type=noop -> \n");
}

Test(config_diff, keeping_leaves_only_reloadable_changes)
{
    load_next(FLAGS("--log.level=debug", "--server.listen=a:1", "--server.workers=4", "--node.region=eu",
                    "--timeout.idle_ms=5000", "--runner.new.type=noop"),
              6);
    cr_assert_eq(config_keep(&next, &cfg), 0);
    cr_assert_eq(config_diff(&cfg, &next, note_change, &seen), 2);
    cr_assert_eq(seen.reloadable, 2);
    cr_assert_eq(next.server_workers, 0);
    cr_assert_str_eq(next.server_listen.address[0], "127.0.0.1:9484");
    cr_assert_neq(next.node_region, cfg.node_region, "the copy owns its strings");
    cr_assert_eq(next.source[CONFIG_ROW_server_workers], CONFIG_FROM_DEFAULT);
    cr_assert_eq(next.source[CONFIG_ROW_log_level], CONFIG_FROM_FLAG);
    cr_assert_eq(next.runner_count, 3);
}

Test(config_diff, rows_checked_against_each_other_reload_together)
{
    cr_assert_eq(config_row_find("task.timeout_ms")->reloadable,
                 config_row_find("task.timeout_max_ms")->reloadable);
    cr_assert_eq(config_row_find("limits.target_bytes")->reloadable,
                 config_row_find("limits.head_bytes")->reloadable);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Two configurations side by side, for a reload: what changed, and what has to wait for a restart. */
#include "config_row.h"

#include <errno.h>
#include <string.h>

static size_t diff_rows(const struct config *now, const struct config *next, config_change_fn changed,
                        void *arg)
{
    size_t count = 0;
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        struct config_text a, b;
        config_value_format(now, row, &a);
        config_value_format(next, row, &b);
        if (strcmp(a.text, b.text) == 0)
            continue;
        changed(arg, &(struct config_change){row->key, a.text, b.text, row->reloadable});
        count++;
    }
    return count;
}

/* `type=knn data=builtin:digits`, cut where the buffer ends; "" for a runner that is not there. */
static void describe(const struct config_runner *runner, struct config_text *out)
{
    size_t used = 0;
    out->text[0] = 0;
    for (size_t i = 0; runner && i < runner->option_count; i++) {
        const struct config_option *option = &runner->options[i];
        snprintf(out->text + used, sizeof out->text - used, "%s%s=%s", i ? " " : "", option->key,
                 option->value);
        used += strlen(out->text + used);
    }
}

static void runner_changed(const char *name, const struct config_runner *now,
                           const struct config_runner *next, config_change_fn changed, void *arg)
{
    char key[sizeof "runner." + CONFIG_RUNNER_NAME_MAX];
    struct config_text a, b;
    snprintf(key, sizeof key, "runner.%s", name);
    describe(now, &a);
    describe(next, &b);
    changed(arg, &(struct config_change){key, a.text, b.text, false});
}

static size_t diff_runners(const struct config *now, const struct config *next, config_change_fn changed,
                           void *arg)
{
    size_t count = 0;
    for (size_t i = 0; i < now->runner_count; i++) {
        const struct config_runner *runner = &now->runners[i];
        const struct config_runner *other = config_runner_find(next, runner->name);
        if (other && config_runner_equal(runner, other))
            continue;
        runner_changed(runner->name, runner, other, changed, arg);
        count++;
    }
    for (size_t i = 0; i < next->runner_count; i++) {
        if (config_runner_find(now, next->runners[i].name))
            continue;
        runner_changed(next->runners[i].name, NULL, &next->runners[i], changed, arg);
        count++;
    }
    return count;
}

size_t config_diff(const struct config *now, const struct config *next, config_change_fn changed, void *arg)
{
    size_t rows = diff_rows(now, next, changed, arg);
    return rows + diff_runners(now, next, changed, arg);
}

/* By way of text, which every type survives unchanged. */
static int keep_row(struct config *next, const struct config *now, size_t i)
{
    struct config_text text, why;
    config_value_format(now, &config_rows[i], &text);
    int rc = config_value_parse(next, &config_rows[i], text.text, &why);
    TG_ASSERT(rc != -EINVAL);
    next->source[i] = now->source[i];
    next->line[i] = now->line[i];
    return rc;
}

int config_keep(struct config *next, const struct config *now)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        if (!config_rows[i].reloadable && keep_row(next, now, i) != 0)
            return -ENOMEM;
    return config_runners_copy(next, now);
}

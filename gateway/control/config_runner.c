/* SPDX-License-Identifier: Apache-2.0 */
/* The [runner.NAME] tables, kept as text for the loader that knows what each runner takes. */
#include "config_row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BARE "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

bool config_runner_split(const char *key, char name[static CONFIG_RUNNER_NAME_MAX + 1], const char **option)
{
    if (strncmp(key, "runner.", 7) != 0)
        return false;
    const char *start = key + 7;
    size_t len = strspn(start, BARE);
    if (len == 0 || len > CONFIG_RUNNER_NAME_MAX || (start[len] != '.' && start[len] != 0))
        return false;
    memcpy(name, start, len);
    name[len] = 0;
    *option = start[len] ? start + len + 1 : "";
    size_t option_len = strspn(*option, BARE);
    return start[len] == 0 || (option_len > 0 && (*option)[option_len] == 0);
}

struct config_runner *config_runner_find(const struct config *cfg, const char *name)
{
    for (size_t i = 0; i < cfg->runner_count; i++)
        if (strcmp(cfg->runners[i].name, name) == 0)
            return &cfg->runners[i];
    return NULL;
}

struct config_runner *config_runner_add(struct config *cfg, const char *name, int line)
{
    struct config_runner *found = config_runner_find(cfg, name);
    if (found)
        return found;
    struct config_runner *more = realloc(cfg->runners, (cfg->runner_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    cfg->runners = more;
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    struct config_runner *runner = &cfg->runners[cfg->runner_count++];
    *runner = (struct config_runner){.name = copy, .line = line};
    return runner;
}

static struct config_option *option_of(const struct config_runner *runner, const char *key)
{
    for (size_t i = 0; i < runner->option_count; i++)
        if (strcmp(runner->options[i].key, key) == 0)
            return &runner->options[i];
    return NULL;
}

struct config_option *config_option_find(struct config_runner *runner, const char *key)
{
    struct config_option *option = option_of(runner, key);
    if (option)
        option->used = true;
    return option;
}

static struct config_option *option_add(struct config_runner *runner, const char *key)
{
    struct config_option *more = realloc(runner->options, (runner->option_count + 1) * sizeof *more);
    if (!more)
        return NULL;
    runner->options = more;
    char *copy = strdup(key);
    if (!copy)
        return NULL;
    struct config_option *option = &more[runner->option_count++];
    *option = (struct config_option){.key = copy};
    return option;
}

static void option_free(struct config_option *option)
{
    free(option->key);
    free(option->value);
}

int config_runner_set(struct config_runner *runner, const char *key, const char *value,
                      enum config_source source, int line)
{
    char *copy = strdup(value);
    if (!copy)
        return -ENOMEM;
    struct config_option *option = option_of(runner, key);
    if (!option)
        option = option_add(runner, key);
    if (!option) {
        free(copy);
        return -ENOMEM;
    }
    free(option->value);
    option->value = copy;
    option->source = source;
    option->line = line;
    return 0;
}

/* Order matters nowhere but in print, so options are compared by key. */
bool config_runner_equal(const struct config_runner *a, const struct config_runner *b)
{
    if (a->option_count != b->option_count)
        return false;
    for (size_t i = 0; i < a->option_count; i++) {
        const struct config_option *other = option_of(b, a->options[i].key);
        if (!other || strcmp(other->value, a->options[i].value) != 0)
            return false;
    }
    return true;
}

static int runner_copy(struct config *to, const struct config_runner *from)
{
    struct config_runner *runner = config_runner_add(to, from->name, from->line);
    if (!runner)
        return -ENOMEM;
    for (size_t i = 0; i < from->option_count; i++) {
        const struct config_option *option = &from->options[i];
        if (config_runner_set(runner, option->key, option->value, option->source, option->line) != 0)
            return -ENOMEM;
    }
    return 0;
}

int config_runners_copy(struct config *to, const struct config *from)
{
    config_runners_free(to);
    for (size_t i = 0; i < from->runner_count; i++)
        if (runner_copy(to, &from->runners[i]) != 0)
            return -ENOMEM;
    return 0;
}

void config_runners_free(struct config *cfg)
{
    for (size_t i = 0; i < cfg->runner_count; i++) {
        struct config_runner *runner = &cfg->runners[i];
        for (size_t j = 0; j < runner->option_count; j++)
            option_free(&runner->options[j]);
        free(runner->options);
        free(runner->name);
    }
    free(cfg->runners);
    cfg->runners = NULL;
    cfg->runner_count = 0;
}

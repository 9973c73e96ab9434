/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: --section.key=value, --runner.NAME.option=value, and the words that ask for something
 * else. */
#include "config_row.h"
#include "gateway/base/nearest.h"

#include <string.h>

#define KEY_MAX 160

/* The words, and what each asks for. --config is the one that takes a value. */
static const struct {
    const char *name;
    enum config_ask ask;
} words[] = {
    {"help", CONFIG_ASK_HELP},
    {"version", CONFIG_ASK_VERSION},
    {"check-config", CONFIG_ASK_CHECK},
    {"print-config", CONFIG_ASK_PRINT},
    {"print-example", CONFIG_ASK_EXAMPLE},
    {"print-docs", CONFIG_ASK_DOCS},
    {"config", CONFIG_ASK_NOTHING},
};

struct flags {
    int argc, next;
    char **argv;
};

struct flag {
    const char *arg;
    char key[KEY_MAX]; /* without the dashes; empty when this is no flag */
    const char *value; /* NULL when none was given */
};

static int word_find(const char *key)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(words); i++)
        if (strcmp(words[i].name, key) == 0)
            return (int)i;
    return -1;
}

static bool is_config_path(const char *key)
{
    return strcmp(key, "config") == 0;
}

/* Dotted keys and --config take the next argument, unless that is plainly another flag. A bool may go without
 * one, so it takes only what reads as its value. */
static bool takes_next(const struct flag *flag, const char *next)
{
    const struct config_row *row = config_row_find(flag->key);
    if (!next || strncmp(next, "--", 2) == 0)
        return false;
    if (row && row->type == CONFIG_TYPE_BOOL) {
        struct config scratch = {0};
        struct config_text why;
        return config_value_parse(&scratch, row, next, &why) == 0;
    }
    return strchr(flag->key, '.') || is_config_path(flag->key);
}

static bool flags_next(struct flags *flags, struct flag *flag)
{
    if (flags->next >= flags->argc)
        return false;
    *flag = (struct flag){.arg = flags->argv[flags->next++]};
    if (strcmp(flag->arg, "-h") == 0) {
        strcpy(flag->key, "help");
        return true;
    }
    if (strncmp(flag->arg, "--", 2) != 0)
        return true;
    const char *name = flag->arg + 2;
    size_t len = strcspn(name, "=");
    snprintf(flag->key, sizeof flag->key, "%.*s", (int)TG_MIN(len, sizeof flag->key), name);
    const char *next = flags->next < flags->argc ? flags->argv[flags->next] : NULL;
    if (name[len] == '=')
        flag->value = name + len + 1;
    else if (takes_next(flag, next))
        flag->value = flags->argv[flags->next++];
    return true;
}

enum config_ask config_flags_ask(int argc, char **argv, const char **path)
{
    struct flags flags = {argc, 0, argv};
    struct flag flag;
    enum config_ask ask = CONFIG_ASK_NOTHING;
    *path = NULL;
    while (flags_next(&flags, &flag)) {
        int word = word_find(flag.key);
        if (is_config_path(flag.key) && flag.value)
            *path = flag.value;
        else if (word >= 0 && !flag.value &&
                 (ask == CONFIG_ASK_NOTHING || words[word].ask == CONFIG_ASK_HELP))
            ask = words[word].ask;
    }
    return ask;
}

static void unknown_flag(struct config_report *report, const struct flag *flag, const char *name)
{
    char quoted[CONFIG_QUOTE_MAX];
    const char *candidates[CONFIG_ROW_COUNT + TG_ARRAY_SIZE(words)];
    memcpy(candidates, config_keys, sizeof config_keys);
    for (size_t i = 0; i < TG_ARRAY_SIZE(words); i++)
        candidates[CONFIG_ROW_COUNT + i] = words[i].name;
    const char *nearest = nearest_word(flag->key, candidates, TG_ARRAY_SIZE(candidates));
    if (!flag->key[0])
        config_report_add(report, "%s is not a flag", config_quote(flag->arg, quoted));
    else if (nearest)
        config_report_add(report, "unknown flag %s (did you mean \"--%s\"?)", config_quote(name, quoted),
                          nearest);
    else
        config_report_add(report, "unknown flag %s", config_quote(name, quoted));
}

static void check_word(struct config_report *report, const struct flag *flag)
{
    if (is_config_path(flag->key) && !flag->value)
        config_report_add(report, "--config: wants a path");
    else if (!is_config_path(flag->key) && flag->value)
        config_report_add(report, "--%s: takes no value", flag->key);
}

static void load_flag(struct config_loader *loader, const struct flag *flag)
{
    char name[KEY_MAX + 2], runner[CONFIG_RUNNER_NAME_MAX + 1];
    const char *option = "";
    const struct config_row *row = config_row_find(flag->key);
    bool is_option = config_runner_split(flag->key, runner, &option) && *option;
    const char *value = !flag->value && row && row->type == CONFIG_TYPE_BOOL ? "true" : flag->value;
    snprintf(name, sizeof name, "--%s", flag->key);
    struct config_place place = {CONFIG_FROM_FLAG, name, 0};
    if (word_find(flag->key) >= 0)
        check_word(loader->report, flag);
    else if (!row && !is_option)
        unknown_flag(loader->report, flag, name);
    else if (!value)
        config_report_add(loader->report, "%s: wants a value", name);
    else if (row)
        config_loader_set(loader, row, value, &place);
    else
        config_loader_set_option(loader, flag->key, value, &place);
}

void config_flags_load(struct config_loader *loader, int argc, char **argv)
{
    struct flags flags = {argc, 0, argv};
    struct flag flag;
    while (flags_next(&flags, &flag))
        load_flag(loader, &flag);
}

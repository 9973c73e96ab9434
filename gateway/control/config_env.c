/* SPDX-License-Identifier: Apache-2.0 */
/* The environment: TASKGATE_SECTION_KEY for every row, and the aliases that some rows have. */
#include "config_row.h"
#include "gateway/base/nearest.h"

#include <string.h>

#define PREFIX "TASKGATE_"
#define PATH_NAME "CONFIG"

/* Unset and empty are the same: container files often pass a variable on without a value. */
static const char *value_of(char **envp, const char *name)
{
    size_t len = strlen(name);
    for (char **entry = envp; entry && *entry && len > 0; entry++)
        if (strncmp(*entry, name, len) == 0 && (*entry)[len] == '=' && (*entry)[len + 1])
            return *entry + len + 1;
    return NULL;
}

const char *config_env_path(char **envp)
{
    return value_of(envp, PREFIX PATH_NAME);
}

static void load_row(struct config_loader *loader, char **envp, const struct config_row *row)
{
    char name[CONFIG_ENV_NAME_MAX];
    config_row_env(row, name);
    struct config_place place = {CONFIG_FROM_ENV, name, 0};
    const char *value = value_of(envp, name);
    if (!value) {
        place.name = row->env_alias;
        value = value_of(envp, row->env_alias);
    }
    if (value)
        config_loader_set(loader, row, value, &place);
}

/* Clusters put variables of their own under our prefix (TASKGATE_SERVICE_HOST), so only those that look like
 * a slip of the pen are refused. */
static void check_name(struct config_report *report, const char *entry, const char *const *known, size_t n)
{
    char name[CONFIG_ENV_NAME_MAX];
    size_t len = strcspn(entry, "=");
    if (strncmp(entry, PREFIX, strlen(PREFIX)) != 0 || len >= sizeof name)
        return;
    memcpy(name, entry, len);
    name[len] = 0;
    const char *nearest = nearest_word(name + strlen(PREFIX), known, n);
    if (nearest && strcmp(nearest, name + strlen(PREFIX)) != 0)
        config_report_add(report, "%s: unknown variable (did you mean " PREFIX "%s?)", name, nearest);
}

static void check_names(struct config_report *report, char **envp)
{
    char names[CONFIG_ROW_COUNT][CONFIG_ENV_NAME_MAX];
    const char *known[CONFIG_ROW_COUNT + 1];
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        config_row_env(&config_rows[i], names[i]);
        known[i] = names[i] + strlen(PREFIX);
    }
    known[CONFIG_ROW_COUNT] = PATH_NAME;
    for (char **entry = envp; entry && *entry; entry++)
        check_name(report, *entry, known, CONFIG_ROW_COUNT + 1);
}

void config_env_load(struct config_loader *loader, char **envp)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        load_row(loader, envp, &config_rows[i]);
    check_names(loader->report, envp);
}

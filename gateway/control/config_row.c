/* SPDX-License-Identifier: Apache-2.0 */
/* config.def expanded into the tables that the other files walk. */
#include "config_row.h"

#include <ctype.h>
#include <string.h>

static const char *const IO_words[] = {CONFIG_IO_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const EXECUTOR_words[] = {CONFIG_EXECUTOR_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const DEVICE_words[] = {CONFIG_DEVICE_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const WITHDRAWN_words[] = {CONFIG_WITHDRAWN_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const POWER_words[] = {CONFIG_POWER_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const TOPOLOGY_words[] = {CONFIG_TOPOLOGY_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const LOG_LEVEL_words[] = {CONFIG_LOG_LEVEL_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const LOG_FORMAT_words[] = {CONFIG_LOG_FORMAT_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const TLS_CLIENT_words[] = {CONFIG_TLS_CLIENT_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const TLS_VERSION_words[] = {CONFIG_TLS_VERSION_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const BACKEND_words[] = {CONFIG_BACKEND_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const AUTH_words[] = {CONFIG_AUTH_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const CX_words[] = {CONFIG_CX_CHOICES(CONFIG_CHOICE_WORD)};
static const char *const PRICING_words[] = {CONFIG_PRICING_CHOICES(CONFIG_CHOICE_WORD)};

enum { RESTART = false, RELOAD = true };

const struct config_row config_rows[CONFIG_ROW_COUNT] = {
#define CONFIG(field, key, type, def, min, max, when, env, doc)                                              \
    {key, CONFIG_TYPE_##type, def, min, max, NULL, when, env, doc, offsetof(struct config, field)},
#define CONFIG_ENUM(field, key, choices, def, when, env, doc)                                                \
    {key,                                                                                                    \
     CONFIG_TYPE_ENUM,                                                                                       \
     def,                                                                                                    \
     0,                                                                                                      \
     TG_ARRAY_SIZE(choices##_words) - 1,                                                                     \
     choices##_words,                                                                                        \
     when,                                                                                                   \
     env,                                                                                                    \
     doc,                                                                                                    \
     offsetof(struct config, field)},
#include "config.def"
};

const char *const config_keys[CONFIG_ROW_COUNT] = {
#define CONFIG(field, key, type, def, min, max, when, env, doc) key,
#define CONFIG_ENUM(field, key, choices, def, when, env, doc) key,
#include "config.def"
};

const struct config_section config_sections[] = {
#define CONFIG_SECTION(name, doc) {#name, doc},
#include "config.def"
};

const size_t config_section_count = TG_ARRAY_SIZE(config_sections);

char config_row_separator(const struct config_row *row)
{
    switch (row->type) {
    case CONFIG_TYPE_LISTEN:
    case CONFIG_TYPE_NETS:
        return ',';
    case CONFIG_TYPE_LIST: /* of lines with commas and semicolons of their own */
        return '|';
    default:
        return '\0';
    }
}

const struct config_row *config_row_find(const char *key)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        if (strcmp(config_rows[i].key, key) == 0)
            return &config_rows[i];
    return NULL;
}

bool config_row_in(const struct config_row *row, const char *section)
{
    size_t len = strlen(section);
    return strncmp(row->key, section, len) == 0 && row->key[len] == '.';
}

void config_row_env(const struct config_row *row, char name[static CONFIG_ENV_NAME_MAX])
{
    snprintf(name, CONFIG_ENV_NAME_MAX, "TASKGATE_%s", row->key);
    for (char *c = name; *c; c++)
        *c = *c == '.' ? '_' : (char)toupper((unsigned char)*c);
}

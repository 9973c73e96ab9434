/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the flags of `taskgate devnet`: every wrong one is told, with what was meant. */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/base/nearest.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_BOOL };

struct row {
    const char *name, *shown, *help;
    enum kind kind;
    size_t offset;
    uint32_t least, most;
};

static const struct row rows[] = {
#define OPTION(ident, name, type, fallback, least, most, help)                                               \
    {name, #fallback, help, KIND_##type, offsetof(struct devnet_options, ident), least, most},
#include "options.def"
#undef OPTION
};

static const char *const names[] = {
#define OPTION(ident, name, type, fallback, least, most, help) name,
#include "options.def"
#undef OPTION
};

static bool wrong(const char *what, const char *word, const char *hint)
{
    fprintf(stderr, "taskgate devnet: %s \"%s\"%s (see --help)\n", what, word, hint);
    return false;
}

static bool unknown(const char *name, size_t len)
{
    char word[64], hint[64] = "";
    snprintf(word, sizeof(word), "%.*s", (int)TG_MIN(len, sizeof(word) - 1), name);
    const char *near = nearest_word(word, names, TG_ARRAY_SIZE(names));
    if (near)
        snprintf(hint, sizeof(hint), ", did you mean --%s?", near);
    return wrong("unknown flag", word, hint);
}

static const struct row *find(const char *name, size_t len)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            return &rows[i];
    return NULL;
}

/* ---- values -------------------------------------------------------------------------------------------- */

static bool set_number(const struct row *row, uint32_t *out, const char *value)
{
    char *end = NULL, hint[96];
    unsigned long n = value[0] >= '0' && value[0] <= '9' ? strtoul(value, &end, 10) : 0;
    if (end && *end == '\0' && n >= row->least && n <= row->most) {
        *out = (uint32_t)n;
        return true;
    }
    snprintf(hint, sizeof(hint), ": --%s wants a number from %u to %u", row->name, row->least, row->most);
    return wrong("bad value", value, hint);
}

static bool set_bool(const struct row *row, bool *out, const char *value)
{
    *out = strcmp(value, "true") == 0;
    return *out || strcmp(value, "false") == 0 || wrong("bad value", value, ": true or false is wanted");
}

static bool set(struct devnet_options *o, const struct row *row, const char *value)
{
    void *member = (char *)o + row->offset;
    if (row->kind == KIND_NUMBER)
        return set_number(row, member, value);
    if (row->kind == KIND_BOOL)
        return set_bool(row, member, value);
    *(const char **)member = value;
    return true;
}

/* ---- flags --------------------------------------------------------------------------------------------- */

/* One flag and its value: "--name=value", "--name value", or "--name" alone for what is true or false. */
static bool take(struct devnet_options *o, int argc, char **argv, int *at)
{
    const char *word = argv[(*at)++];
    if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0)
        return o->help = true;
    if (strncmp(word, "--", 2) != 0)
        return wrong("unexpected argument", word, "");
    size_t len = strcspn(word + 2, "=");
    const struct row *row = find(word + 2, len);
    if (!row)
        return unknown(word + 2, len);
    if (word[2 + len] == '=')
        return set(o, row, word + 3 + len);
    if (row->kind == KIND_BOOL)
        return set(o, row, "true");
    return *at < argc ? set(o, row, argv[(*at)++]) : wrong("no value for", word, "");
}

static bool set_log(const struct devnet_options *o)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    static const enum tg_log_level values[] = {TG_LOG_DEBUG, TG_LOG_INFO, TG_LOG_WARN, TG_LOG_ERROR};
    for (size_t i = 0; i < TG_ARRAY_SIZE(levels); i++)
        if (strcmp(o->log, levels[i]) == 0) {
            log_configure(values[i], LOG_TEXT);
            return true;
        }
    return wrong("bad value", o->log, ": --log wants debug, info, warn or error");
}

bool devnet_options_read(struct devnet_options *o, int argc, char **argv)
{
    *o = (struct devnet_options){
#define OPTION(ident, name, type, fallback, least, most, help) .ident = fallback,
#include "options.def"
#undef OPTION
    };
    for (int at = 1; at < argc;)
        if (!take(o, argc, argv, &at))
            return false;
    o->stale_ms = o->stale_ms ? o->stale_ms : 3 * o->heartbeat_ms;
    o->register_limit = o->register_limit ? o->register_limit : o->strict ? 60 : 60000;
    return set_log(o);
}

void devnet_options_help(void)
{
    puts("usage: taskgate devnet [flags]\n"
         "\n"
         "A local directory for provider nodes, with switchable faults. State is in memory and ends with the "
         "process.\n"
         "Prints its address, serves until SIGTERM or SIGINT. GET / shows what it knows.\n");
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        printf("  --%-15s %s [%s]\n", rows[i].name, rows[i].help, rows[i].shown);
}

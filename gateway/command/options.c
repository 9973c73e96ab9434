/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a command's flags: the first wrong one ends it, with what was meant. */
#include "options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/nearest.h"

#define ROWS_MAX 64

struct reader {
    const struct options_spec *spec;
    struct options *out;
    int argc, next;
    char **argv;
};

static bool wrong(const struct reader *r, const char *what, const char *word, const char *hint)
{
    fprintf(stderr, "taskgate %s: %s \"%s\"%s (see --help)\n", r->spec->command, what, word, hint);
    return false;
}

static bool unknown(const struct reader *r, const char *name)
{
    const char *names[ROWS_MAX];
    char hint[96] = "";
    size_t n = TG_MIN(r->spec->row_count, (size_t)ROWS_MAX);
    for (size_t i = 0; i < n; i++)
        names[i] = r->spec->rows[i].name;
    const char *near = nearest_word(name, names, n);
    if (near)
        snprintf(hint, sizeof(hint), ", did you mean --%s?", near);
    return wrong(r, "unknown flag", name, hint);
}

/* ---- values ------------------------------------------------------------------------------------------ */

static bool set_number(const struct reader *r, const struct option_row *row, void *member, const char *value)
{
    char *end = NULL, hint[128];
    double v = strtod(value, &end);
    bool fine = end != value && *end == '\0' && v >= row->least && v <= row->most;
    if (row->kind == OPTION_NUMBER)
        fine = fine && v == floor(v) && strspn(value, "0123456789") == strlen(value);
    snprintf(hint, sizeof(hint), ": --%s wants a number from %g to %g", row->name, row->least, row->most);
    if (!fine)
        return wrong(r, "bad value", value, hint);
    if (row->kind == OPTION_NUMBER)
        *(uint32_t *)member = (uint32_t)v;
    else
        *(double *)member = v;
    return true;
}

static bool set_bool(const struct reader *r, bool *member, const char *value)
{
    *member = strcmp(value, "true") == 0;
    return *member || strcmp(value, "false") == 0 ||
           wrong(r, "bad value", value, ": true or false is wanted");
}

static bool set(const struct reader *r, const struct option_row *row, const char *value)
{
    void *member = (char *)r->out + row->offset;
    switch (row->kind) {
    case OPTION_TEXT:
        *(const char **)member = value;
        return true;
    case OPTION_BOOL:
        return set_bool(r, member, value);
    default:
        return set_number(r, row, member, value);
    }
}

/* ---- flags ------------------------------------------------------------------------------------------- */

static const struct option_row *find(const struct options_spec *spec, const char *name, size_t len)
{
    for (size_t i = 0; i < spec->row_count; i++)
        if (strlen(spec->rows[i].name) == len && memcmp(spec->rows[i].name, name, len) == 0)
            return &spec->rows[i];
    return NULL;
}

static bool keep(struct reader *r, char *word)
{
    if (r->out->config_argc == OPTIONS_CONFIG_MAX)
        return wrong(r, "too many flags at", word, "");
    r->out->config_argv[r->out->config_argc++] = word;
    return true;
}

/* The configuration's own reader has the last word about it. */
static bool keep_for_config(struct reader *r, char *word)
{
    char *next = r->next < r->argc ? r->argv[r->next] : NULL;
    if (!keep(r, word))
        return false;
    if (strchr(word, '=') || !next || strncmp(next, "--", 2) == 0)
        return true;
    r->next++;
    return keep(r, next);
}

static bool is_config(const char *name, size_t len)
{
    return memchr(name, '.', len) || (len == 6 && memcmp(name, "config", 6) == 0);
}

static bool take_flag(struct reader *r, char *word)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    const struct option_row *row = find(r->spec, name, len);
    if (!row && !r->spec->no_config && is_config(name, len))
        return keep_for_config(r, word);
    if (!row)
        return unknown(r, name);
    if (name[len] == '=')
        return set(r, row, name + len + 1);
    if (row->kind == OPTION_BOOL)
        return set(r, row, "true");
    if (r->next == r->argc)
        return wrong(r, "a value is missing after", word, "");
    return set(r, row, r->argv[r->next++]);
}

static bool take_word(struct reader *r, const char *word)
{
    if (r->out->word_count == r->spec->words_max)
        return wrong(r, "unexpected argument", word, "");
    r->out->words[r->out->word_count++] = word;
    return true;
}

/* ---- help -------------------------------------------------------------------------------------------- */

static void help(const struct options_spec *spec)
{
    printf("usage: taskgate %s %s\n\n%s\n", spec->command, spec->arguments, spec->about);
    if (spec->row_count)
        putchar('\n');
    for (size_t i = 0; i < spec->row_count; i++) {
        const struct option_row *row = &spec->rows[i];
        char name[64];
        snprintf(name, sizeof(name), "--%s%s%s", row->name, row->shown[0] ? " " : "", row->shown);
        printf("  %-26s %s\n", name, row->help);
    }
    if (!spec->no_config)
        puts(
            "\nAlso --config FILE and any key of the configuration, as --section.key=value (taskgate help).");
}

enum options_result options_read(const struct options_spec *spec, int argc, char **argv, struct options *out)
{
    struct reader r = {.spec = spec, .out = out, .argc = argc, .next = 1, .argv = argv};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            help(spec);
            return OPTIONS_HELPED;
        }
    while (r.next < argc) {
        char *word = argv[r.next++];
        bool flag = strncmp(word, "--", 2) == 0 && word[2];
        if (!(flag ? take_flag(&r, word) : take_word(&r, word)))
            return OPTIONS_WRONG;
    }
    return OPTIONS_GO;
}

int options_config(const struct options *o, char **envp, struct config *config)
{
    struct config_report report = {0};
    int rc = config_load(config, o->config_argc, (char **)(uintptr_t)o->config_argv, envp, &report);
    config_report_print(&report, stderr);
    config_report_finish(&report);
    return rc == 0 ? 0 : EXIT_CONFIG;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting problems, one clear line each, and guessing what a misspelt word meant. */
#include "config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "config_row.h"

/* Paths and a parser's words may hold line breaks and escapes: a line stays one line on any terminal. */
__attribute__((format(printf, 3, 0))) static void
report_vadd(struct config_report *report, const char *prefix, const char *format, va_list args)
{
    char line[1024];
    int n = snprintf(line, sizeof line, "%s", prefix);
    size_t used = TG_MIN((size_t)n, sizeof line - 1);
    vsnprintf(line + used, sizeof line - used, format, args);
    size_t size = strlen(line) + 1;
    char *copy = report->count < CONFIG_REPORT_MAX ? malloc(size) : NULL;
    if (!copy) {
        report->more++;
        return;
    }
    for (size_t i = 0; i < size; i++)
        copy[i] = (unsigned char)line[i] < 0x20 && line[i] ? '?' : line[i];
    report->lines[report->count++] = copy;
}

void config_report_add(struct config_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    report_vadd(report, "", format, args);
    va_end(args);
}

static struct config_place option_place(const struct config *cfg, const struct config_runner *runner,
                                        const struct config_option *option)
{
    int line = option ? option->line : runner->line;
    enum config_source source = option ? option->source : line > 0 ? CONFIG_FROM_FILE : CONFIG_FROM_DEFAULT;
    return (struct config_place){source, source == CONFIG_FROM_FILE ? cfg->path : "", line};
}

void config_report_option(struct config_report *report, const struct config *cfg,
                          const struct config_runner *runner, const struct config_option *option,
                          const char *format, ...)
{
    char key[CONFIG_RUNNER_NAME_MAX + 256];
    snprintf(key, sizeof key, "runner.%s%s%s", runner->name, option ? "." : "", option ? option->key : "");
    char flag[sizeof key + 2];
    snprintf(flag, sizeof flag, "--%s", key);
    struct config_place place = option_place(cfg, runner, option);
    if (place.source == CONFIG_FROM_FLAG)
        place.name = flag;

    struct config_text prefix;
    config_place_print(&place, key, &prefix);
    va_list args;
    va_start(args, format);
    report_vadd(report, prefix.text, format, args);
    va_end(args);
}

void config_place_print(const struct config_place *place, const char *key, struct config_text *out)
{
    if (place->source == CONFIG_FROM_FILE)
        snprintf(out->text, sizeof out->text, "%s:%d: %s: ", place->name, place->line, key);
    else
        snprintf(out->text, sizeof out->text,
                 "%s: ", place->source == CONFIG_FROM_DEFAULT ? key : place->name);
}

void config_report_print(const struct config_report *report, FILE *out)
{
    for (size_t i = 0; i < report->count; i++)
        fprintf(out, "%s\n", report->lines[i]);
    if (report->more > 0)
        fprintf(out, "%zu more problems\n", report->more);
}

void config_report_finish(struct config_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        free(report->lines[i]);
    *report = (struct config_report){0};
}

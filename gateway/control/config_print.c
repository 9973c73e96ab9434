/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as TOML, and the table as --help, as an example file and as a page of documentation. */
#include "config_row.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *name_of(const struct config_row *row)
{
    return strchr(row->key, '.') + 1;
}

/* What may be stored has no control characters, so two escapes are all that TOML asks for. */
static void print_quoted(FILE *out, const char *text, size_t len)
{
    fputc('"', out);
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"' || text[i] == '\\')
            fputc('\\', out);
        fputc(text[i], out);
    }
    fputc('"', out);
}

static void print_list(FILE *out, const char *text, char separator)
{
    fputc('[', out);
    while (*text) {
        size_t len = strcspn(text, (char[]){separator, '\0'});
        print_quoted(out, text, len);
        text += len;
        if (*text) {
            fputs(", ", out);
            text++;
        }
    }
    fputc(']', out);
}

/* A row's value, given in text form, as TOML writes it. */
static void print_value(FILE *out, const struct config_row *row, const char *text)
{
    char separator = config_row_separator(row);
    if (separator)
        print_list(out, text, separator);
    else if (row->type == CONFIG_TYPE_STR || row->type == CONFIG_TYPE_ENUM || strstr(text, "iB"))
        print_quoted(out, text, strlen(text));
    else
        fputs(text, out);
}

/* Paths are not ours to choose, and a line break in one must not end the comment. */
static void print_clean(FILE *out, const char *text)
{
    for (; *text; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, out);
}

static void print_source(FILE *out, const struct config *cfg, enum config_source source, int line)
{
    if (source == CONFIG_FROM_FILE) {
        fputs("  # from ", out);
        print_clean(out, cfg->path);
        fprintf(out, ":%d", line);
    } else if (source == CONFIG_FROM_ENV) {
        fputs("  # from the environment", out);
    } else if (source == CONFIG_FROM_FLAG) {
        fputs("  # from a flag", out);
    }
    fputc('\n', out);
}

static void print_section(FILE *out, const struct config *cfg, const char *section)
{
    fprintf(out, "[%s]\n", section);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        struct config_text text;
        if (!config_row_in(&config_rows[i], section))
            continue;
        config_value_format(cfg, &config_rows[i], &text);
        fprintf(out, "%s = ", name_of(&config_rows[i]));
        print_value(out, &config_rows[i], text.text);
        print_source(out, cfg, cfg->source[i], cfg->line[i]);
    }
    fputc('\n', out);
}

/* Whether text reads as the same text when TOML takes it for an integer or a boolean. */
static bool stays_bare(const char *text)
{
    char back[24];
    errno = 0;
    long long value = strtoll(text, NULL, 10);
    snprintf(back, sizeof back, "%lld", value);
    bool number = errno == 0 && strcmp(back, text) == 0;
    return number || strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

static void print_runner(FILE *out, const struct config *cfg, const struct config_runner *runner)
{
    fprintf(out, "[runner.%s]\n", runner->name);
    for (size_t i = 0; i < runner->option_count; i++) {
        const struct config_option *option = &runner->options[i];
        fprintf(out, "%s = ", option->key);
        if (stays_bare(option->value))
            fputs(option->value, out);
        else
            print_quoted(out, option->value, strlen(option->value));
        print_source(out, cfg, option->source, option->line);
    }
    fputc('\n', out);
}

void config_print(FILE *out, const struct config *cfg)
{
    fputs("# The configuration in effect. What has no remark is a default.\n\n", out);
    for (size_t i = 0; i < config_section_count; i++)
        print_section(out, cfg, config_sections[i].name);
    for (size_t i = 0; i < cfg->runner_count; i++)
        print_runner(out, cfg, &cfg->runners[i]);
}

/* "2097152" as "2MiB" where nothing is lost; other text unchanged. */
static const char *short_bytes(const struct config_row *row, const char *text, char out[static 32])
{
    static const char *const units[] = {"", "KiB", "MiB", "GiB"};
    size_t unit = 0, len = strlen(row->key);
    uint64_t value = strtoull(text, NULL, 10);
    if (strcmp(row->key + len - 5, "bytes") != 0)
        return text;
    while (unit < 3 && value >= 1024 && value % 1024 == 0) {
        value /= 1024;
        unit++;
    }
    snprintf(out, 32, "%" PRIu64 "%s", value, units[unit]);
    return out;
}

static void print_bound(FILE *out, const struct config_row *row, uint64_t bound)
{
    char text[32], shorter[32];
    snprintf(text, sizeof text, "%" PRIu64, bound);
    fputs(short_bytes(row, text, shorter), out);
}

/* What may be written for this row: `auto|io_uring|epoll`, `0..64`, `true|false`. */
static void print_allowed(FILE *out, const struct config_row *row, const char *bar)
{
    if (row->type == CONFIG_TYPE_BOOL) {
        fprintf(out, "true%sfalse", bar);
    } else if (row->type == CONFIG_TYPE_ENUM) {
        for (size_t i = 0; i <= row->max; i++)
            fprintf(out, "%s%s", i ? bar : "", row->choices[i]);
    } else if (row->type == CONFIG_TYPE_STR) {
        fputs("text", out);
    } else if (row->type == CONFIG_TYPE_LISTEN) {
        fputs("addresses", out);
    } else if (row->type == CONFIG_TYPE_NETS) {
        fputs("prefixes", out);
    } else if (row->type == CONFIG_TYPE_LIST) {
        fputs("texts", out);
    } else {
        print_bound(out, row, row->min);
        fputs("..", out);
        print_bound(out, row, row->max);
    }
}

static void help_row(FILE *out, const struct config_row *row)
{
    char shorter[32];
    fprintf(out, "  --%s=", row->key);
    print_allowed(out, row, "|");
    fprintf(out, "\n      %s", row->doc);
    if (*row->def)
        fprintf(out, " [%s]", short_bytes(row, row->def, shorter));
    fputc('\n', out);
}

static void help_section(FILE *out, const struct config_section *section)
{
    fprintf(out, "\n%s: %s\n", section->name, section->doc);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        if (config_row_in(&config_rows[i], section->name))
            help_row(out, &config_rows[i]);
}

void config_help(FILE *out)
{
    fputs("  --config=PATH       read this file; without one the built-in configuration serves\n"
          "  --check-config      say what is wrong with the configuration, and end\n"
          "  --print-config      show the configuration in effect as TOML, and end\n"
          "  --print-example     show an example file with every key and its default, and end\n"
          "  --print-docs        show the reference of every key as Markdown, and end\n"
          "  --version, --help\n"
          "\n"
          "A value comes from a flag, else from the environment (TASKGATE_SERVER_WORKERS for\n"
          "server.workers), else from the file, else from the default in brackets.\n",
          out);
    for (size_t i = 0; i < config_section_count; i++)
        help_section(out, &config_sections[i]);
    fputs("\nrunner.NAME: one runner and its options\n"
          "  --runner.NAME.OPTION=VALUE\n"
          "      as under [runner.NAME] in a file; type chooses what runs\n",
          out);
}

static void example_section(FILE *out, const struct config_section *section)
{
    fprintf(out, "\n[%s]\n# %s\n", section->name, section->doc);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        const struct config_row *row = &config_rows[i];
        char shorter[32];
        if (!config_row_in(row, section->name))
            continue;
        fprintf(out, "\n# %s\n#%s = ", row->doc, name_of(row));
        print_value(out, row, short_bytes(row, row->def, shorter));
        fputc('\n', out);
    }
}

void config_print_example(FILE *out)
{
    fputs("# taskgate: every configuration key with its default. Take away the # before a key to change it.\n"
          "# Printed by `taskgate --print-example`; the reference is docs/configuration.md.\n",
          out);
    for (size_t i = 0; i < config_section_count; i++)
        example_section(out, &config_sections[i]);
    fputs("\n# Runners. A file that defines any replaces these three.\n\n", out);
    fputs(config_default_toml, out);
}

static void markdown_row(FILE *out, const struct config_row *row)
{
    char shorter[32];
    fprintf(out, "| `%s` | ", row->key);
    if (*row->def)
        fprintf(out, "`%s`", short_bytes(row, row->def, shorter));
    fputs(" | ", out);
    print_allowed(out, row, ", ");
    fprintf(out, " | %s | %s", row->reloadable ? "reload" : "restart", row->doc);
    if (*row->env_alias)
        fprintf(out, "; also `%s` in the environment", row->env_alias);
    fputs(" |\n", out);
}

static void markdown_section(FILE *out, const struct config_section *section)
{
    fprintf(out, "\n## %s: %s\n\n", section->name, section->doc);
    fputs("| Key | Default | Values | Takes effect on | Meaning |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        if (config_row_in(&config_rows[i], section->name))
            markdown_row(out, &config_rows[i]);
}

static const char markdown_head[] =
    "# Configuration\n"
    "\n"
    "Printed by `taskgate --print-docs` from `gateway/control/config.def`; a test compares the two.\n"
    "\n"
    "No file is needed: every key has a default, and three runners to try out are built in. Where a value\n"
    "comes from, the first that names it:\n"
    "\n"
    "1. a flag: `--server.workers=4` or `--server.workers 4` (the last one wins; a true/false key may stand "
    "alone);\n"
    "2. the environment: `TASKGATE_SERVER_WORKERS=4` (an empty variable counts as unset);\n"
    "3. the file named by `--config PATH`, else by `TASKGATE_CONFIG`: TOML 1.0, at most 1 MiB;\n"
    "4. the default below.\n"
    "\n"
    "Numbers may group digits with `_`. A key that ends in `bytes` also takes `KiB`, `MiB` and `GiB`, in a "
    "file as a\n"
    "string: `body_bytes = \"2MiB\"`. True and false may be written `1`/`0`, `on`/`off`, `yes`/`no` in "
    "flags, variables\n"
    "and strings. Lists are a TOML array or text separated by commas, those of texts by `|`.\n"
    "\n"
    "Every problem is reported in one go, each in one line that says where it stands, and the exit status is "
    "not 0.\n"
    "An unknown key or flag is a problem. An unknown `TASKGATE_` variable is one only if it looks like a "
    "misspelt\n"
    "known one, because clusters add variables of that prefix themselves.\n"
    "\n"
    "`taskgate --check-config` looks without serving. `taskgate --print-config` shows the values in effect, "
    "and where\n"
    "those that are no defaults come from. [taskgate.example.toml](taskgate.example.toml) is a file to start "
    "from.\n"
    "\n"
    "On SIGHUP the same sources are read again. Keys marked *reload* take effect at once, without dropping "
    "a\n"
    "connection; a change of a *restart* key is logged and waits. A file with problems changes nothing.\n";

static const char markdown_runners[] = "\n## runner.NAME: one runner and its options\n"
                                       "\n"
                                       "Each `[runner.NAME]` table makes one runner. `NAME` is made of "
                                       "letters, digits, `-` and `_`; `type` chooses what\n"
                                       "runs, and the other options depend on it: see "
                                       "[runners.md](runners.md). Options are plain values or arrays of\n"
                                       "them. `--runner.NAME.OPTION=VALUE` sets one over the file, or makes "
                                       "a new runner. Runners change on restart.\n"
                                       "\n"
                                       "A configuration file without any runner gets these:\n"
                                       "\n"
                                       "```toml\n";

void config_print_markdown(FILE *out)
{
    fputs(markdown_head, out);
    for (size_t i = 0; i < config_section_count; i++)
        markdown_section(out, &config_sections[i]);
    fputs(markdown_runners, out);
    fputs(config_default_toml, out);
    fputs("```\n", out);
}

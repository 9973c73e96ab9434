/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: read it whole, then hand each entry to the row or the runner it names. */
#include "config_row.h"
#include "gateway/base/nearest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_toml.h"

/* toml++ bounds how deep values nest but not how many parts a key has, and recurses over both. A key is
 * within one line, and no sensible line comes near this. */
#define LINE_DOTS_MAX 1000

/* Far more than any real file; a wrong path such as /dev/zero ends here. */
#define FILE_BYTES_MAX (1024 * 1024)

struct file {
    struct config_loader *loader;
    const char *path;
    enum config_source source; /* the embedded default is parsed like a file */
    char *bad_section;         /* already reported: what is in it need not be */
};

/* Fill the buffer. Returns the bytes read or a negative errno. */
static ssize_t read_whole(int fd, char *buf, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t n = read(fd, buf + used, size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        used += (size_t)n;
    }
    return (ssize_t)used;
}

static ssize_t read_file(struct config_loader *loader, const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        config_report_add(loader->report, "%s: cannot open: %s", path, strerror(errno));
        return -1;
    }
    ssize_t n = read_whole(fd, buf, size);
    close(fd);
    if (n < 0)
        config_report_add(loader->report, "%s: cannot read: %s", path, strerror((int)-n));
    if (n != (ssize_t)size)
        return n;
    config_report_add(loader->report, "%s: larger than %d bytes", path, FILE_BYTES_MAX);
    return -1;
}

static struct config_place place_of(const struct file *file, const struct config_toml_entry *entry)
{
    return (struct config_place){file->source, file->path,
                                 file->source == CONFIG_FROM_FILE ? entry->line : 0};
}

static void complain(const struct file *file, const struct config_toml_entry *entry, const char *what)
{
    config_report_add(file->loader->report, "%s:%d: %s: %s", file->path, entry->line, entry->key, what);
}

static void unknown(const struct file *file, const struct config_toml_entry *entry, const char *kind,
                    const char *nearest)
{
    struct config_report *report = file->loader->report;
    if (nearest)
        config_report_add(report, "%s:%d: unknown %s \"%s\" (did you mean \"%s\"?)", file->path, entry->line,
                          kind, entry->key, nearest);
    else
        config_report_add(report, "%s:%d: unknown %s \"%s\"", file->path, entry->line, kind, entry->key);
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < config_section_count; i++)
        if (strcmp(config_sections[i].name, name) == 0)
            return true;
    return false;
}

static const char *nearest_section(const char *name)
{
    const char *names[CONFIG_ROW_COUNT + 1];
    for (size_t i = 0; i < config_section_count; i++)
        names[i] = config_sections[i].name;
    names[config_section_count] = "runner";
    return nearest_word(name, names, config_section_count + 1);
}

static bool is_inside(const char *key, const char *table)
{
    size_t len = strlen(table);
    return strncmp(key, table, len) == 0 && key[len] == '.';
}

/* A table that should not be there is one mistake, however many keys it holds. */
static void skip_inside(struct file *file, const char *key)
{
    free(file->bad_section);
    file->bad_section = strdup(key);
    if (!file->bad_section)
        file->loader->out_of_memory = true;
}

static void visit_table(struct file *file, const struct config_toml_entry *entry)
{
    char name[CONFIG_RUNNER_NAME_MAX + 1];
    const char *option;
    if (is_section(entry->key) || strcmp(entry->key, "runner") == 0)
        return;
    bool is_runner = config_runner_split(entry->key, name, &option);
    if (is_runner && !*option) {
        struct config_place place = place_of(file, entry);
        if (!config_runner_add(file->loader->cfg, name, place.line))
            file->loader->out_of_memory = true;
        return;
    }
    if (is_runner)
        complain(file, entry, "is a table, but a runner's options are plain values");
    else if (is_inside(entry->key, "runner"))
        complain(file, entry, "a runner's name is at most 64 letters, digits, '-' and '_'");
    else if (config_row_find(entry->key))
        complain(file, entry, "takes one value, not a table");
    else
        unknown(file, entry, "section", nearest_section(entry->key));
    skip_inside(file, entry->key);
}

/* An array as one text. NULL, having said why, where that cannot be. */
static char *join_items(const struct file *file, const struct config_toml_entry *entry, char separator)
{
    char *text = strdup(entry->text);
    if (!text) {
        file->loader->out_of_memory = true;
        return NULL;
    }
    if (entry->type == CONFIG_TOML_ARRAY && strchr(text, separator)) {
        complain(file, entry,
                 separator == ',' ? "holds a comma inside an array item" : "holds a \"|\" inside an array item");
        free(text);
        return NULL;
    }
    for (char *p = text; *p && entry->type == CONFIG_TOML_ARRAY; p++)
        if (*p == CONFIG_TOML_JOINT)
            *p = separator;
    return text;
}

static void set_option(const struct file *file, const struct config_toml_entry *entry, const struct config_place *place)
{
    char *text = join_items(file, entry, ',');
    if (text)
        config_loader_set_option(file->loader, entry->key, text, place);
    free(text);
}

static void visit_option(const struct file *file, const struct config_toml_entry *entry)
{
    struct config_place place = place_of(file, entry);
    char name[CONFIG_RUNNER_NAME_MAX + 1];
    const char *option;
    if (!config_runner_split(entry->key, name, &option))
        complain(file, entry, "an option's name is made of letters, digits, '-' and '_'");
    else if (!*option)
        complain(file, entry, "a runner is a table: write [runner.NAME]");
    else
        set_option(file, entry, &place);
}

/* The wrong TOML type is fine where its text parses: `workers = "4"` says what it means. */
static const char *type_fault(const struct config_row *row, enum config_toml_type type)
{
    if (type == CONFIG_TOML_ARRAY && !config_row_separator(row))
        return "takes one value, not an array";
    if (row->type == CONFIG_TYPE_STR && type != CONFIG_TOML_STRING)
        return "takes a string: put it in quotes";
    return NULL;
}

static void set_row(const struct file *file, const struct config_row *row, const struct config_toml_entry *entry,
                    const struct config_place *place)
{
    char *text = join_items(file, entry, config_row_separator(row));
    if (text)
        config_loader_set(file->loader, row, text, place);
    free(text);
}

static void visit_row(const struct file *file, const struct config_toml_entry *entry)
{
    const struct config_row *row = config_row_find(entry->key);
    struct config_place place = place_of(file, entry);
    if (!row && is_section(entry->key)) {
        complain(file, entry, "is a section, not a key");
    } else if (!row) {
        unknown(file, entry, "key", nearest_word(entry->key, config_keys, CONFIG_ROW_COUNT));
    } else {
        const char *fault = type_fault(row, entry->type);
        if (fault)
            complain(file, entry, fault);
        else
            set_row(file, row, entry, &place);
    }
}

static void visit(void *arg, const struct config_toml_entry *entry)
{
    struct file *file = arg;
    if (file->bad_section && is_inside(entry->key, file->bad_section))
        return;
    if (entry->type == CONFIG_TOML_TABLE)
        visit_table(file, entry);
    else if (entry->type == CONFIG_TOML_BAD)
        config_report_add(file->loader->report, "%s:%d: %s: holds %s", file->path, entry->line, entry->key,
                          entry->text);
    else if (strcmp(entry->key, "runner") == 0)
        complain(file, entry, "a runner is a table: write [runner.NAME]");
    else if (is_inside(entry->key, "runner"))
        visit_option(file, entry);
    else
        visit_row(file, entry);
}

/* The first line with too many dots, 0 when there is none. */
static int overlong_line(const char *text, size_t len)
{
    int line = 1, dots = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\n') {
            line++;
            dots = 0;
        }
        if (text[i] == '.' && ++dots > LINE_DOTS_MAX)
            return line;
    }
    return 0;
}

static void parse(struct file *file, const char *text, size_t len)
{
    struct config_toml_error error = {0};
    int line = overlong_line(text, len);
    if (line > 0) {
        config_report_add(file->loader->report, "%s:%d: more than %d dots in one line", file->path, line,
                          LINE_DOTS_MAX);
        return;
    }
    int rc = config_toml_parse(text, len, visit, file, &error);
    if (rc == -ENOMEM)
        file->loader->out_of_memory = true;
    else if (rc != 0)
        config_report_add(file->loader->report, "%s:%d:%d: %s", file->path, error.line, error.column,
                          error.what);
    free(file->bad_section);
}

void config_file_load(struct config_loader *loader, const char *path)
{
    char *buf = malloc(FILE_BYTES_MAX + 1);
    if (!buf) {
        loader->out_of_memory = true;
        return;
    }
    ssize_t n = read_file(loader, path, buf, FILE_BYTES_MAX + 1);
    if (n >= 0)
        parse(&(struct file){loader, path, CONFIG_FROM_FILE, NULL}, buf, (size_t)n);
    free(buf);
}

void config_file_load_default(struct config_loader *loader)
{
    struct file file = {loader, "built-in configuration", CONFIG_FROM_DEFAULT, NULL};
    parse(&file, config_default_toml, strlen(config_default_toml));
}

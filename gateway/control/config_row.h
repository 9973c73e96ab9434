/* SPDX-License-Identifier: Apache-2.0 */
/* What the configuration's own files share: the expanded table, values as text, places, problems. */
#ifndef CONFIG_ROW_H
#define CONFIG_ROW_H

#include "config.h"

enum config_type {
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_U32,
    CONFIG_TYPE_POW2,
    CONFIG_TYPE_U64,
    CONFIG_TYPE_STR,
    CONFIG_TYPE_LISTEN,
    CONFIG_TYPE_NETS,
    CONFIG_TYPE_LIST,
    CONFIG_TYPE_ENUM,
};

struct config_row {
    const char *key;
    enum config_type type;
    const char *def;
    uint64_t min, max;
    const char *const *choices; /* of an ENUM, as many as max + 1 */
    bool reloadable;
    const char *env_alias; /* "" for none */
    const char *doc;
    size_t offset; /* of the field in struct config */
};

struct config_section {
    const char *name, *doc;
};

extern const struct config_row config_rows[CONFIG_ROW_COUNT];
extern const char *const config_keys[CONFIG_ROW_COUNT];
extern const struct config_section config_sections[];
extern const size_t config_section_count;

/* The row of that key, NULL when there is none. */
const struct config_row *config_row_find(const char *key);
/* Whether the key is "section.something" of that section. */
bool config_row_in(const struct config_row *row, const char *section);
/* "server.workers" as "TASKGATE_SERVER_WORKERS". */
#define CONFIG_ENV_NAME_MAX 64
void config_row_env(const struct config_row *row, char name[static CONFIG_ENV_NAME_MAX]);

/* The longest value in text form: a full list of the longest items. */
#define CONFIG_ADDRESS_MAX 262
#define CONFIG_TEXT_MAX (CONFIG_LIST_MAX * (CONFIG_ADDRESS_MAX + 1))

struct config_text {
    char text[CONFIG_TEXT_MAX];
};

/* Is it a list, and what stands between its items where they are one text? 0: none. */
char config_row_separator(const struct config_row *row);

/* Set the row's field from text. Returns 0, -ENOMEM, or -EINVAL with the reason in @why and the field as it
 * was. */
int config_value_parse(struct config *cfg, const struct config_row *row, const char *text,
                       struct config_text *why);
/* The field as text that parses back to the same value. */
void config_value_format(const struct config *cfg, const struct config_row *row, struct config_text *out);
void config_value_free(struct config *cfg, const struct config_row *row);

/* Why text is not fit for printing in TOML, JSON and one-line messages; NULL when it is. */
const char *config_text_fault(const char *text);
/* Somebody's bytes in quotes, short and printable, for a message. */
#define CONFIG_QUOTE_MAX 96
const char *config_quote(const char *text, char out[static CONFIG_QUOTE_MAX]);

/* Where a value was written. */
struct config_place {
    enum config_source source;
    const char *name; /* of the file, the variable or the flag */
    int line;         /* of a file */
};

/* What loading passes from step to step. */
struct config_loader {
    struct config *cfg;
    struct config_report *report;
    bool out_of_memory; /* seen somewhere on the way */
};

/* Set a row, or a "runner.NAME.option", from text; problems go into the report. */
void config_loader_set(struct config_loader *loader, const struct config_row *row, const char *text,
                       const struct config_place *place);
void config_loader_set_option(struct config_loader *loader, const char *key, const char *text,
                              const struct config_place *place);
/* `taskgate.toml:12: server.workers: ` or `--server.workers: `, whichever says where @key was written. */
void config_place_print(const struct config_place *place, const char *key, struct config_text *out);

/* Each source in turn. */
void config_file_load(struct config_loader *loader, const char *path);
void config_file_load_default(struct config_loader *loader);
void config_env_load(struct config_loader *loader, char **envp);
const char *config_env_path(char **envp);
void config_flags_load(struct config_loader *loader, int argc, char **argv);
/* First look: what is asked for, and the file named by --config or NULL. */
enum config_ask config_flags_ask(int argc, char **argv, const char **path);

#define CONFIG_RUNNER_NAME_MAX 64

/* Split "runner.NAME.option", or "runner.NAME" with "" for the option. Returns false for anything else. */
bool config_runner_split(const char *key, char name[static CONFIG_RUNNER_NAME_MAX + 1], const char **option);
bool config_runner_equal(const struct config_runner *a, const struct config_runner *b);
int config_runners_copy(struct config *to, const struct config *from);
void config_runners_free(struct config *cfg);

#endif

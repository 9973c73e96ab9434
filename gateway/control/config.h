/* SPDX-License-Identifier: Apache-2.0 */
/* The whole configuration as one struct, and how it is loaded, compared and printed.
 *
 * A value comes from a flag, else from the environment, else from the file, else from the default in
 * config.def. All calls belong to start-up and the control thread; a loaded config is only read afterwards.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdio.h>

#include "tg/def.h"

/* Choice lists of the CONFIG_ENUM rows: the constant, then the word in files and flags. */
#define CONFIG_IO_CHOICES(X)                                                                                 \
    X(CONFIG_IO_AUTO, "auto") X(CONFIG_IO_URING, "io_uring") X(CONFIG_IO_EPOLL, "epoll")
#define CONFIG_EXECUTOR_CHOICES(X)                                                                           \
    X(CONFIG_EXECUTOR_AUTO, "auto") X(CONFIG_EXECUTOR_INLINE, "inline") X(CONFIG_EXECUTOR_THREAD, "thread") \
    X(CONFIG_EXECUTOR_PROCESS, "process")
#define CONFIG_DEVICE_CHOICES(X)                                                                             \
    X(CONFIG_DEVICE_AUTO, "auto") X(CONFIG_DEVICE_CPU, "cpu") X(CONFIG_DEVICE_NULL, "null")     \
    X(CONFIG_DEVICE_FAULT, "fault") X(CONFIG_DEVICE_CUDA, "cuda")
#define CONFIG_WITHDRAWN_CHOICES(X) X(CONFIG_WITHDRAWN_RETRY, "retry") X(CONFIG_WITHDRAWN_EXIT, "exit")
#define CONFIG_POWER_CHOICES(X)                                                                              \
    X(CONFIG_POWER_SAVE, "power-save")                                                                       \
    X(CONFIG_POWER_ADAPTIVE, "adaptive") X(CONFIG_POWER_LOW_LATENCY, "low-latency")
#define CONFIG_TOPOLOGY_CHOICES(X) X(CONFIG_TOPOLOGY_AUTO, "auto") X(CONFIG_TOPOLOGY_OFF, "off")
#define CONFIG_LOG_LEVEL_CHOICES(X)                                                                          \
    X(CONFIG_LOG_DEBUG, "debug")                                                                             \
    X(CONFIG_LOG_INFO, "info") X(CONFIG_LOG_WARN, "warn") X(CONFIG_LOG_ERROR, "error")
#define CONFIG_LOG_FORMAT_CHOICES(X) X(CONFIG_LOG_TEXT, "text") X(CONFIG_LOG_JSON, "json")

#define CONFIG_TLS_CLIENT_CHOICES(X)                                                                         \
    X(CONFIG_TLS_CLIENT_NONE, "none")                                                                        \
    X(CONFIG_TLS_CLIENT_OPTIONAL, "optional") X(CONFIG_TLS_CLIENT_REQUIRED, "required")
#define CONFIG_TLS_VERSION_CHOICES(X) X(CONFIG_TLS_1_2, "1.2") X(CONFIG_TLS_1_3, "1.3")

#define CONFIG_BACKEND_CHOICES(X)                                                                            \
    X(CONFIG_BACKEND_CUSTOM, "custom")                                                                       \
    X(CONFIG_BACKEND_OPENAI, "openai_compat") X(CONFIG_BACKEND_OLLAMA, "ollama")                             \
    X(CONFIG_BACKEND_LMSTUDIO, "lmstudio") X(CONFIG_BACKEND_VLLM, "vllm")                                    \
    X(CONFIG_BACKEND_LLAMACPP, "llamacpp") X(CONFIG_BACKEND_MESHLLM, "meshllm")                              \
    X(CONFIG_BACKEND_ANTHROPIC, "anthropic")
#define CONFIG_AUTH_CHOICES(X)                                                                               \
    X(CONFIG_AUTH_OPEN, "open") X(CONFIG_AUTH_OPTIONAL, "optional") X(CONFIG_AUTH_REQUIRED, "required")
#define CONFIG_CX_CHOICES(X) X(CONFIG_CX_AUTO, "auto") X(CONFIG_CX_ON, "on") X(CONFIG_CX_OFF, "off")
#define CONFIG_PRICING_CHOICES(X)                                                                            \
    X(CONFIG_PRICING_TOKEN, "per_token")                                                                     \
    X(CONFIG_PRICING_REQUEST, "per_request") X(CONFIG_PRICING_FLAT, "flat")

#define CONFIG_CHOICE_ID(id, word) id,
#define CONFIG_CHOICE_WORD(id, word) word,

enum { CONFIG_IO_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_EXECUTOR_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_DEVICE_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_WITHDRAWN_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_POWER_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_TOPOLOGY_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_LOG_LEVEL_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_LOG_FORMAT_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_TLS_CLIENT_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_TLS_VERSION_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_BACKEND_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_AUTH_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_CX_CHOICES(CONFIG_CHOICE_ID) };
enum { CONFIG_PRICING_CHOICES(CONFIG_CHOICE_ID) };

/* One CONFIG_ROW_<field> per row, in table order: the index of its source. */
enum config_row_id {
#define CONFIG(field, key, type, def, min, max, when, env, doc) CONFIG_ROW_##field,
#define CONFIG_ENUM(field, key, choices, def, when, env, doc) CONFIG_ROW_##field,
#include "config.def"
    CONFIG_ROW_COUNT
};

/* In rising precedence. */
enum config_source { CONFIG_FROM_DEFAULT, CONFIG_FROM_FILE, CONFIG_FROM_ENV, CONFIG_FROM_FLAG };

/* What the flags ask for instead of serving. */
enum config_ask {
    CONFIG_ASK_NOTHING,
    CONFIG_ASK_HELP,
    CONFIG_ASK_VERSION,
    CONFIG_ASK_CHECK,
    CONFIG_ASK_PRINT,
    CONFIG_ASK_EXAMPLE,
    CONFIG_ASK_DOCS,
};

#define CONFIG_LISTEN_MAX 8 /* addresses, and prefixes */
#define CONFIG_LIST_MAX 16  /* texts */

struct config_listen {
    uint32_t count;
    char *address[CONFIG_LIST_MAX];
};

/* One `key = value` of a [runner.NAME] table. The loader that knows the runner's type reads it. */
struct config_option {
    char *key;
    char *value; /* text whatever the TOML type; an array is its items joined by commas */
    int line;    /* in the file, 0 for a flag or a built-in default */
    enum config_source source;
    bool used; /* set by config_option_find(), so the loader can complain about the rest */
};

struct config_runner {
    char *name;
    int line;
    struct config_option *options;
    size_t option_count;
};

#define CONFIG_FIELD_BOOL bool
#define CONFIG_FIELD_U32 uint32_t
#define CONFIG_FIELD_POW2 uint32_t
#define CONFIG_FIELD_U64 uint64_t
#define CONFIG_FIELD_STR char *
#define CONFIG_FIELD_LISTEN struct config_listen
#define CONFIG_FIELD_NETS struct config_listen
#define CONFIG_FIELD_LIST struct config_listen

struct config {
#define CONFIG(field, key, type, def, min, max, when, env, doc) CONFIG_FIELD_##type field;
#define CONFIG_ENUM(field, key, choices, def, when, env, doc)                                                \
    uint32_t field; /* one of its CONFIG_ constants */
#include "config.def"
    struct config_runner *runners; /* in file order */
    size_t runner_count;
    enum config_ask ask;
    char *path; /* of the file, NULL when there is none */
    uint8_t source[CONFIG_ROW_COUNT];
    int line[CONFIG_ROW_COUNT]; /* where source is the file */
};

/* Problems, one line of plain text each, no newline. Past CONFIG_REPORT_MAX they are only counted. */
#define CONFIG_REPORT_MAX 100

struct config_report {
    char *lines[CONFIG_REPORT_MAX];
    size_t count;
    size_t more;
};

/**
 * Build a configuration from flags, environment, file and defaults. The file is the one named by --config,
 * else by TASKGATE_CONFIG, else none.
 * @argv    the flags alone: no program name, no command word
 * @envp    as main() gets it; NULL for an empty environment
 * @report  receives every problem found; finish it in either case
 * Returns 0 (cfg->ask tells what was asked for), -EINVAL with lines in the report, -ENOMEM.
 * @cfg must be finished in every case. After --help or --version nothing else is looked at.
 */
int config_load(struct config *cfg, int argc, char **argv, char **envp, struct config_report *report);

/* The defaults of the table and the embedded runners. Returns 0 or -ENOMEM; finish @cfg either way. */
int config_init(struct config *cfg);

/* Free everything inside; the struct may be loaded again. A zeroed struct is fine. */
void config_finish(struct config *cfg);

/* One difference between two configurations. Texts live until the callback returns. */
struct config_change {
    const char *key; /* "log.level", or "runner.NAME" */
    const char *now, *next;
    bool reloadable;
};

typedef void (*config_change_fn)(void *arg, const struct config_change *change);

/* Call @changed for each row, then each runner, that differs. Returns how many did. */
size_t config_diff(const struct config *now, const struct config *next, config_change_fn changed, void *arg);

/* Take over from @now what only a restart can change, so that @next tells the truth about this process.
 * Runners count as such. Returns 0 or -ENOMEM, after which @next is only good for config_finish(). */
int config_keep(struct config *next, const struct config *now);

/* The embedded default configuration, as TOML. */
extern const char config_default_toml[];

/* --help: every flag by section, with its default. */
void config_help(FILE *out);
/* The effective values as TOML that loads back to the same, each non-default one with its source. */
void config_print(FILE *out, const struct config *cfg);
/* docs/taskgate.example.toml and docs/configuration.md. */
void config_print_example(FILE *out);
void config_print_markdown(FILE *out);

/* Find or append a runner. Returns NULL when out of memory. Pointers move when another one is added. */
struct config_runner *config_runner_add(struct config *cfg, const char *name, int line);
struct config_runner *config_runner_find(const struct config *cfg, const char *name);
/* Set an option, over an earlier one of that key. Returns 0 or -ENOMEM. */
int config_runner_set(struct config_runner *runner, const char *key, const char *value,
                      enum config_source source, int line);
/* The option of that key, marked used; NULL when absent. */
struct config_option *config_option_find(struct config_runner *runner, const char *key);

/* Add a problem. */
void config_report_add(struct config_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Add one that names where the option was given: `taskgate.toml:12: runner.digits.k: ...`. */
void config_report_option(struct config_report *report, const struct config *cfg,
                          const struct config_runner *runner, const struct config_option *option,
                          const char *format, ...) __attribute__((format(printf, 5, 6)));
void config_report_print(const struct config_report *report, FILE *out);
void config_report_finish(struct config_report *report);


#endif

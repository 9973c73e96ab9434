/* SPDX-License-Identifier: Apache-2.0 */
/* Loading a configuration: defaults, then file, environment and flags, each over the one before. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "config_row.h"

static int init_rows(struct config *cfg)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++) {
        struct config_text why;
        int rc = config_value_parse(cfg, &config_rows[i], config_rows[i].def, &why);
        TG_ASSERT(rc != -EINVAL);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* The embedded text is ours: a problem in it is a bug, not a report. */
static int init_runners(struct config *cfg)
{
    struct config_report report = {0};
    struct config_loader loader = {cfg, &report, false};
    config_file_load_default(&loader);
    TG_ASSERT(report.count == 0);
    return loader.out_of_memory ? -ENOMEM : 0;
}

int config_init(struct config *cfg)
{
    *cfg = (struct config){0};
    int rc = init_rows(cfg);
    return rc != 0 ? rc : init_runners(cfg);
}

void config_finish(struct config *cfg)
{
    for (size_t i = 0; i < CONFIG_ROW_COUNT; i++)
        config_value_free(cfg, &config_rows[i]);
    config_runners_free(cfg);
    free(cfg->path);
    *cfg = (struct config){0};
}

void config_loader_set(struct config_loader *loader, const struct config_row *row, const char *text,
                       const struct config_place *place)
{
    struct config_text why, prefix;
    int rc = config_value_parse(loader->cfg, row, text, &why);
    if (rc == -ENOMEM) {
        loader->out_of_memory = true;
    } else if (rc != 0) {
        config_place_print(place, row->key, &prefix);
        config_report_add(loader->report, "%s%s", prefix.text, why.text);
    } else {
        loader->cfg->source[row - config_rows] = (uint8_t)place->source;
        loader->cfg->line[row - config_rows] = place->line;
    }
}

void config_loader_set_option(struct config_loader *loader, const char *key, const char *text,
                              const struct config_place *place)
{
    char name[CONFIG_RUNNER_NAME_MAX + 1], quoted[CONFIG_QUOTE_MAX];
    const char *option;
    TG_ASSERT(config_runner_split(key, name, &option) && *option);
    const char *fault = config_text_fault(text);
    if (fault) {
        struct config_text prefix;
        config_place_print(place, key, &prefix);
        config_report_add(loader->report, "%s%s %s", prefix.text, config_quote(text, quoted), fault);
        return;
    }
    struct config_runner *runner = config_runner_add(loader->cfg, name, place->line);
    if (!runner || config_runner_set(runner, option, text, place->source, place->line) != 0)
        loader->out_of_memory = true;
}

/* Pairs of 32-bit rows of which the first may not exceed the second. Both are RELOAD or both RESTART, else
 * config_keep() could part a pair that was checked together. */
static const struct {
    enum config_row_id low, high;
} ordered[] = {
    {CONFIG_ROW_task_timeout_ms, CONFIG_ROW_task_timeout_max_ms},
    {CONFIG_ROW_limits_target_bytes, CONFIG_ROW_limits_head_bytes},
};

/* Where a row got its value; @name is memory for the place's. */
static struct config_place place_of(const struct config *cfg, const struct config_row *row,
                                    char name[CONFIG_ENV_NAME_MAX + 2])
{
    struct config_place place = {cfg->source[row - config_rows], name, cfg->line[row - config_rows]};
    if (place.source == CONFIG_FROM_FILE)
        place.name = cfg->path;
    else if (place.source == CONFIG_FROM_ENV)
        config_row_env(row, name);
    else
        snprintf(name, CONFIG_ENV_NAME_MAX + 2, "--%s", row->key);
    return place;
}

/* Blame the row that the operator touched, the stronger source if it was both. */
static void report_order(struct config_loader *loader, const struct config_row *low,
                         const struct config_row *high, uint32_t low_value, uint32_t high_value)
{
    const struct config *cfg = loader->cfg;
    const struct config_row *blamed =
        cfg->source[high - config_rows] > cfg->source[low - config_rows] ? high : low;
    char name[CONFIG_ENV_NAME_MAX + 2];
    struct config_place place = place_of(cfg, blamed, name);
    struct config_text prefix;
    config_place_print(&place, blamed->key, &prefix);
    config_report_add(loader->report, "%s%s (%" PRIu32 ") is above %s (%" PRIu32 ")", prefix.text, low->key,
                      low_value, high->key, high_value);
}

static void check_order(struct config_loader *loader)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(ordered); i++) {
        const struct config_row *low = &config_rows[ordered[i].low], *high = &config_rows[ordered[i].high];
        uint32_t low_value = *(uint32_t *)((char *)loader->cfg + low->offset);
        uint32_t high_value = *(uint32_t *)((char *)loader->cfg + high->offset);
        if (low_value > high_value)
            report_order(loader, low, high, low_value, high_value);
    }
}

/* A row whose value is unusable without another's. */
static void report_lack(struct config_loader *loader, enum config_row_id needy, const char *lack)
{
    const struct config_row *row = &config_rows[needy];
    struct config_text prefix;
    char name[CONFIG_ENV_NAME_MAX + 2];
    struct config_place place = place_of(loader->cfg, row, name);
    config_place_print(&place, row->key, &prefix);
    config_report_add(loader->report, "%s%s", prefix.text, lack);
}

static void check_tls(struct config_loader *loader)
{
    const struct config *cfg = loader->cfg;
    if (cfg->server_tls_listen.count > 0 && !cfg->tls_certificate[0])
        report_lack(loader, CONFIG_ROW_server_tls_listen, "needs tls.certificate");
    if (cfg->server_tls_listen.count > 0 && !cfg->tls_key[0])
        report_lack(loader, CONFIG_ROW_server_tls_listen, "needs tls.key");
    if (cfg->tls_client_auth != CONFIG_TLS_CLIENT_NONE && !cfg->tls_client_ca[0])
        report_lack(loader, CONFIG_ROW_tls_client_auth, "needs tls.client_ca");
}

/* The embedded runners serve whoever defines none, and only them. */
static void load_file(struct config_loader *loader, const char *path)
{
    if (path) {
        loader->cfg->path = strdup(path);
        if (!loader->cfg->path) {
            loader->out_of_memory = true;
            return;
        }
        config_file_load(loader, path);
    }
    if (loader->cfg->runner_count == 0 && init_runners(loader->cfg) != 0)
        loader->out_of_memory = true;
}

int config_load(struct config *cfg, int argc, char **argv, char **envp, struct config_report *report)
{
    const char *path;
    struct config_loader loader = {cfg, report, false};
    *cfg = (struct config){0};
    *report = (struct config_report){0};
    cfg->ask = config_flags_ask(argc, argv, &path);
    int rc = init_rows(cfg);
    if (rc != 0 || cfg->ask == CONFIG_ASK_HELP || cfg->ask == CONFIG_ASK_VERSION)
        return rc;

    load_file(&loader, path ? path : config_env_path(envp));
    if (!loader.out_of_memory)
        config_env_load(&loader, envp);
    if (!loader.out_of_memory)
        config_flags_load(&loader, argc, argv);
    if (loader.out_of_memory)
        return -ENOMEM;
    check_order(&loader);
    check_tls(&loader);
    return report->count + report->more > 0 ? -EINVAL : 0;
}

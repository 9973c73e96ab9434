/* SPDX-License-Identifier: Apache-2.0 */
/* Running the checks, and what they come to. */
#include "doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include "finder.h"
#include "gateway/base/log.h"
#include "gateway/control/store.h"
#include "options.h"
#include "show.h"

struct options_of_doctor {
    struct options options;
    bool json;
};

static const struct option_row rows[] = {
    {"json", OPTION_BOOL, offsetof(struct options_of_doctor, json), 0, 0, "", "print the findings as JSON"},
};

static const struct options_spec spec = {
    .command = "doctor",
    .arguments = "[--json]",
    .about =
        "Looks at what a node needs: its configuration, this host, its directory, and itself if it runs. Use "
        "the same\n"
        "flags and environment as for serve. Exit status: 0 nothing failed, 1 something did, 2 wrong flag,\n"
        "78 the configuration has errors.",
    .rows = rows,
    .row_count = TG_ARRAY_SIZE(rows),
};

#define DOCTOR_STATUS_WORD(id, word) word,
static const char *const status_words[] = {DOCTOR_STATUSES(DOCTOR_STATUS_WORD)};
static const char *const level_words[] = {"ok", "warn", "fail"};

void doctor_say(struct doctor_finding *f, enum doctor_level level, enum doctor_status status,
                const char *todo, const char *format, ...)
{
    va_list args;
    f->level = level;
    f->status = status;
    va_start(args, format);
    vsnprintf(f->what, sizeof(f->what), format, args);
    va_end(args);
    snprintf(f->todo, sizeof(f->todo), "%s", todo);
}

/* ---- what is shared ---------------------------------------------------------------------------------- */

/* The address that a program on this host reaches the first TCP listener by. */
static bool local_url(const struct config *c, char out[static ASK_URL_MAX])
{
    for (uint32_t i = 0; i < c->server_listen.count; i++) {
        const char *a = c->server_listen.address[i], *colon = strrchr(a, ':');
        if (!colon || strncmp(a, "unix:/", 6) == 0)
            continue;
        bool any = colon == a || strncmp(a, "0.0.0.0:", 8) == 0 || strncmp(a, "[::]:", 5) == 0;
        snprintf(out, ASK_URL_MAX, "http://%.*s%s/iicp/health", any ? 9 : (int)(colon - a),
                 any ? "127.0.0.1" : a, colon);
        return true;
    }
    return false;
}

static void ask_node(struct doctor *d)
{
    char url[ASK_URL_MAX];
    if (!local_url(d->config, url)) {
        d->health.error = -ENOTSUP;
        return;
    }
    ask(d->client,
        &(struct client_request){
            .method = "GET", .url = url, .timeout_ms = 3000, .body_bytes_max = 1u << 20, .reach = CLIENT_ANY},
        &d->health);
    const struct tg_json_node *id = answer_get(&d->health, "node_id");
    if (id && id->type == TG_JSON_STRING)
        show_copy(&d->health.doc, id, d->node_id, sizeof(d->node_id));
}

bool doctor_node_runs(const struct doctor *d)
{
    return d->health.error == 0 && d->health.status == 200 && answer_get(&d->health, "node_id");
}

static void ask_directory(struct doctor *d)
{
    static const struct tg_str first = TG_STR_INIT("");
    const struct tg_json_node *intent = answer_get(&d->health, "intent");
    struct tg_str base = {d->config->directory_url, strlen(d->config->directory_url)};
    char path[ASK_URL_MAX], url[ASK_URL_MAX];
    if (!base.len)
        return;
    struct iicp_discover question = {
        .intent = intent && intent->type == TG_JSON_STRING ? tg_json_string(&d->health.doc, intent) : first,
        .limit = 50,
        .min_reputation = -1,
        .max_multiplier = -1};
    if (!iicp_discover_path(&question, path, sizeof(path)) ||
        !iicp_directory_url(base, path, url, sizeof(url)))
        return;
    ask(d->client,
        &(struct client_request){.method = "GET",
                                 .url = url,
                                 .timeout_ms = d->config->directory_timeout_ms,
                                 .body_bytes_max = 2u << 20,
                                 .reach = CLIENT_ANY},
        &d->directory);
}

static void find_out(struct doctor *d)
{
    char path[STORE_PATH_MAX];
    d->has_snapshot = !snapshot_load(d->config, d->config->node_name, path, sizeof(path), &d->snapshot);
    snprintf(d->node_id, sizeof(d->node_id), "%s", d->config->node_id);
    ask_node(d);
    ask_directory(d);
}

/* ---- findings ---------------------------------------------------------------------------------------- */

struct report {
    bool json;
    enum doctor_level worst;
    enum doctor_status status;
    char text[32768]; /* the JSON list */
    struct tg_json_writer w;
};

static void put(struct tg_json_writer *w, const char *key, const char *value)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_string(w, (struct tg_str){value, strlen(value)});
}

static void print_finding(const struct doctor_check *check, const struct doctor_finding *f)
{
    printf("%-4s  %-14s  ", level_words[f->level], check->id);
    show_text(stdout, (struct tg_str){f->what, strlen(f->what)});
    putchar('\n');
    if (f->todo[0])
        printf("%22s-> %s\n", "", f->todo);
}

static void add_finding(struct report *r, const struct doctor_check *check, const struct doctor_finding *f)
{
    r->worst = TG_MAX(r->worst, f->level);
    r->status = TG_MIN(r->status, f->status);
    tg_json_write_begin_object(&r->w);
    put(&r->w, "check", check->id);
    put(&r->w, "level", level_words[f->level]);
    put(&r->w, "what", f->what);
    put(&r->w, "todo", f->todo);
    tg_json_write_end_object(&r->w);
    if (!r->json)
        print_finding(check, f);
}

static void run(struct doctor *d, struct report *r, const struct doctor_check *checks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct doctor_finding f = {.level = DOCTOR_OK, .status = DOCTOR_HEALTHY};
        checks[i].run(d, &f);
        add_finding(r, &checks[i], &f);
    }
}

static void examine(const struct config *config, struct report *r, const struct doctor_checks *host)
{
    static struct doctor d; /* large */
    d.config = config;
    d.client = client_create(COMMAND_AGENT);
    TG_ASSERT(d.client); /* out of memory: there is nobody to tell */
    find_out(&d);
    run(&d, r, doctor_local_checks, doctor_local_count);
    run(&d, r, host->list, host->count);
    run(&d, r, doctor_network_checks, doctor_network_count);
    answer_finish(&d.health);
    answer_finish(&d.directory);
    client_destroy(d.client);
}

int doctor_main(int argc, char **argv, char **envp, const struct doctor_checks *host)
{
    static struct report r; /* large */
    struct options_of_doctor o = {.json = false};
    struct config config = {0};
    enum options_result read = options_read(&spec, argc, argv, &o.options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    int code = options_config(&o.options, envp, &config);
    if (code == 0) {
        log_configure(TG_LOG_ERROR, LOG_TEXT);
        r = (struct report){.json = o.json, .status = DOCTOR_HEALTHY};
        tg_json_writer_init(&r.w, r.text, sizeof(r.text));
        tg_json_write_begin_array(&r.w);
        examine(&config, &r, host);
        tg_json_write_end_array(&r.w);
        if (o.json)
            printf("{\"status\":\"%s\",\"checks\":%.*s}\n", status_words[r.status], (int)r.w.len, r.text);
        else
            printf("status: %s\n", status_words[r.status]);
        code = r.worst == DOCTOR_FAIL ? EXIT_FAILED : EXIT_OK;
    }
    config_finish(&config);
    return code;
}

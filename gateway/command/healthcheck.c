/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate healthcheck`: one look at the health file of a node on this machine, and an exit status for a
 * probe. */
#include "options.h"
#include "snapshot.h"
#include "gateway/control/store.h"

enum { EXIT_HEALTHY = 0, EXIT_UNHEALTHY = 1, EXIT_NO_SNAPSHOT = 2 };

struct healthcheck {
    struct options options;
    const char *node;
    bool ready, json;
};

#define AT(member) offsetof(struct healthcheck, member)
static const struct option_row rows[] = {
    {"node", OPTION_TEXT, AT(node), 0, 0, "NAME",
     "whose file: its node.name [node.name of the configuration]"},
    {"ready", OPTION_BOOL, AT(ready), 0, 0, "", "ask whether it is ready for tasks, not only alive"},
    {"json", OPTION_BOOL, AT(json), 0, 0, "", "print what was found as JSON"},
};
#undef AT

static const struct options_spec spec = {
    .command = "healthcheck",
    .arguments = "[--node NAME] [--ready] [--json]",
    .about = "Reads the health file of the node on this machine. Exit status: 0 live (with --ready: ready, "
             "if only\n"
             "degraded), 1 not, also if the file is stale, 2 no file, or no valid one, or a wrong flag.",
    .rows = rows,
    .row_count = TG_ARRAY_SIZE(rows),
};

static void print_json(const struct snapshot *s, int64_t now_ms, const char *objection, bool ready)
{
    char text[1024];
    struct tg_json_writer w;
    tg_json_writer_init(&w, text, sizeof(text));
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "healthy");
    tg_json_write_bool(&w, !objection);
    TG_JSON_KEY(&w, "asked");
    tg_json_write_string(&w, ready ? TG_STR("ready") : TG_STR("live"));
#define PUT(key, value)                                                                                      \
    TG_JSON_KEY(&w, key);                                                                                    \
    tg_json_write_string(&w, (struct tg_str){value, strlen(value)})
    PUT("why", objection ? objection : "");
    PUT("lifecycle", s->lifecycle);
    PUT("liveness", s->liveness);
    PUT("readiness", s->readiness);
    PUT("reasons", s->reasons);
#undef PUT
    TG_JSON_KEY(&w, "age_ms");
    tg_json_write_i64(&w, now_ms - s->emitted_ms);
    TG_JSON_KEY(&w, "pid");
    tg_json_write_i64(&w, s->pid);
    tg_json_write_end_object(&w);
    printf("%.*s\n", (int)w.len, text);
}

static void print_line(const struct snapshot *s, const char *objection)
{
    printf("%s: %s, %s, %s%s%s\n", objection ? objection : "healthy", s->lifecycle, s->liveness, s->readiness,
           s->reasons[0] ? ": " : "", s->reasons);
}

static int look(const struct healthcheck *h, const struct config *config)
{
    struct snapshot s;
    char path[STORE_PATH_MAX];
    const char *wrong = snapshot_load(config, h->node ? h->node : config->node_name, path, sizeof(path), &s);
    if (wrong) {
        fprintf(stderr, "taskgate healthcheck: %s: %s\n", path, wrong);
        if (h->json)
            puts("{\"healthy\":false,\"why\":\"no valid snapshot\"}");
        return EXIT_NO_SNAPSHOT;
    }
    int64_t now_ms = snapshot_now_ms();
    const char *objection = snapshot_objection(&s, now_ms, h->ready);
    if (h->json)
        print_json(&s, now_ms, objection, h->ready);
    else
        print_line(&s, objection);
    return objection ? EXIT_UNHEALTHY : EXIT_HEALTHY;
}

int command_healthcheck(int argc, char **argv, char **envp)
{
    struct healthcheck h = {.json = false};
    struct config config = {0};
    enum options_result read = options_read(&spec, argc, argv, &h.options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    int code = options_config(&h.options, envp, &config);
    if (code == 0)
        code = look(&h, &config);
    else
        code = EXIT_NO_SNAPSHOT; /* a probe knows no other numbers */
    config_finish(&config);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate discover`: the directory's nodes as a table, or its answer as JSON. */
#include <string.h>
#include "finder.h"
#include "options.h"
#include "show.h"

enum { EXIT_NONE_FOUND = 1, EXIT_NO_ANSWER = 4 };

struct discover {
    struct options options;
    const char *intent, *region, *qos, *model, *modality, *view;
    uint32_t limit;
    double min_reputation, max_multiplier;
    bool cip_capable, relay_capable, json;
};

#define AT(member) offsetof(struct discover, member)
static const struct option_row rows[] = {
    {"intent", OPTION_TEXT, AT(intent), 0, 0, "URN", "nodes that serve this intent"},
    {"region", OPTION_TEXT, AT(region), 0, 0, "NAME", "nodes in this region"},
    {"qos", OPTION_TEXT, AT(qos), 0, 0, "CLASS", "fit for realtime, interactive, batch or best-effort tasks"},
    {"model", OPTION_TEXT, AT(model), 0, 0, "NAME", "nodes with this model"},
    {"modality", OPTION_TEXT, AT(modality), 0, 0, "NAME", "text, image, audio or video"},
    {"limit", OPTION_NUMBER, AT(limit), 1, 50, "N", "so many at most [the directory's default, 10]"},
    {"min-reputation", OPTION_REAL, AT(min_reputation), 0, 1, "R", "of at least this reputation"},
    {"max-multiplier", OPTION_REAL, AT(max_multiplier), 0, 1000, "M", "of at most this price"},
    {"cip-capable", OPTION_BOOL, AT(cip_capable), 0, 0, "", "only those that work on parts of others' tasks"},
    {"relay-capable", OPTION_BOOL, AT(relay_capable), 0, 0, "", "only relays"},
    {"view", OPTION_TEXT, AT(view), 0, 0, "NAME", "dispatch or public"},
    {"json", OPTION_BOOL, AT(json), 0, 0, "", "the directory's answer as it came, laid out"},
};
#undef AT

static const struct options_spec spec = {
    .command = "discover",
    .arguments = "[flags]",
    .about = "Asks the directory (directory.url, IICP_DIRECTORY_URL) for nodes. Exit status: 0 some were "
             "found, 1 none,\n"
             "2 wrong flag, 4 the directory gave no answer.",
    .rows = rows,
    .row_count = TG_ARRAY_SIZE(rows),
};

static struct tg_str text(const char *s)
{
    return (struct tg_str){s ? s : "", s ? strlen(s) : 0};
}

static void print_models(const struct tg_json_doc *doc, const struct tg_json_node *models)
{
    const char *between = "";
    if (!models)
        return;
    TG_JSON_FOREACH(n, models)
    {
        char name[160];
        show_copy(doc, n, name, sizeof(name));
        fputs(between, stdout);
        show_text(stdout, text(name));
        between = ",";
    }
}

static void print_node(const struct tg_json_doc *doc, const struct iicp_found *f)
{
    printf("%-36s  %-12s  %5.2f  %4.2f  %-3s  %-3s  ", f->node_id, f->region[0] ? f->region : "-", f->score,
           f->load, f->available ? "yes" : "no", f->cx_public_key ? "yes" : "no");
    show_text(stdout, text(f->endpoint));
    fputs("  ", stdout);
    print_models(doc, f->models);
    putchar('\n');
}

static void print_table(const struct found_nodes *found)
{
    printf("%-36s  %-12s  %5s  %4s  %-3s  %-3s  %s\n", "NODE", "REGION", "SCORE", "LOAD", "UP", "CX",
           "ENDPOINT  MODELS");
    for (uint32_t i = 0; i < found->count; i++)
        print_node(&found->answer.doc, &found->nodes[i]);
}

/* The public view names no endpoints: such nodes can be counted, not called. */
static uint32_t listed(const struct found_nodes *found)
{
    const struct tg_json_node *nodes = answer_get(&found->answer, "nodes");
    return nodes && nodes->type == TG_JSON_ARRAY ? tg_json_count(nodes) : 0;
}

static int discover(const struct discover *d, const struct config *config)
{
    struct iicp_discover question = {
        .intent = text(d->intent),
        .region = text(d->region),
        .qos = text(d->qos),
        .model = text(d->model),
        .modality = text(d->modality),
        .view = text(d->view),
        .limit = d->limit,
        .min_reputation = d->min_reputation,
        .max_multiplier = d->max_multiplier,
        .cip_capable = d->cip_capable,
        .relay_capable = d->relay_capable,
    };
    static struct found_nodes found; /* large */
    struct client *client = client_create(COMMAND_AGENT);
    int code = EXIT_NO_ANSWER;
    if (client && finder_discover(client, "discover", config, &question, &found)) {
        code = listed(&found) ? EXIT_OK : EXIT_NONE_FOUND;
        if (d->json || found.count < listed(&found)) {
            show_json(stdout, &found.answer.doc, found.answer.doc.nodes);
            putchar('\n');
        } else if (found.count) {
            print_table(&found);
        } else {
            fputs("taskgate discover: no node fits\n", stderr);
        }
    }
    found_finish(&found);
    client_destroy(client);
    return code;
}

int command_discover(int argc, char **argv, char **envp)
{
    struct discover d = {.min_reputation = -1, .max_multiplier = -1};
    struct config config = {0};
    enum options_result read = options_read(&spec, argc, argv, &d.options);
    if (read != OPTIONS_GO)
        return read == OPTIONS_HELPED ? EXIT_OK : EXIT_USAGE;
    int code = options_config(&d.options, envp, &config);
    if (code == 0)
        code = discover(&d, &config);
    config_finish(&config);
    return code;
}

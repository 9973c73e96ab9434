/* SPDX-License-Identifier: Apache-2.0 */
/* Discovery for commands: one question, and precise words when it fails. */
#include "finder.h"

#include <stdio.h>
#include "show.h"

#define REPLY_BYTES_MAX (2u << 20)

/* False: it does not fit. */
static bool get(struct client *c, const struct config *config, const char *path, struct answer *a)
{
    static const char *const headers[] = {"Accept: application/json", NULL};
    char url[ASK_URL_MAX];
    if (!iicp_directory_url((struct tg_str){config->directory_url, strlen(config->directory_url)}, path, url, sizeof(url)))
        return false;
    ask(c,
        &(struct client_request){.method = "GET",
                                 .url = url,
                                 .headers = headers,
                                 .timeout_ms = config->directory_timeout_ms,
                                 .body_bytes_max = REPLY_BYTES_MAX,
                                 .reach = CLIENT_ANY,
                                 .redirects_max = 3},
        a);
    return true;
}

/* People leave out the /api under which directories live; a base that has it is not doubled. */
static bool get_below_api(struct client *c, const struct config *config, const char *path, struct answer *a)
{
    char below[ASK_URL_MAX];
    int n = snprintf(below, sizeof(below), "/api%s", path);
    if (a->error || a->status != 404 || n >= (int)sizeof(below) || strstr(config->directory_url, "/api"))
        return true;
    answer_finish(a);
    *a = (struct answer){0};
    return get(c, config, below, a);
}

bool finder_ask(struct client *c, const char *command, const struct config *config, const char *path,
                struct answer *a)
{
    *a = (struct answer){0};
    if (!config->directory_url[0]) {
        fprintf(stderr,
                "taskgate %s: no directory is configured: set --directory.url, or IICP_DIRECTORY_URL\n",
                command);
        return false;
    }
    if (!get(c, config, path, a) || !get_below_api(c, config, path, a)) {
        fprintf(stderr, "taskgate %s: the question is too long\n", command);
        return false;
    }
    if (a->error)
        fprintf(stderr, "taskgate %s: the directory %s is not reached: %s\n", command, config->directory_url,
                a->why);
    return a->error == 0;
}

static bool refused(const char *command, const struct answer *a)
{
    struct iicp_refusal why;
    iicp_read_refusal(a->doc.nodes ? &a->doc : NULL, &why);
    fprintf(stderr, "taskgate %s: the directory answered %u ", command, a->status);
    const char *const words[] = {why.code, " ", why.message, why.fields[0] ? ": " : "", why.fields};
    for (size_t i = 0; i < TG_ARRAY_SIZE(words); i++)
        show_text(stderr, (struct tg_str){words[i], strlen(words[i])});
    fputc('\n', stderr);
    return false;
}

bool finder_discover(struct client *c, const char *command, const struct config *config,
                     const struct iicp_discover *d, struct found_nodes *out)
{
    char path[ASK_URL_MAX];
    out->count = 0;
    out->answer = (struct answer){0};
    if (!iicp_discover_path(d, path, sizeof(path))) {
        fprintf(stderr, "taskgate %s: the question is too long\n", command);
        return false;
    }
    if (!finder_ask(c, command, config, path, &out->answer))
        return false;
    if (out->answer.status != 200)
        return refused(command, &out->answer);
    int n = out->answer.doc.nodes ? iicp_read_discovered(&out->answer.doc, out->nodes, FINDER_NODES_MAX) : -1;
    if (n < 0)
        fprintf(stderr, "taskgate %s: the directory's answer is no list of nodes\n", command);
    out->count = n < 0 ? 0 : (uint32_t)n;
    return n >= 0;
}

void found_finish(struct found_nodes *f)
{
    answer_finish(&f->answer);
}

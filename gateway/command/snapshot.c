/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the health file, and judging it. */
#include "snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "gateway/control/health_file.h"
#include "gateway/control/store.h"

#define NODES_MAX TG_JSON_NODES_MAX(SNAPSHOT_BYTES_MAX)

/* ---- the text ---------------------------------------------------------------------------------------- */

bool snapshot_time(const char *text, int64_t *out_ms)
{
    struct tm tm = {0};
    unsigned ms = 0;
    int used = 0;
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!rest)
        return false;
    if (*rest == '.' && (sscanf(rest, ".%3u%n", &ms, &used) != 1 || used != 4))
        return false;
    if (strcmp(rest + used, "Z") != 0)
        return false;
    *out_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return true;
}

static const struct tg_json_node *member(const struct tg_json_doc *doc, const struct tg_json_node *o,
                                         const char *key)
{
    return o && o->type == TG_JSON_OBJECT ? tg_json_get(doc, o, (struct tg_str){key, strlen(key)}) : NULL;
}

static bool text_of(const struct tg_json_doc *doc, const char *key, char *out, size_t cap)
{
    const struct tg_json_node *n = member(doc, doc->nodes, key);
    int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(doc, n, out, cap - 1) : -1;
    out[len < 0 ? 0 : len] = '\0';
    return len > 0;
}

static bool integer_of(const struct tg_json_doc *doc, const char *key, int64_t *out)
{
    const struct tg_json_node *n = member(doc, doc->nodes, key);
    if (!n || n->type != TG_JSON_INT)
        return false;
    *out = n->i64;
    return true;
}

static bool one_of(const char *word, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

static void read_reasons(const struct tg_json_doc *doc, struct snapshot *s)
{
    const struct tg_json_node *list = member(doc, doc->nodes, "reason_codes");
    size_t used = 0;
    if (!list || list->type != TG_JSON_ARRAY)
        return;
    TG_JSON_FOREACH(n, list)
    {
        struct tg_str code = n->type == TG_JSON_STRING ? tg_json_string(doc, n) : TG_STR("?");
        if (used + code.len + 3 > sizeof(s->reasons))
            return;
        used += (size_t)snprintf(s->reasons + used, sizeof(s->reasons) - used, "%s%.*s", used ? ", " : "",
                                 (int)code.len, code.ptr);
    }
}

static bool read_progress(const struct tg_json_doc *doc, struct snapshot *s)
{
    const struct tg_json_node *runtime = member(doc, member(doc, doc->nodes, "progress"), "runtime");
    const struct tg_json_node *age = member(doc, runtime, "age_ms"),
                              *stale = member(doc, runtime, "stale_after_ms");
    if (!age || !stale || !tg_json_is_number(age) || !tg_json_is_number(stale))
        return false;
    s->progress_age_ms = tg_json_number(age);
    s->stale_after_ms = tg_json_number(stale);
    return true;
}

static const char *read_members(const struct tg_json_doc *doc, struct snapshot *s)
{
    static const char *const livenesses[] = {"starting", "live", "not_live", NULL};
    static const char *const readinesses[] = {"ready", "degraded", "not_ready", NULL};
    char when[48];
    int64_t version;
    if (!integer_of(doc, "health_schema_version", &version) || version != 1)
        return "its health_schema_version is not 1";
    if (!integer_of(doc, "pid", &s->pid) || !integer_of(doc, "process_epoch", &s->epoch_ms))
        return "it has no pid or process_epoch";
    if (!text_of(doc, "emitted_at", when, sizeof(when)) || !snapshot_time(when, &s->emitted_ms))
        return "its emitted_at is no time";
    if (!text_of(doc, "lifecycle", s->lifecycle, sizeof(s->lifecycle)))
        return "it has no lifecycle";
    if (!text_of(doc, "liveness", s->liveness, sizeof(s->liveness)) || !one_of(s->liveness, livenesses))
        return "its liveness is unknown";
    if (!text_of(doc, "readiness", s->readiness, sizeof(s->readiness)) || !one_of(s->readiness, readinesses))
        return "its readiness is unknown";
    if (!read_progress(doc, s))
        return "it has no progress.runtime";
    read_reasons(doc, s);
    return NULL;
}

const char *snapshot_read(struct tg_str text, struct snapshot *out)
{
    struct tg_json_node nodes[NODES_MAX];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES_MAX};
    struct tg_json_error err;
    *out = (struct snapshot){0};
    if (text.len > SNAPSHOT_BYTES_MAX || tg_json_parse(&doc, text.ptr, text.len, &err) < 0)
        return "it is no JSON";
    return nodes[0].type == TG_JSON_OBJECT ? read_members(&doc, out) : "it is no JSON object";
}

/* ---- the verdict ------------------------------------------------------------------------------------- */

const char *snapshot_objection(const struct snapshot *s, int64_t now_ms, bool ready)
{
    int64_t age = now_ms - s->emitted_ms;
    if (age > SNAPSHOT_STALE_MS || age < -SNAPSHOT_STALE_MS)
        return "stale: nobody rewrites it";
    if (s->progress_age_ms > s->stale_after_ms)
        return "not live: a data thread makes no progress";
    if (strcmp(s->liveness, "live") != 0)
        return strcmp(s->liveness, "starting") == 0 ? "starting" : "not live";
    return ready && strcmp(s->readiness, "not_ready") == 0 ? "not ready" : NULL;
}

/* ---- the file ---------------------------------------------------------------------------------------- */

const char *snapshot_load(const struct config *config, const char *node, char *path, size_t cap,
                          struct snapshot *out)
{
    char folder[STORE_PATH_MAX], text[SNAPSHOT_BYTES_MAX];
    snprintf(path, cap, "%s", "?");
    if (!store_dir(config->node_state_dir, folder))
        return "there is no node.state_dir and no home";
    if (!health_file_path(folder, node, path, cap))
        return "the node's name is none for a folder";
    int64_t len = store_read(path, false, text, sizeof(text));
    if (len == -ENOENT)
        return "there is none: does the node run, with the same node.name and node.state_dir?";
    if (len < 0)
        return strerror((int)-len);
    return snapshot_read((struct tg_str){text, (size_t)len}, out);
}

int64_t snapshot_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What Ollama's and LM Studio's answers say about a model. Read leniently: versions differ in where they put
 * things. */
#include "backend.h"

#define DRAIN_LOADING_S 30
#define DRAIN_FAILED_S 60

static const struct iicp_backend well = {IICP_BACKEND_OK, IICP_REASON_OK, 0, 0};
static const struct iicp_backend cold = {IICP_BACKEND_DEGRADED, IICP_REASON_COLD, 0, 0};
static const struct iicp_backend loading = {IICP_BACKEND_DRAINING, IICP_REASON_LOADING, DRAIN_LOADING_S, 0};
static const struct iicp_backend failed = {IICP_BACKEND_DRAINING, IICP_REASON_UNSTABLE, DRAIN_FAILED_S, 0};
static const struct iicp_backend unknown = {IICP_BACKEND_DEGRADED, IICP_REASON_OBSERVER, 0, 0};

/* "llama3" and "llama3:latest" are one. */
static bool same_model(struct tg_str name, struct tg_str wanted)
{
    static const struct tg_str latest = TG_STR_INIT(":latest");
    if (name.len == wanted.len + latest.len && memcmp(name.ptr + wanted.len, latest.ptr, latest.len) == 0)
        name.len = wanted.len;
    return tg_str_eq(name, wanted);
}

static bool names(const struct tg_json_doc *doc, const struct tg_json_node *item, struct tg_str key,
                  struct tg_str wanted)
{
    const struct tg_json_node *n = tg_json_get(doc, item, key);
    return n && n->type == TG_JSON_STRING && same_model(tg_json_string(doc, n), wanted);
}

static bool is_model(const struct tg_json_doc *doc, const struct tg_json_node *item, struct tg_str wanted)
{
    static const struct tg_str keys[] = {TG_STR_INIT("name"), TG_STR_INIT("model"), TG_STR_INIT("id"),
                                         TG_STR_INIT("key")};
    bool found = wanted.len == 0;
    for (size_t i = 0; !found && i < TG_ARRAY_SIZE(keys); i++)
        found = names(doc, item, keys[i], wanted);
    return found;
}

static const struct tg_json_node *list_of(const struct tg_json_doc *doc, const struct tg_json_node *o,
                                          struct tg_str key)
{
    const struct tg_json_node *n = tg_json_get(doc, o, key);
    return n && n->type == TG_JSON_ARRAY ? n : NULL;
}

static struct iicp_backend read_ollama(const struct tg_json_doc *doc, struct tg_str model)
{
    const struct tg_json_node *models = list_of(doc, &doc->nodes[0], TG_STR("models"));
    if (!models)
        return unknown;
    if (model.len == 0)
        return well;
    TG_JSON_FOREACH(item, models)
    {
        if (is_model(doc, item, model))
            return well;
    }
    return cold;
}

/* ---- LM Studio -------------------------------------------------------------------------------------- */

struct words {
    const char *const *list;
    size_t count;
};

static bool says(const struct tg_json_doc *doc, const struct tg_json_node *item, struct words words)
{
    static const struct tg_str keys[] = {TG_STR_INIT("state"), TG_STR_INIT("status")};
    for (size_t k = 0; k < TG_ARRAY_SIZE(keys); k++) {
        const struct tg_json_node *n = tg_json_get(doc, item, keys[k]);
        for (size_t i = 0; n && n->type == TG_JSON_STRING && i < words.count; i++)
            if (tg_json_string_eq(doc, n, (struct tg_str){words.list[i], strlen(words.list[i])}))
                return true;
    }
    return false;
}

/* What one model or instance says of itself; `cold` for one that says nothing. */
static struct iicp_backend read_state(const struct tg_json_doc *doc, const struct tg_json_node *item)
{
    static const char *const bad[] = {"failed", "error", "oom", "out_of_memory", "crashed"};
    static const char *const busy[] = {"loading"};
    static const char *const good[] = {"loaded", "ready", "idle", "running"};
    if (says(doc, item, (struct words){bad, TG_ARRAY_SIZE(bad)}))
        return failed;
    if (says(doc, item, (struct words){busy, TG_ARRAY_SIZE(busy)}))
        return loading;
    return says(doc, item, (struct words){good, TG_ARRAY_SIZE(good)}) ? well : cold;
}

/* The best that any instance offers: one that serves is enough, and one that loads will. */
static int rank(struct iicp_backend b)
{
    return b.reason == IICP_REASON_OK         ? 3
           : b.reason == IICP_REASON_LOADING  ? 2
           : b.reason == IICP_REASON_UNSTABLE ? 1
                                              : 0;
}

static struct iicp_backend better(struct iicp_backend a, struct iicp_backend b)
{
    return rank(b) > rank(a) ? b : a;
}

static struct iicp_backend read_model(const struct tg_json_doc *doc, const struct tg_json_node *item)
{
    struct iicp_backend best = read_state(doc, item);
    const struct tg_json_node *instances = list_of(doc, item, TG_STR("loaded_instances"));
    if (!instances)
        return best;
    TG_JSON_FOREACH(instance, instances)
    {
        bool silent =
            !tg_json_get(doc, instance, TG_STR("state")) && !tg_json_get(doc, instance, TG_STR("status"));
        best = better(best, silent ? well : read_state(doc, instance)); /* it is listed as loaded */
    }
    return best;
}

static struct iicp_backend read_lmstudio(const struct tg_json_doc *doc, struct tg_str model)
{
    const struct tg_json_node *models = list_of(doc, &doc->nodes[0], TG_STR("models"));
    if (!models)
        models = list_of(doc, &doc->nodes[0], TG_STR("data"));
    struct iicp_backend best = cold;
    if (!models)
        return unknown;
    TG_JSON_FOREACH(item, models)
    {
        if (item->type == TG_JSON_OBJECT && is_model(doc, item, model))
            best = better(best, read_model(doc, item));
    }
    return best;
}

struct iicp_backend backend_read(enum backend_kind kind, struct tg_str model, const struct tg_json_doc *doc)
{
    if (kind == BACKEND_OTHER)
        return well;
    if (!doc || doc->nodes[0].type != TG_JSON_OBJECT)
        return unknown;
    return kind == BACKEND_OLLAMA ? read_ollama(doc, model) : read_lmstudio(doc, model);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/discover, /v1/bootstrap and /v1/registry/nodes/...: finding nodes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forms.h"
#include "gateway/base/clock.h"
#include "handlers.h"
#include "rules.h"
#include "text.h"

#define DISCOVER_MAX 50
#define DISCOVER_DEFAULT 10
#define BOOTSTRAP_MAX 20
#define BOOTSTRAP_DEFAULT 5
#define INTERACTIVE_TASKS 100
#define REALTIME_TASKS 1000
#define REALTIME_REPUTATION 0.8

/* What is looked for; empty texts and zeros ask for nothing. */
struct wanted {
    char intent[256], region[65], qos[16], model[256], modality[8], view[16];
    uint64_t limit;
    double min_reputation, max_multiplier;
    bool cip_capable, relay_capable;
};

/* ---- the query ------------------------------------------------------------------------------------------
 */

static void read_word(struct exchange *x, struct rules_report *r, const char *key, const char *words,
                      char *out, size_t cap)
{
    if (exchange_parameter(x, key, out, cap) && !form_word(words, out))
        rules_wrong(r, key, "is not one of the words it may be");
}

static void read_number(struct exchange *x, struct rules_report *r, const char *key, double most, double *out)
{
    char text[32], *end;
    if (!exchange_parameter(x, key, text, sizeof(text)))
        return;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= most))
        rules_wrong(r, key, "must be a number within its range");
    else
        *out = value;
}

static void read_count(struct exchange *x, struct rules_report *r, uint64_t most, uint64_t *out)
{
    char text[32], *end;
    if (!exchange_parameter(x, "limit", text, sizeof(text)))
        return;
    unsigned long value = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < 1 || value > most)
        rules_wrong(r, "limit", "must be a whole number within its range");
    else
        *out = value;
}

static void read_flag(struct exchange *x, struct rules_report *r, const char *key, bool *out)
{
    char text[8];
    read_word(x, r, key, "true|false|1|0", text, sizeof(text));
    *out = form_word("true|1", text);
}

static bool read_wanted(struct exchange *x, struct wanted *q)
{
    struct rules_report r = {0};
    exchange_parameter(x, "intent", q->intent, sizeof(q->intent));
    exchange_parameter(x, "region", q->region, sizeof(q->region));
    exchange_parameter(x, "model", q->model, sizeof(q->model));
    if (q->intent[0] && !form_holds("intent", q->intent))
        rules_wrong(&r, "intent", "format is invalid");
    read_word(x, &r, "qos", "realtime|interactive|batch|best-effort|best_effort", q->qos, sizeof(q->qos));
    read_word(x, &r, "modality", "text|image|audio|video", q->modality, sizeof(q->modality));
    read_word(x, &r, "view", "dispatch|public", q->view, sizeof(q->view));
    read_count(x, &r, DISCOVER_MAX, &q->limit);
    read_number(x, &r, "min_reputation", 1, &q->min_reputation);
    read_number(x, &r, "max_multiplier", 1000, &q->max_multiplier);
    read_flag(x, &r, "cip_capable", &q->cip_capable);
    read_flag(x, &r, "relay_capable", &q->relay_capable);
    return rules_passed(x, &r);
}

/* ---- what a node offers ---------------------------------------------------------------------------------
 */

static const struct tg_json_node *capabilities(const struct devnet_node *n)
{
    return tg_json_get(&n->registration.doc, n->registration.doc.nodes, TG_STR("capabilities"));
}

static bool lists(const struct tg_json_doc *doc, const struct tg_json_node *list, const char *text)
{
    if (!list || list->type != TG_JSON_ARRAY)
        return false;
    TG_JSON_FOREACH(entry, list)
    if (entry->type == TG_JSON_STRING && tg_json_string_eq(doc, entry, text_of(text)))
        return true;
    return false;
}

static bool capability_serves(const struct devnet_node *n, const struct tg_json_node *capability,
                              const struct wanted *q)
{
    const struct tg_json_doc *doc = &n->registration.doc;
    const struct tg_json_node *intent = tg_json_get(doc, capability, TG_STR("intent"));
    const struct tg_json_node *in = tg_json_get(doc, capability, TG_STR("input_modalities"));
    if (q->intent[0] && !tg_json_string_eq(doc, intent, text_of(q->intent)))
        return false;
    if (q->modality[0] && !lists(doc, in, q->modality) && (in || strcmp(q->modality, "text") != 0))
        return false;
    /* What the node says of its backend goes before what it once registered. */
    if (q->model[0] && n->health_models.text)
        return lists(&n->health_models.doc, n->health_models.doc.nodes, q->model);
    return !q->model[0] || lists(doc, tg_json_get(doc, capability, TG_STR("models")), q->model);
}

static bool serves(const struct devnet_node *n, const struct wanted *q)
{
    TG_JSON_FOREACH(capability, capabilities(n))
    if (capability_serves(n, capability, q))
        return true;
    return false;
}

static bool proven(const struct devnet_node *n, const struct wanted *q)
{
    uint64_t tasks = devnet_node_tasks(n);
    if (strcmp(q->qos, "interactive") == 0)
        return tasks >= INTERACTIVE_TASKS;
    if (strcmp(q->qos, "realtime") == 0)
        return tasks >= REALTIME_TASKS && devnet_node_reputation(n) >= REALTIME_REPUTATION;
    return true;
}

static bool fits(const struct devnet *d, const struct devnet_node *n, const struct wanted *q)
{
    if (!devnet_node_listed(d, n) || !serves(n, q) || !proven(n, q))
        return false;
    if (q->region[0] && strcmp(q->region, n->region) != 0)
        return false;
    if ((q->cip_capable && !n->allow_remote_inference) || (q->relay_capable && !n->relay_capable))
        return false;
    return devnet_node_reputation(n) >= q->min_reputation && n->multiplier <= q->max_multiplier;
}

/* ---- the answer -----------------------------------------------------------------------------------------
 */

/* Reputation, less what is busy; who takes nothing now comes last. */
static double score(const struct devnet_node *n)
{
    return devnet_node_reputation(n) * (1 - n->load / 2) * (n->available ? 1 : 0.01);
}

static int by_score(const void *a, const void *b)
{
    const struct devnet_node *const *left = a, *const *right = b;
    double difference = score(*right) - score(*left);
    return difference > 0 ? 1 : difference < 0 ? -1 : strcmp((*left)->id, (*right)->id);
}

static void write_models(struct exchange *x, const struct devnet_node *n)
{
    const struct tg_json_doc *doc = &n->registration.doc;
    TG_JSON_KEY(&x->w, "models");
    if (n->health_models.text) {
        tg_json_write_raw(&x->w, tg_json_raw(&n->health_models.doc, n->health_models.doc.nodes));
        return;
    }
    tg_json_write_begin_array(&x->w);
    TG_JSON_FOREACH(capability, capabilities(n))
    {
        const struct tg_json_node *models = tg_json_get(doc, capability, TG_STR("models"));
        if (models && models->type == TG_JSON_ARRAY)
            TG_JSON_FOREACH(model, models)
        tg_json_write_raw(&x->w, tg_json_raw(doc, model));
    }
    tg_json_write_end_array(&x->w);
}

static void write_or_null(struct exchange *x, const char *key, const char *text)
{
    tg_json_write_key(&x->w, text_of(key));
    if (text[0])
        tg_json_write_string(&x->w, text_of(text));
    else
        tg_json_write_null(&x->w);
}

/* Where a task goes; the public view leaves it out. */
static void write_routes(struct exchange *x, const struct devnet_node *n)
{
    exchange_text(x, "endpoint", n->endpoint);
    write_or_null(x, "transport_endpoint", n->transport_endpoint);
    write_or_null(x, "relay_endpoint", n->relay_endpoint);
    TG_JSON_KEY(&x->w, "cx_public_key");
    tg_json_write_raw(&x->w, n->cx_public_key ? text_of(n->cx_public_key) : TG_STR("null"));
}

static void write_node(struct exchange *x, const struct devnet_node *n, bool public_view)
{
    tg_json_write_begin_object(&x->w);
    exchange_text(x, "node_id", n->id);
    if (!public_view)
        write_routes(x, n);
    exchange_text(x, "region", n->region);
    exchange_number(x, "score", score(n));
    exchange_flag(x, "available", n->available);
    exchange_number(x, "load", n->load);
    write_models(x, n);
    TG_JSON_KEY(&x->w, "capabilities");
    tg_json_write_raw(&x->w, tg_json_raw(&n->registration.doc, capabilities(n)));
    exchange_flag(x, "relay_capable", n->relay_capable);
    exchange_flag(x, "cip_capable", n->allow_remote_inference);
    exchange_flag(x, "operator_verified", n->operator_verified);
    exchange_number(x, "reputation_score", devnet_node_reputation(n));
    exchange_number(x, "credit_cost_multiplier", n->multiplier);
    exchange_flag(x, "pricing_attested", n->pricing_signed);
    tg_json_write_end_object(&x->w);
}

static bool relay_available(struct devnet *d)
{
    DEVNET_FOREACH(n, d)
    if (n->relay_capable && devnet_node_listed(d, n))
        return true;
    return false;
}

static void write_found(struct exchange *x, const struct devnet_node *const *found, uint32_t count,
                        bool public_view)
{
    exchange_begin(x, 200);
    TG_JSON_KEY(&x->w, "nodes");
    tg_json_write_begin_array(&x->w);
    for (uint32_t i = 0; i < count; i++)
        write_node(x, found[i], public_view);
    tg_json_write_end_array(&x->w);
    exchange_number(x, "count", count);
    exchange_flag(x, "relay_available", relay_available(x->d));
}

void devnet_discover(struct exchange *x)
{
    struct wanted q = {.limit = DISCOVER_DEFAULT, .max_multiplier = 1000};
    const struct devnet_node *found[DEVNET_NODES_MAX];
    uint32_t count = 0;
    uint64_t begin = clock_now_ns();
    if (!read_wanted(x, &q))
        return;
    exchange_lock(x);
    DEVNET_FOREACH(n, x->d)
    if (fits(x->d, n, &q))
        found[count++] = n;
    qsort(found, count, sizeof(found[0]), by_score);
    write_found(x, found, TG_MIN(count, (uint32_t)q.limit), strcmp(q.view, "public") == 0);
    exchange_number(x, "query_ms", (double)((clock_now_ns() - begin) / NS_PER_US) / 1000);
    exchange_end(x);
    exchange_unlock(x);
}

/* ---- bootstrap and registry -----------------------------------------------------------------------------
 */

static void write_peer(struct exchange *x, const struct devnet_node *n)
{
    tg_json_write_begin_object(&x->w);
    exchange_text(x, "node_id", n->id);
    exchange_text(x, "endpoint", n->endpoint);
    exchange_text(x, "region", n->region);
    exchange_time(x, "last_seen", n->last_seen);
    tg_json_write_end_object(&x->w);
}

void devnet_bootstrap(struct exchange *x)
{
    struct rules_report r = {0};
    uint64_t limit = BOOTSTRAP_DEFAULT, count = 0;
    read_count(x, &r, BOOTSTRAP_MAX, &limit);
    if (!rules_passed(x, &r))
        return;
    exchange_lock(x);
    exchange_begin(x, 200);
    TG_JSON_KEY(&x->w, "peers");
    tg_json_write_begin_array(&x->w);
    DEVNET_FOREACH(n, x->d)
    if (count < limit && devnet_node_listed(x->d, n)) {
        write_peer(x, n);
        count++;
    }
    tg_json_write_end_array(&x->w);
    exchange_number(x, "count", (double)count);
    exchange_end(x);
    exchange_unlock(x);
}

/* UUIDs are asked for by their first eight characters, other ids in full. */
static bool prefix_fits(const struct devnet_node *n, struct tg_str prefix)
{
    size_t len = strlen(n->id);
    bool uuid = len == 36 && n->id[8] == '-' && n->id[13] == '-';
    return (prefix.len == len || (uuid && prefix.len >= 8 && prefix.len < len)) &&
           memcmp(n->id, prefix.ptr, prefix.len) == 0;
}

static const struct devnet_node *present(struct devnet *d, struct tg_str prefix)
{
    DEVNET_FOREACH(n, d)
    if (prefix_fits(n, prefix) && !devnet_node_stale(d, n))
        return n;
    return NULL;
}

void devnet_registry(struct exchange *x)
{
    exchange_lock(x);
    const struct devnet_node *n = present(x->d, x->rest);
    if (n) {
        exchange_begin(x, 200);
        exchange_text(x, "node_id", n->id);
        exchange_text(x, "region", n->region);
        exchange_time(x, "last_seen", n->last_seen);
        exchange_flag(x, "listed", devnet_node_listed(x->d, n));
        exchange_end(x);
    } else {
        exchange_error(x, 404, "IICP-E003", "no such node");
    }
    exchange_unlock(x);
}

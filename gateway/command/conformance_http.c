/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of health, of HTTP itself, and of what the directory knows. */
#include <errno.h>
#include "conformance.h"
#include "gateway/control/outbound.h"
#include "gateway/control/store.h"

#define HEALTH_MS 3000
#define PROBE_PORT_MIN 1024 /* of what directories probe */
#define NO_BODY ((struct tg_str){NULL, 0})

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

/* ---- health ------------------------------------------------------------------------------------------ */

struct finding conformance_conf_health(struct conformance *c)
{
    static const char *const keys[] = {"status", "node_id", "region", "load", "models"};
    struct answer a;
    conformance_ask(c, "GET", "/iicp/health", NULL, NO_BODY, &a);
    struct finding f = conformance_answered(&a, 200);
    if (f.verdict == VERDICT_PASS && a.elapsed_ns > HEALTH_MS * 1000000ull)
        f = fail("answered only after %.0f ms", (double)a.elapsed_ns / 1e6);
    for (size_t i = 0; i < TG_ARRAY_SIZE(keys) && f.verdict == VERDICT_PASS; i++)
        if (!answer_get(&a, keys[i]))
            f = fail("there is no member %s", keys[i]);
    answer_finish(&a);
    return f;
}

/* What this host keeps of the node: 1 if there is a token, 0 if there is none, negative if it keeps nothing of it. */
static int kept_token(const struct conformance *c)
{
    char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + 128], bytes[4096];
    struct tg_json_node nodes[TG_JSON_NODES_MAX(64)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    if (!store_dir(c->config->node_state_dir, folder))
        return -ENOENT;
    snprintf(path, sizeof(path), "%s/nodes/%s.json", folder, c->config->node_name);
    int64_t len = store_read(path, true, bytes, sizeof(bytes));
    int rc = -ENOENT;
    if (len > 0 && tg_json_parse(&doc, bytes, (size_t)len, &err) == 0 && nodes[0].type == TG_JSON_OBJECT) {
        const struct tg_json_node *id = tg_json_get(&doc, nodes, TG_STR("node_id")),
                                  *token = tg_json_get(&doc, nodes, TG_STR("node_token"));
        if (id && id->type == TG_JSON_STRING && tg_json_string_eq(&doc, id, text(c->node_id)))
            rc = token && token->type == TG_JSON_STRING && token->text.len > 0;
    }
    crypto_wipe(bytes, sizeof(bytes));
    return rc;
}

struct finding conformance_conf_reg(struct conformance *c)
{
    if (!c->node_id[0])
        return fail("health names no node_id");
    int token = kept_token(c);
    if (token < 0)
        return skip("it is %s; whether it has a token is known where its credentials are: --node.state_dir", c->node_id);
    return token ? pass() : fail("%s has no token", c->node_id);
}

struct finding conformance_health_status(struct conformance *c)
{
    const struct tg_json_node *status = answer_get(&c->health, "status");
    if (!answer_object(&c->health))
        return fail("health is no JSON object");
    if (!status || status->type != TG_JSON_STRING)
        return fail("status is no string");
    if (!tg_json_string_eq(&c->health.doc, status, TG_STR("ok")) &&
        !tg_json_string_eq(&c->health.doc, status, TG_STR("degraded")))
        return fail("status is neither ok nor degraded");
    return strncmp(c->health.content_type, "application/json", 16) == 0
               ? pass()
               : fail("Content-Type is not application/json");
}

struct finding conformance_health_head(struct conformance *c)
{
    struct answer a;
    conformance_ask(c, "HEAD", "/iicp/health", NULL, NO_BODY, &a);
    struct finding f = pass();
    if (a.error)
        f = fail("no answer: %s", a.why);
    else if (a.status < 200 || a.status > 299)
        f = fail("answered %u", a.status);
    else if (a.body_len)
        f = fail("it has a body of %zu bytes", a.body_len);
    answer_finish(&a);
    return f;
}

struct finding conformance_health_load(struct conformance *c)
{
    double load = conformance_number(&c->health, "load", -1),
           active = conformance_number(&c->health, "active_jobs", -1);
    double max = conformance_number(&c->health, "max_concurrent", -1);
    double effective = conformance_number(&c->health, "effective_max_concurrent", max);
    const struct tg_json_node *available = answer_get(&c->health, "available");
    if (load < 0 || load > 1)
        return fail("load is not within 0 and 1");
    if (active < 0 || max < 1)
        return fail("active_jobs or max_concurrent is missing or negative");
    if (effective > max)
        return fail("effective_max_concurrent is over max_concurrent");
    if (!available || (available->type != TG_JSON_TRUE && available->type != TG_JSON_FALSE))
        return fail("available is neither true nor false");
    return available->type == TG_JSON_TRUE && active >= effective
               ? fail("available, with all of its slots taken")
               : pass();
}

/* ---- HTTP -------------------------------------------------------------------------------------------- */

static struct finding has_cors(const struct answer *a)
{
    if (!tg_str_eq(answer_header(a, "Access-Control-Allow-Origin"), TG_STR("*")))
        return fail("Access-Control-Allow-Origin is not *");
    if (!answer_header(a, "Access-Control-Allow-Methods").len ||
        !answer_header(a, "Access-Control-Allow-Headers").len)
        return fail("Access-Control-Allow-Methods or -Headers is missing");
    return pass();
}

struct finding conformance_http_cors(struct conformance *c)
{
    struct answer a;
    struct finding f = has_cors(&c->health);
    if (f.verdict != VERDICT_PASS)
        return f;
    conformance_ask(c, "OPTIONS", "/v1/task", NULL, NO_BODY, &a);
    f = conformance_answered(&a, 204);
    if (f.verdict == VERDICT_PASS)
        f = has_cors(&a);
    answer_finish(&a);
    return f;
}

/* Clients look in either place. */
static struct finding has_both_codes(const struct answer *a)
{
    const struct tg_json_node *inner = answer_get(a, "error"), *outer = answer_get(a, "code");
    const struct tg_json_node *code =
        inner && inner->type == TG_JSON_OBJECT ? tg_json_get(&a->doc, inner, TG_STR("code")) : NULL;
    if (!code || code->type != TG_JSON_STRING)
        return fail("there is no error.code");
    return outer && outer->type == TG_JSON_STRING ? pass() : fail("there is no code beside error");
}

static struct finding refused(struct conformance *c, const char *method, const char *path, uint32_t status)
{
    struct answer a;
    conformance_ask(c, method, path, NULL, NO_BODY, &a);
    struct finding f = conformance_refusal(&a, status, NULL);
    if (f.verdict == VERDICT_PASS)
        f = has_both_codes(&a);
    answer_finish(&a);
    return f;
}

struct finding conformance_http_not_found(struct conformance *c)
{
    return refused(c, "GET", "/no/such/path", 404);
}

struct finding conformance_http_method(struct conformance *c)
{
    return refused(c, "GET", "/v1/task", 405);
}

/* ---- the directory ----------------------------------------------------------------------------------- */

/* Literal hosts of this machine and of examples; with directory.allow_private a lab's directory is asked all
 * the same. */
static bool never_reached(struct tg_str host)
{
    static const char *const words[] = {"localhost", "127.0.0.1", "::1", "example.com", "0.0.0.0"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(words); i++)
        if (host.len >= strlen(words[i]) && memmem(host.ptr, host.len, words[i], strlen(words[i])))
            return true;
    return false;
}

struct finding conformance_conf_reach(struct conformance *c)
{
    struct outbound_url u;
    char path[512] = "/v1/probe?host=", port[32];
    size_t len = strlen(path);
    struct answer a;
    if (!c->config->directory_url[0])
        return skip("no directory to ask: --directory.url");
    if (outbound_url_parse(text(c->url), &u) ||
        !iicp_percent_append(path, sizeof(path) - sizeof(port), &len, u.host))
        return fail("the address cannot be asked about");
    if (never_reached(u.host) && !c->config->directory_allow_private)
        return fail("nobody else can reach this address (--directory.allow_private=true asks all the same)");
    if (u.port < PROBE_PORT_MIN)
        return skip("directories probe no port below %d, and this is %u", PROBE_PORT_MIN, u.port);
    snprintf(path + len, sizeof(path) - len, "&port=%u", u.port);
    if (!finder_ask(c->client, "conformance", c->config, path, &a))
        return fail("the directory gave no answer");
    const struct tg_json_node *reachable = answer_get(&a, "reachable");
    bool yes = a.status == 200 && reachable && reachable->type == TG_JSON_TRUE;
    uint32_t status = a.status;
    answer_finish(&a);
    return yes ? pass() : fail("the directory does not reach it (answered %u)", status);
}

struct finding conformance_conf_disc(struct conformance *c)
{
    static struct found_nodes found; /* large */
    struct iicp_discover question = {.intent = text(c->intent_used),
                                     .limit = FINDER_NODES_MAX,
                                     .min_reputation = -1,
                                     .max_multiplier = -1};
    if (!c->config->directory_url[0])
        return skip("no directory to ask: --directory.url");
    struct finding f = fail("%s is not among the directory's nodes for %s", c->node_id, c->intent_used);
    if (!finder_discover(c->client, "conformance", c->config, &question, &found))
        f = fail("the directory gave no list");
    for (uint32_t i = 0; i < found.count; i++)
        if (strcmp(found.nodes[i].node_id, c->node_id) == 0)
            f = pass();
    found_finish(&found);
    return f;
}

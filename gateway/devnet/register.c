/* SPDX-License-Identifier: Apache-2.0 */
/* POST and DELETE /v1/register: judge the body, find out whose node it is, call it back, take it in. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dial.h"
#include "forms.h"
#include "gateway/base/clock.h"
#include "gateway/control/outbound.h"
#include "handlers.h"
#include "rules.h"
#include "signatures.h"
#include "text.h"
#include "tokens.h"

#define NODES_PER_ADDRESS_STRICT 20

/* The texts of a body that has passed the rules. */
struct registration {
    char id[NODE_ID_MAX + 1], endpoint[NODE_URL_MAX + 1], token[65], hmac_key[NODE_HMAC_KEY_MAX + 1];
    char transport_endpoint[NODE_URL_MAX + 1], relay_endpoint[NODE_URL_MAX + 1], region[65];
    char transport_method[32], nat_type[32], cx_key[64];
    const struct tg_json_node *cx, *pricing, *delegation;
    bool pricing_signed;
};

static const struct tg_json_node *object_member(const struct exchange *x, struct tg_str key)
{
    const struct tg_json_node *v = tg_json_get(&x->doc, exchange_root(x), key);
    return v && v->type == TG_JSON_OBJECT ? v : NULL;
}

static void read_body(struct exchange *x, struct registration *r)
{
    exchange_member(x, "node_id", r->id, sizeof(r->id));
    exchange_member(x, "endpoint", r->endpoint, sizeof(r->endpoint));
    exchange_member(x, "current_node_token", r->token, sizeof(r->token));
    exchange_member(x, "node_hmac_key", r->hmac_key, sizeof(r->hmac_key));
    exchange_member(x, "transport_endpoint", r->transport_endpoint, sizeof(r->transport_endpoint));
    exchange_member(x, "relay_endpoint", r->relay_endpoint, sizeof(r->relay_endpoint));
    exchange_member(x, "region", r->region, sizeof(r->region));
    exchange_member(x, "transport_method", r->transport_method, sizeof(r->transport_method));
    exchange_member(x, "nat_type", r->nat_type, sizeof(r->nat_type));
    r->cx = object_member(x, TG_STR("cx_public_key"));
    r->pricing = object_member(x, TG_STR("pricing"));
    r->delegation = object_member(x, TG_STR("operator_delegation"));
    r->cx_key[0] = '\0';
    if (r->cx)
        text_member(&x->doc, r->cx, "key", r->cx_key, sizeof(r->cx_key));
}

static bool refuse(struct exchange *x, uint16_t status, const char *code, const char *message)
{
    exchange_error(x, status, code, message);
    return false;
}

/* ---- what the body alone decides ----------------------------------------------------------------------- */

static bool intents_allowed(struct exchange *x)
{
    const struct tg_json_node *list = tg_json_get(&x->doc, exchange_root(x), TG_STR("capabilities"));
    char intent[256];
    TG_JSON_FOREACH(capability, list)
    {
        text_member(&x->doc, capability, "intent", intent, sizeof(intent));
        if (form_prohibited(intent))
            return refuse(x, 422, "IICP-POLICY-001", "an intent is prohibited by policy");
    }
    return true;
}

/* Signed prices are judged by the key in the same body, and by no other. */
static bool pricing_holds(struct exchange *x, struct registration *r)
{
    if (!r->pricing ||
        signature_pricing_holds(x->crypto, r->hmac_key, &x->doc, r->pricing, &r->pricing_signed))
        return true;
    return refuse(x, 422, "IICP-E010",
                  r->hmac_key[0] ? "the pricing signature does not verify"
                                 : "a pricing signature needs node_hmac_key in the same body");
}

static bool delegation_holds(struct exchange *x, const struct registration *r, time_t now)
{
    struct rules_report report = {0};
    const char *wrong =
        r->delegation ? signature_delegation_wrong(x->crypto, &x->doc, r->delegation, r->id, now) : NULL;
    if (wrong)
        rules_wrong(&report, "operator_delegation", wrong);
    return rules_passed(x, &report);
}

static bool body_holds(struct exchange *x, struct registration *r)
{
    exchange_lock(x);
    time_t now = devnet_now(x->d);
    exchange_unlock(x);
    if (!rules_hold(x, "register"))
        return false;
    read_body(x, r);
    return intents_allowed(x) && pricing_holds(x, r) && delegation_holds(x, r, now);
}

/* ---- whose node it is ---------------------------------------------------------------------------------- */

static bool rate_allows(struct exchange *x)
{
    exchange_lock(x);
    bool admitted = devnet_address_admit(x->d, x->peer);
    exchange_unlock(x);
    if (admitted)
        return true;
    exchange_begin(x, 429);
    x->retry_after_s = 60;
    exchange_text(x, "error", "IICP-E034"); /* a plain string, of all errors only here */
    exchange_text(x, "message", "too many registrations from this address");
    exchange_number(x, "retry_after", 60);
    exchange_end(x);
    return false;
}

static bool owns(const struct devnet_node *n, const struct registration *r)
{
    struct tg_str token = text_of(r->token);
    bool before = n->token_before[0] && crypto_equal(token, text_of(n->token_before));
    return r->token[0] && (crypto_equal(token, text_of(n->token)) || before);
}

static bool route_changes(const struct devnet_node *n, const struct registration *r)
{
    return strcmp(n->endpoint, r->endpoint) != 0 ||
           strcmp(n->transport_endpoint, r->transport_endpoint) != 0 ||
           strcmp(n->relay_endpoint, r->relay_endpoint) != 0;
}

static bool cx_key_changes(const struct devnet_node *n, const struct registration *r)
{
    return n->cx_key[0] && r->cx && strcmp(n->cx_key, r->cx_key) != 0;
}

/* With the lock held: may this node be taken in, as it is known now? */
static bool known_node_allows(struct exchange *x, const struct registration *r)
{
    const struct devnet_node *n = r->id[0] ? devnet_node_find(x->d, r->id) : NULL;
    if (!n)
        return !x->d->options->strict || devnet_nodes_of(x->d, x->peer) < NODES_PER_ADDRESS_STRICT ||
               refuse(x, 422, "IICP-E052", "too many nodes at this address");
    if (cx_key_changes(n, r))
        return refuse(x, 403, "IICP-E049", "cx_public_key is not the one this node registered with");
    if (owns(n, r))
        return true;
    if (x->d->options->strict || route_changes(n, r))
        return refuse(x, 403, "IICP-E050",
                      "current_node_token is required to change this node's registration");
    return true;
}

static bool node_allowed(struct exchange *x, const struct registration *r)
{
    exchange_lock(x);
    bool allowed = known_node_allows(x, r);
    exchange_unlock(x);
    return allowed;
}

/* ---- whether it can be reached ------------------------------------------------------------------------- */

static bool endpoint_routable(struct exchange *x, const struct registration *r)
{
    struct outbound_url url;
    if (x->d->options->allow_private)
        return true;
    if (!outbound_url_parse(text_of(r->endpoint), &url) && dial_host_public(url.host))
        return true;
    return refuse(x, 422, "IICP-E035", "the endpoint is not on the public Internet");
}

static bool answers_without_dialling(const struct registration *r)
{
    return r->transport_method[0] && r->nat_type[0] && strcmp(r->nat_type, "unknown") != 0;
}

static bool endpoint_lives(struct exchange *x, const struct registration *r)
{
    char url[NODE_URL_MAX + 32], why[DIAL_WHY_MAX], message[DIAL_WHY_MAX + 64];
    size_t len = strlen(r->endpoint);
    if (answers_without_dialling(r))
        return true;
    while (len > 0 && r->endpoint[len - 1] == '/')
        len--;
    snprintf(url, sizeof(url), "%.*s/iicp/health", (int)len, r->endpoint);
    long status = dial(url, false, x->d->options->liveness_ms, why);
    if (status >= 200 && status < 300)
        return true;
    if (status == 0) {
        snprintf(message, sizeof(message), "the endpoint could not be reached: %s", why);
        return refuse(x, 422, "IICP-E036", message);
    }
    snprintf(message, sizeof(message), "/iicp/health at the endpoint answered %ld", status);
    return refuse(x, 422, "liveness_failed", message);
}

/* ---- taking it in -------------------------------------------------------------------------------------- */

/* Only the first registration sets the price and what the node is willing to do. */
static void set_terms(struct exchange *x, struct devnet_node *n, const struct registration *r)
{
    const struct tg_json_node *policy = object_member(x, TG_STR("policy"));
    const struct tg_json_node *remote =
        tg_json_get(&x->doc, policy ? policy : exchange_root(x), TG_STR("allow_remote_inference"));
    const struct tg_json_node *relay = tg_json_get(&x->doc, exchange_root(x), TG_STR("relay_capable"));
    const struct tg_json_node *price =
        r->pricing ? tg_json_get(&x->doc, r->pricing, TG_STR("credit_cost_multiplier")) : NULL;
    n->allow_remote_inference = policy && remote && remote->type == TG_JSON_TRUE;
    n->relay_capable = relay && relay->type == TG_JSON_TRUE;
    n->multiplier = price && tg_json_is_number(price) ? tg_json_number(price) : 1;
    n->pricing_signed = r->pricing_signed;
}

static void set_routes(struct devnet_node *n, const struct registration *r, const char *peer)
{
    memcpy(n->endpoint, r->endpoint, sizeof(n->endpoint));
    memcpy(n->transport_endpoint, r->transport_endpoint, sizeof(n->transport_endpoint));
    memcpy(n->relay_endpoint, r->relay_endpoint, sizeof(n->relay_endpoint));
    memcpy(n->region, r->region, sizeof(n->region));
    snprintf(n->peer, sizeof(n->peer), "%s", peer);
}

static void set_credentials(struct exchange *x, struct devnet_node *n, const struct registration *r)
{
    memcpy(n->token_before, n->token, sizeof(n->token));
    devnet_random_hex(x->d, x->crypto, n->token, NODE_TOKEN_CHARS);
    devnet_random_hex(x->d, x->crypto, n->proxy_token, NODE_TOKEN_CHARS);
    if (r->hmac_key[0])
        memcpy(n->hmac_key, r->hmac_key, sizeof(n->hmac_key));
    else
        devnet_random_hex(x->d, x->crypto, n->hmac_key, 64);
    memset(n->challenge, 0, sizeof(n->challenge)); /* made for the key before */
}

/* The key, as its own JSON text; a body without one leaves the known key as it is. */
static bool set_cx_key(struct exchange *x, struct devnet_node *n, const struct registration *r)
{
    struct tg_str raw = r->cx ? tg_json_raw(&x->doc, r->cx) : (struct tg_str){0};
    if (!r->cx)
        return true;
    char *copy = strndup(raw.ptr, raw.len);
    if (!copy)
        return false;
    free(n->cx_public_key);
    n->cx_public_key = copy;
    memcpy(n->cx_key, r->cx_key, sizeof(n->cx_key));
    return true;
}

static void set_presence(struct exchange *x, struct devnet_node *n)
{
    record_drop(&n->health_models);
    n->available = true;
    n->draining = n->challenge_failed = false;
    n->heard_ns = clock_now_ns();
    n->last_seen = devnet_now(x->d);
    n->registrations++;
}

static bool take_in(struct exchange *x, struct devnet_node *n, const struct registration *r)
{
    if (!record_keep(&n->registration, x->body) || !set_cx_key(x, n, r))
        return false;
    if (n->registrations == 0)
        set_terms(x, n, r);
    n->operator_verified = r->delegation != NULL;
    set_routes(n, r, x->peer);
    set_credentials(x, n, r);
    set_presence(x, n);
    return true;
}

static void write_reply(struct exchange *x, const struct devnet_node *n, bool recovered)
{
    char jwt[JWT_TEXT_MAX];
    bool signed_jwt = jwt_issue(x->d, x->crypto, n->id, jwt);
    exchange_begin(x, 201);
    exchange_text(x, "node_id", n->id);
    exchange_text(x, "node_token", n->token);
    exchange_text(x, "proxy_token", n->proxy_token);
    exchange_text(x, "node_hmac_key", n->hmac_key);
    TG_JSON_KEY(&x->w, "expires_at");
    tg_json_write_null(&x->w);
    if (signed_jwt) {
        exchange_text(x, "jwt_token", jwt);
        exchange_time(x, "jwt_expires_at", devnet_now(x->d) + JWT_LIFETIME_S);
    }
    exchange_text(x, "directory", x->d->url);
    exchange_text(x, "observed_source_ip", x->peer);
    exchange_flag(x, "recovered", recovered);
    exchange_number(x, "lifetime_jobs", (double)devnet_node_tasks(n));
    exchange_end(x);
}

/* The world may have changed while the node was dialled, so it is looked at again. */
static void commit(struct exchange *x, struct registration *r)
{
    if (!known_node_allows(x, r))
        return;
    if (!r->id[0])
        devnet_random_uuid(x->d, x->crypto, r->id);
    struct devnet_node *n = devnet_node_find(x->d, r->id);
    bool fresh = n == NULL, recovered = n && owns(n, r);
    if (fresh)
        n = devnet_node_add(x->d, r->id);
    if (!n || !take_in(x, n, r)) {
        if (n && fresh)
            devnet_node_remove(n);
        exchange_error(x, 503, "internal_error", n ? "out of memory" : "the directory is full");
        return;
    }
    memcpy(x->node, n->id, sizeof(n->id));
    write_reply(x, n, recovered);
}

void devnet_register(struct exchange *x)
{
    struct registration r = {0};
    if (!rate_allows(x) || !body_holds(x, &r) || !node_allowed(x, &r))
        return;
    if (!endpoint_routable(x, &r) || !endpoint_lives(x, &r))
        return;
    exchange_lock(x);
    commit(x, &r);
    exchange_unlock(x);
}

/* ---- going ----------------------------------------------------------------------------------------------
 */

void devnet_deregister(struct exchange *x)
{
    if (!rules_hold(x, "deregister"))
        return;
    exchange_lock(x);
    struct devnet_node *n = exchange_caller(x);
    if (n) {
        devnet_node_remove(n);
        exchange_begin(x, 200);
        exchange_flag(x, "deregistered", true);
        exchange_end(x);
    }
    exchange_unlock(x);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Who may submit tasks (contract section 1.6): this node's token, or a consumer token signed by the directory. */
#include "iicp_gates.h"
#include <time.h>

/* What the client showed. */
struct credentials {
    struct tg_str node_token; /* in the body, or as Bearer; len 0: none */
    struct tg_str consumer_token;
};

static bool refuse(struct iicp *ic, struct task *t)
{
    metrics_add(ic->tasks->metrics, METRIC_UNAUTHORIZED, 1);
    task_finish(ic->tasks, t, TG_UNAUTHORIZED);
    return false;
}

static struct credentials shown(struct iicp *ic, const struct iicp_request *req, const struct iicp_envelope *e)
{
    const struct tg_json_node *token = e->fields[IICP_AUTH]
                                           ? tg_json_get(&ic->doc, e->fields[IICP_AUTH], TG_STR("node_token"))
                                           : NULL;
    struct credentials c = {.consumer_token = req->consumer_token};
    if (token && token->type == TG_JSON_STRING && token->text.len > 0)
        c.node_token = tg_json_string(&ic->doc, token); /* ours has nothing that would be escaped */
    else
        c.node_token = iicp_token_bearer(req->authorization);
    return c;
}

/* The token names the intent it is for, in plain letters; so does the task, or it is not this one. */
static struct tg_str intent_of(const struct iicp *ic, const struct iicp_envelope *e)
{
    const struct tg_json_node *n = e->fields[IICP_INTENT];
    return n && n->type == TG_JSON_STRING ? tg_json_string(&ic->doc, n) : TG_STR("");
}

static bool consumer_ok(struct iicp *ic, const struct iicp_keys *keys, struct tg_str token,
                        const struct iicp_envelope *e)
{
    struct iicp_token_scope scope = {
        .node_id = iicp_node_id(ic),
        .intent = intent_of(ic, e),
        .unix_s = time(NULL),
    };
    enum iicp_token_result r = iicp_token_verify(ic->room->crypto, keys, &ic->room->tokens, token, &scope);
    if (r == IICP_TOKEN_SIGNATURE) /* forged; or the directory has another key since */
        atomic_store_explicit(&ic->shared->key_doubted, true, memory_order_relaxed); /* a hint, see gateway/membership */
    return r == IICP_TOKEN_OK;
}

static bool verified(struct iicp *ic, const struct iicp_envelope *e, const struct credentials *c)
{
    const struct iicp_keys *keys = atomic_load_explicit(&ic->shared->keys, memory_order_acquire); /* I1 */
    if (!keys)
        return false;
    return (c->node_token.len > 0 && iicp_token_is_node(keys, c->node_token)) ||
           (c->consumer_token.len > 0 && consumer_ok(ic, keys, c->consumer_token, e));
}

bool iicp_auth_check(struct iicp *ic, struct task *t, const struct iicp_request *req, const struct iicp_envelope *e)
{
    struct credentials c = shown(ic, req, e);
    bool any = c.node_token.len > 0 || c.consumer_token.len > 0;
    if (!any && ic->settings->auth == IICP_AUTH_OPTIONAL)
        return true;
    return (any && verified(ic, e, &c)) || refuse(ic, t);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/heartbeat: what a node reports, and whether it still holds its key. */
#include <string.h>

#include "gateway/base/clock.h"
#include "handlers.h"
#include "rules.h"
#include "signatures.h"
#include "text.h"

static const struct tg_json_node *member(const struct exchange *x, struct tg_str key, enum tg_json_type type)
{
    const struct tg_json_node *v = tg_json_get(&x->doc, exchange_root(x), key);
    return v && v->type == type ? v : NULL;
}

static uint64_t count_of(const struct exchange *x, const struct tg_json_node *metrics, struct tg_str key)
{
    const struct tg_json_node *v = tg_json_get(&x->doc, metrics, key);
    return v && v->type == TG_JSON_INT ? (uint64_t)v->i64 : 0;
}

/* ---- pricing --------------------------------------------------------------------------------------------
 */

/* A wrong signature refuses the whole beat, so it is judged before anything is counted. */
static bool pricing_holds(struct exchange *x, struct devnet_node *n)
{
    const struct tg_json_node *pricing = member(x, TG_STR("pricing"), TG_JSON_OBJECT);
    bool with_signature;
    if (!pricing)
        return true;
    if (!signature_pricing_holds(x->crypto, n->hmac_key, &x->doc, pricing, &with_signature)) {
        exchange_error(x, 422, "IICP-E010", "the pricing signature does not verify");
        return false;
    }
    const struct tg_json_node *price = tg_json_get(&x->doc, pricing, TG_STR("credit_cost_multiplier"));
    n->multiplier = price && tg_json_is_number(price) ? tg_json_number(price) : n->multiplier;
    n->pricing_signed = with_signature;
    return true;
}

/* ---- challenges -----------------------------------------------------------------------------------------
 */

/* The one before counts too: the reply with the latest may have been lost. */
static bool answers(struct exchange *x, const struct devnet_node *n, const char *response)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(n->challenge); i++)
        if (n->challenge[i][0] &&
            signature_hmac_holds(x->crypto, n->hmac_key, text_of(n->challenge[i]), response))
            return true;
    return false;
}

/* Nothing is asked of a first beat. */
static void judge_challenge(struct exchange *x, struct devnet_node *n)
{
    char response[2 * CRYPTO_HASH_BYTES + 1];
    bool given = exchange_member(x, "challenge_response", response, sizeof(response));
    if (!n->challenge[0][0] && !given)
        return;
    bool passed = given && answers(x, n, response);
    n->challenge_failed = !passed;
    n->challenges_passed += passed;
    n->challenges_failed += !passed;
}

static void issue_challenge(struct exchange *x, struct devnet_node *n)
{
    memcpy(n->challenge[1], n->challenge[0], sizeof(n->challenge[0]));
    devnet_random_hex(x->d, x->crypto, n->challenge[0], CHALLENGE_CHARS);
}

/* ---- metrics --------------------------------------------------------------------------------------------
 */

static bool batch_known(const struct devnet_node *n, const char *id)
{
    for (size_t i = 0; i < DEVNET_BATCHES_KEPT; i++)
        if (strcmp(n->batches[i], id) == 0)
            return true;
    return false;
}

/* Counts of a batch that came before are acknowledged and not counted again. */
static void count_batch(struct exchange *x, struct devnet_node *n, const char *id)
{
    const struct tg_json_node *metrics = member(x, TG_STR("metrics"), TG_JSON_OBJECT);
    if (!metrics)
        return;
    if (id[0] && batch_known(n, id)) {
        n->batches_repeated++;
        return;
    }
    if (id[0]) {
        memcpy(n->batches[n->batch_next++ % DEVNET_BATCHES_KEPT], id, sizeof(n->batches[0]));
        n->batches_accepted++;
    }
    n->tasks_success += count_of(x, metrics, TG_STR("tasks_success"));
    n->tasks_failed += count_of(x, metrics, TG_STR("tasks_failed"));
}

/* ---- presence -------------------------------------------------------------------------------------------
 */

static bool reports_draining(const struct exchange *x)
{
    const struct tg_json_node *stability = member(x, TG_STR("backend_stability"), TG_JSON_OBJECT);
    char status[16], state[16] = "";
    exchange_member(x, "status", status, sizeof(status));
    if (stability)
        text_member(&x->doc, stability, "backend_state", state, sizeof(state));
    return strcmp(status, "draining") == 0 || strcmp(state, "draining") == 0;
}

static void note_presence(struct exchange *x, struct devnet_node *n)
{
    const struct tg_json_node *load = tg_json_get(&x->doc, exchange_root(x), TG_STR("load"));
    const struct tg_json_node *models = member(x, TG_STR("health_models"), TG_JSON_ARRAY);
    n->heartbeats++;
    n->heard_ns = clock_now_ns();
    n->last_seen = devnet_now(x->d);
    n->load = load && tg_json_is_number(load) ? tg_json_number(load) : 0;
    n->active_jobs = (uint32_t)count_of(x, exchange_root(x), TG_STR("active_jobs"));
    n->available = !member(x, TG_STR("available"), TG_JSON_FALSE);
    n->draining = reports_draining(x);
    if (models) /* without memory for it the list known before stands */
        record_keep(&n->health_models, tg_json_raw(&x->doc, models));
}

/* ---- the beat -------------------------------------------------------------------------------------------
 */

static void write_reply(struct exchange *x, const struct devnet_node *n, const char *batch)
{
    exchange_begin(x, 200);
    exchange_flag(x, "ok", true);
    exchange_number(x, "next_heartbeat_ms", x->d->options->heartbeat_ms);
    exchange_number(x, "reputation_score", devnet_node_reputation(n));
    exchange_text(x, "reputation_model", "outcome-v2");
    exchange_number(x, "reputation_epoch", 1);
    TG_JSON_KEY(&x->w, "metrics_batch_accepted");
    if (batch[0])
        tg_json_write_string(&x->w, text_of(batch));
    else
        tg_json_write_null(&x->w);
    exchange_text(x, "challenge", n->challenge[0]);
    exchange_end(x);
}

static void beat(struct exchange *x, struct devnet_node *n)
{
    char batch[NODE_BATCH_ID_MAX + 1] = {0};
    if (!pricing_holds(x, n))
        return;
    exchange_member(x, "metrics_batch_id", batch, sizeof(batch));
    judge_challenge(x, n);
    count_batch(x, n, batch);
    note_presence(x, n);
    issue_challenge(x, n);
    write_reply(x, n, batch);
}

void devnet_heartbeat(struct exchange *x)
{
    exchange_lock(x);
    struct devnet_node *n = exchange_caller(x);
    if (n && rules_hold(x, "heartbeat"))
        beat(x, n);
    exchange_unlock(x);
}

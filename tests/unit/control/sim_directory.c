/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated directory. It judges signatures with its own use of HMAC, not with the node's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/hex.h"
#include "sim_directory.h"

void sim_directory_init(struct sim_directory *d, struct sim *sim, struct crypto *crypto)
{
    memset(d, 0, sizeof(*d));
    d->sim = sim;
    d->crypto = crypto;
    d->models = "";
}

struct body {
    struct tg_json_node nodes[TG_JSON_NODES_MAX(SIM_BODY_MAX)];
    struct tg_json_doc doc;
};

static const struct tg_json_node *get(const struct body *b, const char *key)
{
    return tg_json_get(&b->doc, &b->doc.nodes[0], (struct tg_str){key, strlen(key)});
}

static void text(const struct body *b, const char *key, char *out, size_t cap)
{
    const struct tg_json_node *n = get(b, key);
    int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(&b->doc, n, out, cap - 1) : 0;
    out[len > 0 ? len : 0] = '\0';
}

static void hmac_hex(struct sim_directory *d, const char *message, char out[65])
{
    char key[32];
    uint8_t mac[CRYPTO_HASH_BYTES];
    int n = snprintf(key, sizeof(key), "key-%u", d->issued);
    crypto_hmac(d->crypto, (struct tg_str){key, (size_t)n}, (struct tg_str){message, strlen(message)}, mac);
    hex_write(out, mac, sizeof(mac));
    out[64] = '\0';
}

static void take_register(struct sim_directory *d, const struct sim_ask *ask, struct sim_reply *reply)
{
    d->registers++;
    d->last_register = *ask;
    d->registered = d->listed = true;
    d->challenge[0] = '\0';
    d->issued++;
    char key[32] = "";
    if (!d->keep_key)
        (void)snprintf(key, sizeof(key), "key-%u", d->issued);
    reply->status = 201;
    (void)snprintf(reply->body, sizeof(reply->body),
                   "{\"node_id\":\"%s\",\"node_token\":\"token-%u\",\"node_hmac_key\":\"%s\",\"recovered\":%s}",
                   d->assigned ? d->assigned : "n1", d->issued, key, d->registers > 1 ? "true" : "false");
}

static bool known(struct sim_directory *d, const struct sim_ask *ask, struct sim_reply *reply)
{
    char wanted[64];
    (void)snprintf(wanted, sizeof(wanted), "Bearer token-%u", d->issued);
    if (!d->registered)
        reply->status = 404;
    else if (strcmp(ask->authorization, wanted) != 0)
        reply->status = 401;
    d->wrong_tokens += reply->status == 401;
    return reply->status == 200;
}

static bool first_time(char (*seen)[33], uint32_t *count, const char *nonce)
{
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp(seen[i], nonce) == 0)
            return false;
    (void)snprintf(seen[(*count)++], 33, "%s", nonce);
    return true;
}

static void take_batch(struct sim_directory *d, const struct body *b, char id[IICP_BATCH_ID_MAX + 1])
{
    const struct tg_json_node *metrics = get(b, "metrics");
    text(b, "metrics_batch_id", id, IICP_BATCH_ID_MAX + 1);
    if (!metrics || !id[0])
        return;
    for (uint32_t i = 0; i < d->batch_count; i++)
        if (strcmp(d->batches[i], id) == 0)
            return;
    memcpy(d->batches[d->batch_count++], id, IICP_BATCH_ID_MAX + 1);
    d->success += tg_json_get(&b->doc, metrics, TG_STR("tasks_success"))->u64;
    d->failed += tg_json_get(&b->doc, metrics, TG_STR("tasks_failed"))->u64;
}

static void check_challenge(struct sim_directory *d, const struct body *b)
{
    char got[128], wanted[65], before[65];
    text(b, "challenge_response", got, sizeof(got));
    if (!d->challenge[0])
        return;
    hmac_hex(d, d->challenge, wanted);
    hmac_hex(d, d->challenge_before, before);
    bool right = strcmp(got, wanted) == 0 || (d->reply_lost && (strcmp(got, before) == 0 || !got[0]));
    *(right ? &d->challenges_right : &d->challenges_wrong) += 1;
}

static void take_beat(struct sim_directory *d, const struct body *b, const struct sim_ask *ask,
                      struct sim_reply *reply)
{
    char id[IICP_BATCH_ID_MAX + 1];
    d->beats++;
    d->last_beat = *ask;
    take_batch(d, b, id);
    check_challenge(d, b);
    if (!d->reply_lost)
        memcpy(d->challenge_before, d->challenge, sizeof(d->challenge));
    (void)snprintf(d->challenge, sizeof(d->challenge), "%032u", d->beats);
    d->reply_lost = d->fault == SIM_LOST_REPLY;
    int n = snprintf(reply->body, sizeof(reply->body),
                     "{\"ok\":true,\"reputation_score\":0.5,\"challenge\":\"%s\"", d->challenge);
    if (id[0])
        n += snprintf(reply->body + n, 200, ",\"metrics_batch_accepted\":\"%s\"",
                      d->batch_reply ? d->batch_reply : id);
    if (d->next_heartbeat_ms)
        n += snprintf(reply->body + n, 100, ",\"next_heartbeat_ms\":%u", d->next_heartbeat_ms);
    (void)snprintf(reply->body + n, 2, "}");
}

static void take_award(struct sim_directory *d, const struct body *b, const struct sim_ask *ask,
                       struct sim_reply *reply)
{
    char id[512], nonce[33], hash[65], who[256], signature[65], message[2048], wanted[65];
    d->last_award = *ask;
    text(b, "task_id", id, sizeof(id));
    text(b, "nonce", nonce, sizeof(nonce));
    text(b, "response_hash", hash, sizeof(hash));
    text(b, "querying_node_id", who, sizeof(who));
    text(b, "signature", signature, sizeof(signature));
    (void)snprintf(message, sizeof(message), "%s:%llu:::%s:%s%s%s", id,
                   (unsigned long long)get(b, "tokens_used")->u64, nonce, hash, who[0] ? ":" : "", who);
    hmac_hex(d, message, wanted);
    if (strcmp(signature, wanted) != 0) {
        d->bad_signatures++;
        reply->status = 422;
        (void)snprintf(reply->body, sizeof(reply->body),
                       "{\"error\":{\"code\":\"IICP-E027\",\"message\":\"signature\"}}");
    } else if (!first_time(d->nonces, &d->nonce_count, nonce)) {
        d->award_conflicts++;
        reply->status = 409;
    } else {
        d->awards++;
        reply->status = 201;
    }
}

static void serve(struct sim_directory *d, const struct sim_ask *ask, struct sim_reply *reply)
{
    struct body *b = malloc(sizeof(*b));
    struct tg_json_error err;
    b->doc = (struct tg_json_doc){.nodes = b->nodes, .capacity = TG_ARRAY_SIZE(b->nodes)};
    bool json = tg_json_parse(&b->doc, ask->body, strlen(ask->body), &err) == 0;
    if (strstr(ask->url, "/api/tags")) {
        (void)snprintf(reply->body, sizeof(reply->body), "%s", d->models);
        reply->latency_ms = d->tags_ms ? d->tags_ms : reply->latency_ms;
    } else if (strstr(ask->url, "/v1/directory-key")) {
        d->key_looks++;
        reply->status = d->public_key ? 200 : 503;
        (void)snprintf(reply->body, sizeof(reply->body), "{\"public_key\":\"%s\",\"algorithm\":\"ed25519\"}",
                       d->public_key ? d->public_key : "");
    } else if (strstr(ask->url, "/v1/registry/")) {
        d->registry_looks++;
        reply->status = d->listed ? 200 : 404;
        reply->latency_ms = d->registry_ms ? d->registry_ms : reply->latency_ms;
    } else if (strstr(ask->url, "/v1/register") && strcmp(ask->method, "POST") == 0 && json) {
        take_register(d, ask, reply);
    } else if (known(d, ask, reply) && strcmp(ask->method, "DELETE") == 0) {
        d->deregistered++;
    } else if (reply->status == 200 && strstr(ask->url, "/v1/heartbeat") && json) {
        take_beat(d, b, ask, reply);
    } else if (reply->status == 200 && strstr(ask->url, "/v1/credits/award") && json) {
        take_award(d, b, ask, reply);
    }
    free(b);
}

void sim_directory_answer(void *context, const struct sim_ask *ask, struct sim_reply *reply)
{
    struct sim_directory *d = context;
    bool ill = d->fault != SIM_WELL && (!d->fault_path || strstr(ask->url, d->fault_path));
    if (!ill || d->fault == SIM_LOST_REPLY)
        serve(d, ask, reply);
    if (!ill)
        return;
    if (d->fault == SIM_DOWN || d->fault == SIM_LOST_REPLY) {
        reply->error = d->fault == SIM_DOWN ? -ECONNREFUSED : -ETIMEDOUT;
        reply->latency_ms = d->fault == SIM_DOWN ? 1 : 7000;
        return;
    }
    if (strstr(ask->url, "/v1/register") && strcmp(ask->method, "POST") == 0 && !strstr(ask->url, "registry"))
        d->registers++;
    reply->status = d->fault == SIM_STATUS ? d->fault_status : 200;
    reply->retry_after_s = d->retry_after_s;
    (void)snprintf(reply->body, sizeof(reply->body), "%s",
                   d->fault == SIM_STATUS ? (d->fault_body ? d->fault_body : "") : "<html>");
}

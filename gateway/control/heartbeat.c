/* SPDX-License-Identifier: Apache-2.0 */
/* One beat: ask the backend for its models, send, read the answer, now and then look into the registry. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/dialect/iicp_sign.h"
#include "heartbeat.h"

#define BODY_BYTES_MAX 65536
#define REGISTRY_EVERY 2
#define INTERVAL_MIN_MS 1000u
#define INTERVAL_MAX_MS 60000u /* a directory forgets a node after 90 s */

void heartbeat_init(struct heartbeat *h, const struct directory_link *link, struct auth *auth,
                    struct directory_metrics *metrics, struct models *models,
                    const struct heartbeat_options *options)
{
    uint64_t prefix;
    *h = (struct heartbeat){.link = link,
                            .auth = auth,
                            .metrics = metrics,
                            .options = *options,
                            .models = models,
                            .interval_ns = options->interval_ms * NS_PER_MS,
                            .reputation = -1,
                            .failing = BEAT_FAILURES};
    registry_init(&h->registry, link);
    link->host->random(link->host->context, &prefix, sizeof(prefix));
    tally_init(&h->tally, prefix);
}

void heartbeat_begin(struct heartbeat *h, uint64_t when_ns)
{
    h->due_ns = when_ns;
    h->beats = 0;
    h->pricing_due = h->options.pricing.declared;
    h->challenge[0] = '\0'; /* it was a question to who we were before */
}

/* ---- answers ---------------------------------------------------------------------------------------- */

static void failed(struct heartbeat *h, enum beat_failure reason, const char *why)
{
    metrics_bump(&h->metrics->failures[reason], 1);
    if (h->failing != reason)
        log_warn("directory: heartbeat not accepted: %s", why);
    h->failing = reason;
}

/* Within bounds: faster than a second is an attack on us both, slower than a minute makes us stale. */
static void adopt_interval(struct heartbeat *h, uint32_t asked_ms)
{
    uint32_t low = TG_MIN(h->options.interval_ms, INTERVAL_MIN_MS),
             high = TG_MAX(h->options.interval_ms, INTERVAL_MAX_MS);
    uint32_t ms = asked_ms ? TG_MIN(TG_MAX(asked_ms, low), high) : h->options.interval_ms;
    uint64_t begun_ns = h->due_ns - h->interval_ns;
    h->interval_ns = ms * NS_PER_MS;
    h->due_ns = begun_ns + h->interval_ns;
}

static void accepted(struct heartbeat *h, const struct iicp_beat_reply *reply)
{
    directory_count(h->metrics, DIRECTORY_COUNTER_BEATS);
    if (h->failing != BEAT_FAILURES)
        log_info("directory: heartbeats are accepted again");
    h->failing = BEAT_FAILURES;
    h->accepted_ns = h->link->host->now_ns(h->link->host->context);
    tally_acknowledge(&h->tally, reply->has_batch, (struct tg_str){reply->batch, strlen(reply->batch)});
    memcpy(h->challenge, reply->challenge, sizeof(h->challenge));
    h->reputation = reply->reputation;
    h->pricing_due = h->pricing_due && !h->pricing_sent;
    adopt_interval(h, reply->next_heartbeat_ms);
    if (++h->beats % REGISTRY_EVERY == 0 && h->options.check_registry)
        registry_look(&h->registry, (struct tg_str){h->auth->node_id, strlen(h->auth->node_id)});
}

static void refused(struct heartbeat *h, const struct call_reply *r)
{
    char why[320];
    struct iicp_refusal refusal;
    iicp_read_refusal(r->doc, &refusal);
    (void)snprintf(why, sizeof(why), "%u %s %s%s%.60s", r->status, refusal.code, refusal.message,
                   refusal.fields[0] ? ": " : "", refusal.fields);
    bool server = r->status >= 500;
    failed(h,
           r->status == 429 ? BEAT_FAILURE_LIMITED
           : server         ? BEAT_FAILURE_SERVER
                            : BEAT_FAILURE_REFUSED,
           why);
    uint64_t wait =
        TG_MIN(TG_MAX(refusal.retry_after_s, r->retry_after_s) * 1000u, INTERVAL_MAX_MS) * NS_PER_MS;
    h->due_ns = TG_MAX(h->due_ns, h->link->host->now_ns(h->link->host->context) + wait);
}

static void answered(void *context, const struct call_reply *r)
{
    struct heartbeat *h = context;
    struct iicp_beat_reply reply;
    if (r->error) {
        failed(h, r->error == -ETIMEDOUT ? BEAT_FAILURE_TIMEOUT : BEAT_FAILURE_NETWORK, r->why);
    } else if (iicp_heartbeat_verdict(r->status) == IICP_STRANGER) {
        failed(h, BEAT_FAILURE_STRANGER, "the directory does not know this node like this");
        h->stranger = true;
    } else if (r->status != 200) {
        refused(h, r);
    } else if (!r->doc || iicp_read_heartbeat(r->doc, &reply) < 0) {
        failed(h, BEAT_FAILURE_MALFORMED, "an answer that makes no sense");
    } else {
        accepted(h, &reply);
    }
}

/* ---- a beat ----------------------------------------------------------------------------------------- */

struct signatures {
    char challenge[IICP_SIGNATURE_CHARS], pricing[IICP_SIGNATURE_CHARS];
};

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

static void sign(struct heartbeat *h, struct iicp_beat *b, struct signatures *s)
{
    struct tg_str key = text(h->auth->hmac_key);
    if (h->challenge[0] && key.len &&
        iicp_sign_challenge(h->link->crypto, key, text(h->challenge), s->challenge) == 0)
        b->challenge_response = (struct tg_str){s->challenge, sizeof(s->challenge)};
    struct iicp_pricing p = h->options.pricing;
    h->pricing_sent = h->pricing_due && key.len &&
                      iicp_sign_pricing(h->link->crypto, key, p.multiplier, iicp_pricing_model_name(p.model),
                                        s->pricing) == 0;
    if (!h->pricing_sent)
        return;
    b->pricing = p;
    b->pricing.signature = (struct tg_str){s->pricing, sizeof(s->pricing)};
}

static void describe(struct heartbeat *h, struct iicp_beat *b)
{
    struct heartbeat_sample now = {0};
    h->options.sample(h->options.context, &now);
    *b = (struct iicp_beat){.node_id = text(h->auth->node_id),
                            .node_token = text(h->auth->node_token),
                            .active = now.active,
                            .base_concurrent = now.base_concurrent,
                            .effective_concurrent = now.effective_concurrent,
                            .available = !now.leaving && now.active < now.effective_concurrent,
                            .batch = tally_batch(&h->tally, &now.tasks),
                            .models = now.models,
                            .has_backend = now.has_backend,
                            .backend = now.backend};
}

static void send_beat(struct heartbeat *h)
{
    struct iicp_beat beat;
    struct signatures signatures;
    struct tg_json_writer w;
    char *body = malloc(BODY_BYTES_MAX);
    if (!body) {
        failed(h, BEAT_FAILURE_NETWORK, "out of memory");
        return;
    }
    describe(h, &beat);
    sign(h, &beat, &signatures);
    tg_json_writer_init(&w, body, BODY_BYTES_MAX);
    iicp_write_heartbeat(&beat, &w);
    TG_ASSERT(!w.overflow);
    call_directory(
        &h->call, h->link,
        &(struct call_request){
            .method = "POST", .url = "/v1/heartbeat", .token = h->auth->node_token, .body = {body, w.len}},
        answered, h);
    crypto_wipe(body, w.len);
    free(body);
}

/* Beats keep their own time: one that was answered late does not shift those that follow. */
static void begin_beat(struct heartbeat *h, uint64_t now_ns)
{
    h->due_ns = now_ns + h->interval_ns;
    h->asking_models = models_ask(h->models);
    if (!h->asking_models)
        send_beat(h);
}

uint64_t heartbeat_turn(struct heartbeat *h, uint64_t now_ns)
{
    if (h->asking_models && h->models->answered) {
        h->asking_models = false;
        send_beat(h);
    }
    bool busy = h->asking_models || call_active(&h->call);
    if (!busy && now_ns >= h->due_ns) {
        begin_beat(h, now_ns);
        busy = true;
    }
    return busy ? UINT64_MAX : h->due_ns;
}

void heartbeat_stop(struct heartbeat *h)
{
    call_cancel(&h->call);
    models_stop(h->models);
    registry_stop(&h->registry);
    h->asking_models = false;
}

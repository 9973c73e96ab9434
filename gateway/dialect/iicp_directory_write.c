/* SPDX-License-Identifier: Apache-2.0 */
/* Request bodies for a directory. Members that are not known are left out, never sent empty. */
#include "iicp_directory.h"

static void put(struct tg_json_writer *w, const char *key, struct tg_str value)
{
    if (value.len == 0)
        return;
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_string(w, value);
}

static void put_json(struct tg_json_writer *w, const char *key, struct tg_str value)
{
    if (value.len == 0)
        return;
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_raw(w, value);
}

static void put_count(struct tg_json_writer *w, const char *key, uint64_t value)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_u64(w, value);
}

static void put_number(struct tg_json_writer *w, const char *key, double value)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_f64(w, value);
}

static void put_bool(struct tg_json_writer *w, const char *key, bool value)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_bool(w, value);
}

static bool any_fits(struct iicp_texts t, size_t len_max)
{
    for (uint32_t i = 0; i < t.count; i++)
        if (t.items[i].len <= len_max)
            return true;
    return false;
}

/* Items over @len_max are left out: one long name must not cost the whole request. Never an empty list: that
 * says "no models", and hides the node. */
static void put_texts(struct tg_json_writer *w, const char *key, struct iicp_texts t, size_t len_max)
{
    if (!any_fits(t, len_max))
        return;
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < t.count; i++)
        if (t.items[i].len <= len_max)
            tg_json_write_string(w, t.items[i]);
    tg_json_write_end_array(w);
}

struct tg_str iicp_pricing_model_name(enum iicp_pricing_model model)
{
    static const struct tg_str names[] = {TG_STR_INIT("per_token"), TG_STR_INIT("per_request"),
                                          TG_STR_INIT("flat")};
    return names[model];
}

static void put_pricing(struct tg_json_writer *w, const struct iicp_pricing *p)
{
    if (!p->declared)
        return;
    TG_JSON_KEY(w, "pricing");
    tg_json_write_begin_object(w);
    put_number(w, "credit_cost_multiplier", p->multiplier);
    put(w, "pricing_model", iicp_pricing_model_name(p->model));
    put(w, "declaration_signature", p->signature);
    put(w, "effective_from", p->effective_from);
    put(w, "effective_until", p->effective_until);
    tg_json_write_end_object(w);
}

static void put_capability(struct tg_json_writer *w, const struct iicp_capability *c)
{
    tg_json_write_begin_object(w);
    put(w, "intent", c->intent);
    put_texts(w, "models", c->models, IICP_MODEL_BYTES_MAX);
    if (c->max_tokens)
        put_count(w, "max_tokens", c->max_tokens);
    put_texts(w, "input_modalities", c->input_modalities, SIZE_MAX);
    put_texts(w, "output_modalities", c->output_modalities, SIZE_MAX);
    put_texts(w, "supported_profiles", c->supported_profiles, SIZE_MAX);
    put(w, "quantization", c->quantization);
    put(w, "inference_engine", c->inference_engine);
    tg_json_write_end_object(w);
}

static void put_capabilities(struct tg_json_writer *w, const struct iicp_registration *r)
{
    TG_JSON_KEY(w, "capabilities");
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < r->capability_count; i++)
        put_capability(w, &r->capabilities[i]);
    tg_json_write_end_array(w);
}

static uint32_t concurrent(uint32_t n)
{
    return TG_MIN(n, (uint32_t)IICP_CONCURRENT_MAX);
}

static void put_limits(struct tg_json_writer *w, const struct iicp_registration *r)
{
    TG_JSON_KEY(w, "limits");
    tg_json_write_begin_object(w);
    put_count(w, "max_concurrent", TG_MAX(concurrent(r->max_concurrent), 1u));
    put_count(w, "tokens_per_min", TG_MAX(r->tokens_per_min, 1u));
    tg_json_write_end_object(w);
}

static void put_relay(struct tg_json_writer *w, const struct iicp_registration *r)
{
    if (!r->relay_capable)
        return;
    put_bool(w, "relay_capable", true);
    put_count(w, "relay_accept_port", r->relay_accept_port);
}

void iicp_write_registration(const struct iicp_registration *r, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    put(w, "node_id", r->node_id);
    put(w, "endpoint", r->endpoint);
    put(w, "region", r->region);
    put(w, "current_node_token", r->current_node_token);
    put_capabilities(w, r);
    put_limits(w, r);
    put_relay(w, r);
#define REGISTER_TEXT(field, member) put(w, member, r->field);
#define REGISTER_JSON(field, member) put_json(w, member, r->field);
#define REGISTER_TEXTS(field, member) put_texts(w, member, r->field, SIZE_MAX);
#include "iicp_register.def"
    iicp_cip_write_policy(&r->cip, w);
    put_pricing(w, &r->pricing);
    iicp_windows_write(&r->availability, w);
    tg_json_write_end_object(w);
}

static void put_batch(struct tg_json_writer *w, const struct iicp_batch *b)
{
    if (b->id.len == 0)
        return;
    TG_JSON_KEY(w, "metrics");
    tg_json_write_begin_object(w);
    put_count(w, "tasks_success", b->success);
    put_count(w, "tasks_failed", b->failed);
    put_number(w, "avg_latency_ms", b->avg_latency_ms);
    tg_json_write_end_object(w);
    put(w, "metrics_batch_id", b->id);
}

/* `load` comes of the capacity as it is without windows, and a burst above it is still no more than full. */
static void put_load(struct tg_json_writer *w, const struct iicp_beat *b)
{
    double load = (double)b->active / TG_MAX(b->base_concurrent, 1u);
    put(w, "status", b->available ? TG_STR("available") : TG_STR("busy"));
    put_bool(w, "available", b->available);
    put_number(w, "load", TG_MIN(load, 1.0));
    put_count(w, "active_jobs", b->active);
    put_count(w, "max_concurrent", concurrent(b->effective_concurrent));
}

void iicp_write_heartbeat(const struct iicp_beat *b, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    put(w, "node_id", b->node_id);
    put(w, "node_token", b->node_token);
    put_load(w, b);
    put_batch(w, &b->batch);
    put_texts(w, "health_models", b->models, IICP_HEALTH_MODEL_MAX);
    if (b->has_backend) {
        TG_JSON_KEY(w, "backend_stability");
        iicp_backend_write(b->backend, w);
    }
    put(w, "challenge_response", b->challenge_response);
    put_pricing(w, &b->pricing);
    tg_json_write_end_object(w);
}

void iicp_write_deregistration(struct tg_str node_id, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    put(w, "node_id", node_id);
    tg_json_write_end_object(w);
}

void iicp_write_award(const struct iicp_award *a, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    put(w, "node_id", a->node_id);
    TG_JSON_KEY(w, "task_id");
    tg_json_write_string(w, a->task_id);
    put_count(w, "tokens_used", a->tokens);
    put_number(w, "amount", a->amount);
    put(w, "nonce", a->nonce);
    put(w, "expires_at", a->expires_at);
    put(w, "signature", a->signature);
    put(w, "response_hash", a->response_hash);
    put(w, "reason", TG_STR("task_completion"));
    put(w, "querying_node_id", a->querying_node_id);
    tg_json_write_end_object(w);
}

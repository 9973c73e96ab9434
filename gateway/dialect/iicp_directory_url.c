/* SPDX-License-Identifier: Apache-2.0 */
/* Where a directory's resources lie, and what a registration must look like before one is bothered with it.
 */
#include <stdio.h>
#include "gateway/base/number.h"
#include "iicp_directory.h"

static bool ends_with(struct tg_str text, struct tg_str end)
{
    return text.len >= end.len && memcmp(text.ptr + text.len - end.len, end.ptr, end.len) == 0;
}

static struct tg_str without_end(struct tg_str text, struct tg_str end)
{
    if (ends_with(text, end))
        text.len -= end.len;
    while (text.len && text.ptr[text.len - 1] == '/')
        text.len--;
    return text;
}

size_t iicp_directory_url(struct tg_str base, const char *path, char *out, size_t cap)
{
    base = without_end(without_end(base, TG_STR("/")), TG_STR("/v1"));
    while (ends_with(base, TG_STR("/api/api")))
        base = without_end(base, TG_STR("/api"));
    int n = snprintf(out, cap, TG_STR_FMT "%s", TG_STR_ARG(base), path);
    return n > 0 && (size_t)n < cap ? (size_t)n : 0;
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static bool is_uuid(struct tg_str id)
{
    if (id.len != 36)
        return false;
    for (size_t i = 0; i < id.len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? id.ptr[i] != '-' : !is_hex(id.ptr[i]))
            return false;
    }
    return true;
}

struct tg_str iicp_registry_prefix(struct tg_str node_id)
{
    return (struct tg_str){node_id.ptr, is_uuid(node_id) ? 8 : node_id.len};
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool unreserved(char c)
{
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

bool iicp_percent_append(char *out, size_t cap, size_t *len, struct tg_str text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool plain = unreserved((char)c);
        if (*len + (plain ? 1 : 3) >= cap)
            return false;
        out[(*len)++] = plain ? (char)c : '%';
        if (!plain) {
            out[(*len)++] = digits[c >> 4];
            out[(*len)++] = digits[c & 15];
        }
    }
    out[*len] = '\0';
    return true;
}

/* ---- discovery -------------------------------------------------------------------------------------- */

struct query {
    char *out;
    size_t cap, len;
    bool full;
};

static void add_plain(struct query *q, const char *text)
{
    size_t n = strlen(text);
    q->full |= q->len + n >= q->cap;
    if (q->full)
        return;
    memcpy(q->out + q->len, text, n + 1);
    q->len += n;
}

static void add(struct query *q, const char *key, struct tg_str value)
{
    if (value.len == 0)
        return;
    add_plain(q, memchr(q->out, '?', q->len) ? "&" : "?");
    add_plain(q, key);
    add_plain(q, "=");
    q->full = q->full || !iicp_percent_append(q->out, q->cap, &q->len, value);
}

static void add_number(struct query *q, const char *key, double value)
{
    char text[TG_NUMBER_TEXT_MAX];
    if (value >= 0)
        add(q, key, (struct tg_str){text, tg_f64_print(value, text)});
}

size_t iicp_discover_path(const struct iicp_discover *d, char *out, size_t cap)
{
    struct query q = {.out = out, .cap = cap};
    add_plain(&q, "/v1/discover");
    add(&q, "intent", d->intent);
    add(&q, "region", d->region);
    add(&q, "qos", d->qos);
    add_number(&q, "limit", d->limit ? (double)d->limit : -1);
    add(&q, "model", d->model);
    add_number(&q, "min_reputation", d->min_reputation);
    add(&q, "modality", d->modality);
    add(&q, "cip_capable", d->cip_capable ? TG_STR("true") : TG_STR(""));
    add_number(&q, "max_multiplier", d->max_multiplier);
    add(&q, "relay_capable", d->relay_capable ? TG_STR("true") : TG_STR(""));
    add(&q, "view", d->view);
    return q.full ? 0 : q.len;
}

/* ---- before we ask ---------------------------------------------------------------------------------- */

/* Every character a letter, a digit or one of @others; the first not one of @others, nor a digit if so asked.
 */
static bool is_name(struct tg_str text, const char *others, bool letter_first)
{
    if (text.len == 0 || !(is_letter(text.ptr[0]) || (!letter_first && is_digit(text.ptr[0]))))
        return false;
    for (size_t i = 1; i < text.len; i++)
        if (!is_letter(text.ptr[i]) && !is_digit(text.ptr[i]) &&
            (!text.ptr[i] || !strchr(others, text.ptr[i])))
            return false;
    return true;
}

static const char *check_capabilities(const struct iicp_registration *r)
{
    if (r->capability_count == 0)
        return "capabilities: there must be one at least";
    for (uint32_t i = 0; i < r->capability_count; i++) {
        if (r->capabilities[i].intent.len == 0)
            return "capabilities: one has no intent";
        if (r->capabilities[i].models.count > IICP_MODELS_MAX)
            return "capabilities: more than 64 models";
        if (iicp_intent_risk(r->capabilities[i].intent, NULL) == IICP_RISK_PROHIBITED)
            return "capabilities: a prohibited intent";
    }
    return NULL;
}

const char *iicp_registration_check(const struct iicp_registration *r)
{
    bool http = r->endpoint.len > 7 && memcmp(r->endpoint.ptr, "http://", 7) == 0;
    bool https = r->endpoint.len > 8 && memcmp(r->endpoint.ptr, "https://", 8) == 0;
    if ((!http && !https) || r->endpoint.len > IICP_ENDPOINT_MAX)
        return "endpoint: must be an http or https address of at most 255 characters";
    if (r->node_id.len && (r->node_id.len > 36 || !is_name(r->node_id, "._:-", false)))
        return "node_id: at most 36 letters, digits or ._:- that begin with a letter or digit";
    if (r->region.len > 64 || !is_name(r->region, "-_", true))
        return "region: at most 64 letters, digits, - or _ that begin with a letter";
    if (r->pricing.declared && !(r->pricing.multiplier >= 0 && r->pricing.multiplier <= 1000))
        return "pricing.credit_cost_multiplier: must lie within 0 and 1000";
    return check_capabilities(r);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The intent risk table, and the policy block of a registration. */
#include "iicp_policy.h"

struct risk_row {
    enum iicp_risk risk;
    struct tg_str fragment;
};

static const struct risk_row rows[] = {
#define RISK(class, text) {IICP_RISK_##class, TG_STR_INIT(text)},
#include "iicp_policy.def"
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool matches_at(const char *text, struct tg_str fragment)
{
    size_t i = 0;
    while (i < fragment.len && lower(text[i]) == fragment.ptr[i])
        i++;
    return i == fragment.len;
}

static bool holds(struct tg_str intent, struct tg_str fragment)
{
    for (size_t i = 0; i + fragment.len <= intent.len; i++)
        if (matches_at(intent.ptr + i, fragment))
            return true;
    return false;
}

enum iicp_risk iicp_intent_risk(struct tg_str intent, const char **fragment)
{
    enum iicp_risk worst = IICP_RISK_NONE;
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++) {
        if (rows[i].risk <= worst || !holds(intent, rows[i].fragment))
            continue;
        worst = rows[i].risk;
        if (fragment)
            *fragment = rows[i].fragment.ptr;
    }
    return worst;
}

bool iicp_intent_refused(struct tg_str intent, bool allow_high_risk)
{
    enum iicp_risk risk = iicp_intent_risk(intent, NULL);
    return risk == IICP_RISK_PROHIBITED || (risk == IICP_RISK_HIGH && !allow_high_risk);
}

struct iicp_cip_config iicp_cip_bounded(struct iicp_cip_config cip)
{
    cip.max_replicas = TG_MAX(cip.max_replicas, 1u);
    cip.max_worker_timeout_ms = TG_MIN(TG_MAX(cip.max_worker_timeout_ms, 1u), 60000u);
    cip.max_concurrent_remote = TG_MAX(cip.max_concurrent_remote, 1u);
    return cip;
}

void iicp_cip_write_policy(const struct iicp_cip_config *cip, struct tg_json_writer *w)
{
    if (!cip->enabled)
        return;
    TG_JSON_KEY(w, "policy");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "allow_remote_inference");
    tg_json_write_bool(w, cip->allow_worker);
    TG_JSON_KEY(w, "allow_tool_execution");
    tg_json_write_bool(w, cip->allow_tool_execution);
    tg_json_write_end_object(w);
}

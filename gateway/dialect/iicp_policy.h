/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this node will not do whoever asks (section 10.3), and what it is willing to do with and for other
 * nodes (section 4.3). Pure.
 */
#ifndef TG_IICP_POLICY_H
#define TG_IICP_POLICY_H

#include "tg/json.h"

enum iicp_risk {
    IICP_RISK_NONE,
    IICP_RISK_HIGH,       /* served only where the operator said so */
    IICP_RISK_PROHIBITED, /* never */
};

/**
 * The worst class whose fragment is found in @intent, whatever its case; @fragment (may be NULL) is then that
 * fragment. Searches the whole table: intents that are served are best asked about once, at start.
 */
enum iicp_risk iicp_intent_risk(struct tg_str intent, const char **fragment);

/** Is the intent refused here (422 IICP-POLICY-001)? */
bool iicp_intent_refused(struct tg_str intent, bool allow_high_risk);

/* Cooperative inference: all off until the operator turns it on. */
struct iicp_cip_config {
    bool enabled, allow_coordinator, allow_worker, allow_tool_execution;
    uint32_t max_replicas, max_worker_timeout_ms, max_concurrent_remote;
};

/** The same with numbers put into their ranges. */
struct iicp_cip_config iicp_cip_bounded(struct iicp_cip_config cip);

static inline bool iicp_cip_coordinates(const struct iicp_cip_config *cip)
{
    return cip->enabled && cip->allow_coordinator;
}

static inline bool iicp_cip_works(const struct iicp_cip_config *cip)
{
    return cip->enabled && cip->allow_worker;
}

/** The `policy` member of a registration; nothing unless enabled. */
void iicp_cip_write_policy(const struct iicp_cip_config *cip, struct tg_json_writer *w);

#endif

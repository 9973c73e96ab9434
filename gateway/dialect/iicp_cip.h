/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cooperative inference on the wire (provider node contract, section 4.3): what a task says about being a part of
 * another one, or about being shared out. Pure, but for the slots of parts done here.
 */
#ifndef TG_IICP_CIP_H
#define TG_IICP_CIP_H

#include <stdatomic.h>
#include "iicp_policy.h"
#include "tg/runner.h"

#define IICP_CIP_SESSION_BYTES_MAX 128 /* of a session key, as it stands in the text */

/* What a task says of itself. */
struct iicp_part {
    bool worker;           /* a part of another node's task */
    struct tg_str session; /* worker: JSON text of the session key, quotes included, or len 0; borrowed */
};

/**
 * Read `trace` and `constraints.cip` (either may be NULL). TG_OK with @out set; else the refusal, with @err where there
 * is more to say.
 */
enum tg_status iicp_cip_read(const struct tg_json_doc *doc, const struct tg_json_node *trace,
                             const struct tg_json_node *shared, const struct iicp_cip_config *policy,
                             struct iicp_part *out, struct tg_error *err);

/* Parts done here at once. Thread: any worker. */
bool iicp_cip_claim(_Atomic uint32_t *active, uint32_t max);
void iicp_cip_release(_Atomic uint32_t *active);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What workers tell the control thread about finished tasks: one message each, by mailbox. */
#ifndef TG_IICP_EVENTS_H
#define TG_IICP_EVENTS_H

#include "gateway/base/crypto.h"
#include "gateway/base/metrics.h"

#define IICP_EVENT_ID_MAX 256 /* as TASK_ID_BYTES_MAX; escapes resolved */
#define IICP_EVENT_NODE_MAX 128

enum iicp_event_want {
    IICP_WANT_RECEIPT = 1, /* succeeded, and receipts are on: result_hash is set */
    IICP_WANT_SPAN = 2,    /* an exporter is configured */
};

struct iicp_event {
    uint32_t want; /* enum iicp_event_want, or-ed */
    uint32_t tokens;
    enum task_outcome outcome;
    uint32_t intent_slot;                     /* index of the instance */
    uint64_t start_unix_ns, end_unix_ns;
    uint8_t result_hash[CRYPTO_HASH_BYTES];   /* of the result as canonical JSON */
    char trace_id[32], parent_span[16];       /* hex; parent_span[0] == 0: none */
    uint16_t id_len, requester_len;
    char id[IICP_EVENT_ID_MAX];
    char requester[IICP_EVENT_NODE_MAX];      /* source_node_id; requester_len 0: none */
};

/* Every task's fate, for heartbeats: counters that workers add to and the control thread takes differences of, in
 * struct metrics (outcomes and latency sums). No message is needed for those. */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the model server behind this node is (section 2.1), packed into one word: the observer stores it,
 * workers and heartbeats load it, and nobody ever sees half of it. Pure.
 */
#ifndef TG_IICP_BACKEND_H
#define TG_IICP_BACKEND_H

#include "tg/json.h"

enum iicp_backend_state { IICP_BACKEND_OK, IICP_BACKEND_DEGRADED, IICP_BACKEND_DRAINING };

enum iicp_backend_reason {
    IICP_REASON_OK,
    IICP_REASON_COLD, /* the model is not resident */
    IICP_REASON_LOADING,
    IICP_REASON_UNSTABLE, /* failed, out of memory */
    IICP_REASON_OBSERVER, /* it could not be asked */
};

#define IICP_RETRY_AFTER_MAX_S 65535

struct iicp_backend {
    enum iicp_backend_state state;
    enum iicp_backend_reason reason;
    uint16_t retry_after_s; /* 0: not told */
    uint32_t drain_until_s; /* epoch; 0: not told */
};

static inline uint64_t iicp_backend_pack(struct iicp_backend b)
{
    return (uint64_t)b.drain_until_s << 32 | (uint64_t)b.retry_after_s << 16 | (uint64_t)b.reason << 8 |
           (uint64_t)b.state;
}

static inline struct iicp_backend iicp_backend_unpack(uint64_t word)
{
    return (struct iicp_backend){(enum iicp_backend_state)(word & 0xff),
                                 (enum iicp_backend_reason)(word >> 8 & 0xff), (uint16_t)(word >> 16),
                                 (uint32_t)(word >> 32)};
}

/** "draining", "backend_loading". */
struct tg_str iicp_backend_state_name(enum iicp_backend_state state);
struct tg_str iicp_backend_reason_name(enum iicp_backend_reason reason);

/** The value of `backend_stability`, for health and heartbeats. */
void iicp_backend_write(struct iicp_backend b, struct tg_json_writer *w);

#endif

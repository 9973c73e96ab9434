/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the directory that this node lives: load, finished tasks, models, backend, the answer to its
 * challenge. Thread: control.
 */
#ifndef TG_HEARTBEAT_H
#define TG_HEARTBEAT_H

#include "auth.h"
#include "directory_metrics.h"
#include "models.h"
#include "registry.h"
#include "tally.h"

/* What this node is doing, as of now. */
struct heartbeat_sample {
    uint32_t active, base_concurrent, effective_concurrent;
    bool leaving; /* takes no more tasks */
    struct tally_counts tasks;
    struct iicp_texts models; /* as registered; count 0: not told */
    bool has_backend;
    struct iicp_backend backend;
};

struct heartbeat_options {
    uint32_t interval_ms;
    bool check_registry;
    struct iicp_pricing pricing; /* declared: told, signed, after each registration */
    void *context;
    void (*sample)(void *context, struct heartbeat_sample *out);
};

struct heartbeat {
    const struct directory_link *link;
    struct auth *auth;
    struct directory_metrics *metrics;
    struct heartbeat_options options;
    struct call call;
    struct models *models; /* asked before each beat */
    struct registry registry;
    struct tally tally;
    uint64_t due_ns, interval_ns;
    uint64_t accepted_ns;         /* when one last was; 0: never */
    uint32_t beats;               /* accepted since the registration */
    bool asking_models, stranger; /* stranger: the directory does not know us; whoever acts on it clears it */
    bool pricing_due, pricing_sent;
    double reputation; /* negative: not told */
    char challenge[IICP_CHALLENGE_MAX + 1];
    enum beat_failure failing; /* BEAT_FAILURES: not; the same reason is logged once */
};

void heartbeat_init(struct heartbeat *h, const struct directory_link *link, struct auth *auth,
                    struct directory_metrics *metrics, struct models *models,
                    const struct heartbeat_options *options);

/** A registration came through: beat from @when_ns on. */
void heartbeat_begin(struct heartbeat *h, uint64_t when_ns);
uint64_t heartbeat_turn(struct heartbeat *h, uint64_t now_ns);
void heartbeat_stop(struct heartbeat *h);

#endif

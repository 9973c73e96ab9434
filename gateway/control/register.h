/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Getting into a directory and back in: attempts, back-off, and what its answers mean. Re-registration
 * happens in place, with the token that proves who we are. Thread: control.
 */
#ifndef TG_REGISTER_H
#define TG_REGISTER_H

#include "auth.h"
#include "directory_metrics.h"

struct registrar_options {
    uint32_t heartbeat_ms;
    bool allow_private; /* register loopback and private endpoints too */
    void *context;
    /* Fill in what this node is just now; texts live until the next turn. */
    void (*describe)(void *context, struct iicp_registration *out);
};

struct registrar {
    const struct directory_link *link;
    struct auth *auth;
    struct directory_metrics *metrics;
    struct registrar_options options;
    struct call call;
    bool wanted;
    bool accepted;     /* set when a registration came through; whoever acts on it clears it */
    bool hopeless;     /* what we are cannot be registered: not asked at all */
    uint32_t attempts; /* since it was wanted */
    uint64_t due_ns;
    char said[256]; /* the last complaint: the same one is not repeated */
};

void registrar_init(struct registrar *r, const struct directory_link *link, struct auth *auth,
                    struct directory_metrics *metrics, const struct registrar_options *options);

/** (Re-)register, from @when_ns on. Nothing if that is wanted already. */
void registrar_want(struct registrar *r, uint64_t when_ns);
uint64_t registrar_turn(struct registrar *r, uint64_t now_ns);
void registrar_stop(struct registrar *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This node's life in a directory: one state machine that owns credentials, registration, heartbeats,
 * receipts, the backend's observer and the capacity of the hour. Tasks are served all the while, whatever the
 * directory does. Thread: control, one part of it; what other threads may call says so.
 */
#ifndef TG_DIRECTORY_H
#define TG_DIRECTORY_H

#include "backend.h"
#include "capacity.h"
#include "control.h"
#include "heartbeat.h"
#include "receipts.h"
#include "register.h"

#define DIRECTORY_EXIT_SUPERVISED 76 /* "start me again": the registry keeps losing this node */

enum directory_state {
    DIRECTORY_OFF,     /* none is configured */
    DIRECTORY_JOINING, /* no registration yet, or the last one is void */
    DIRECTORY_MEMBER,  /* heartbeats go */
    DIRECTORY_LEAVING, /* deregistering */
    DIRECTORY_LEFT,
};

/* The gateway's side. All are called on the control thread. */
struct directory_hooks {
    void *context;
    void (*publish_keys)(void *context,
                         const struct iicp_keys *keys); /* to workers; lives until directory_finish() */
    void (*set_max_concurrent)(void *context, uint32_t effective); /* to admission */
    /* active and tasks since start; the rest is filled in already */
    void (*observe)(void *context, struct heartbeat_sample *out);
    void (*exit_process)(void *context, int code); /* drain, then leave with this code */
    bool (*key_doubted)(void *context); /* since last asked, has a consumer token not fitted the directory's key? */
};

/* Texts and lists are borrowed until directory_finish(). */
struct directory_options {
    const char *url;       /* empty: no directory; backend and capacity are looked after all the same */
    const char *node_name; /* of files */
    const char *node_id;   /* empty: as stored, else as the directory says */
    const char *state_dir; /* NULL: nothing outlives the process */
    uint32_t timeout_ms, heartbeat_ms;
    bool check_registry, allow_private;
    bool supervised; /* IICP_SUPERVISED=1 */
    /* All that stays the same; node_id, current_node_token, availability, pricing and max_concurrent are
     * filled in. */
    struct iicp_registration registration;
    const bool
        *from_backend; /* per capability: its models are those of the backend, once known; NULL: none */
    struct iicp_pricing pricing;
    bool sign_pricing; /* then it is told in heartbeats, with the issued key */
    bool receipts;
    uint32_t receipts_max;
    struct backend_options backend;
    bool backend_has_tags;      /* it may know /api/tags */
    const struct iicp_keys *cx; /* confidential tasks' key, for snapshots; NULL: none */
};

struct directory;

/** NULL: out of memory. The clock starts with the first turn; capacity must be configured before it. */
struct directory *directory_create(const struct control_host *host, struct crypto *crypto,
                                   const struct directory_options *options,
                                   const struct directory_hooks *hooks);
void directory_destroy(struct directory *d);

/** At start and on reload. @zone is taken over; NULL: UTC. What changed is told to the directory. */
void directory_set_capacity(struct directory *d, uint32_t base, const struct iicp_windows *windows,
                            struct zone *zone);

/** The same where only the base is known to be right. */
void directory_set_base(struct directory *d, uint32_t base);

/** For control_add(); it is destroyed with the loop. Saying goodbye is best effort: a DELETE, whatever its
 * answer, once a registration under way has been answered. */
struct control_part directory_part(struct directory *d);
uint64_t directory_turn(void *self, uint64_t now_ns);
void directory_leave(void *self);
bool directory_left(void *self);

/** A worker's message: a task has finished. */
void directory_task_finished(struct directory *d, const struct iicp_event *e);

enum directory_state directory_state(const struct directory *d);
/** Should be a member, and is not, or has not been heard for three heartbeats. */
bool directory_in_trouble(const struct directory *d, uint64_t now_ns);
const char *directory_node_id(const struct directory *d);

/** Thread: any; they stay where they are. */
struct iicp_backend directory_backend(const struct directory *d);
const struct directory_metrics *directory_metrics(const struct directory *d);

#endif

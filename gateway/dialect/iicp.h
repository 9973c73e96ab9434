/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IICP dialect: POST /v1/task and GET /iicp/health between the wire and neutral tasks (IICP 1.9, sections 1
 * and 2 of the provider node contract; docs/iicp.md says what is served). No I/O, no timers, no HTTP framing.
 * Thread: the worker that owns the struct.
 */
#ifndef TG_IICP_H
#define TG_IICP_H

#include "gateway/base/json_canonical.h"
#include "gateway/base/mailbox.h"
#include "gateway/base/random.h"
#include "gateway/task/rate.h"
#include "gateway/task/task.h"
#include "gateway/task/window.h"
#include "iicp_backend.h"
#include "iicp_policy.h"
#include "iicp_token.h"

/* What this node says about itself. Constant after start. */
struct iicp_node {
    char id[129]; /* as configured; iicp_node_id() is what it is called */
    char region[65], model[129];
    struct tg_instance *const *instances;
    uint32_t instance_count;
    const char *device; /* "cpu", for health */
    const char *io;     /* "io_uring" or "epoll", once workers serve */
    struct iicp_cip_config cip;
    bool allow_high_risk;
    uint32_t report; /* enum iicp_event_want, or-ed: what is told about finished tasks */
};

/* What all workers and the control thread share while serving. */
struct iicp_shared {
    _Atomic(const struct iicp_keys *) keys; /* published by control; NULL: none yet */
    _Atomic uint64_t backend;               /* iicp_backend_pack(), written by control; relaxed: it stands for itself */
    _Atomic uint32_t parts;                 /* of other nodes' tasks, being worked on */
    _Atomic bool key_doubted; /* set by workers, taken back by control; relaxed: it hints and orders nothing */
};

enum iicp_auth_mode { IICP_AUTH_OPEN, IICP_AUTH_OPTIONAL, IICP_AUTH_REQUIRED };

/* Reloadable. */
struct iicp_settings {
    uint32_t timeout_ms, timeout_max_ms; /* of tasks */
    bool allow_tool_execution;
    enum iicp_auth_mode auth;
};

/* What a worker needs for tasks that are sealed, reported or authenticated. */
struct iicp_room {
    struct crypto *crypto;
    struct iicp_token_cache tokens;
    char *text; /* one opened payload, or one answer before it is sealed */
    size_t text_bytes;
    struct tg_json_doc doc; /* tape for that */
    struct json_canonical_room members;
};

struct iicp {
    struct tasks *tasks;
    const struct iicp_node *node;
    const struct iicp_settings *settings;
    struct window *nonces;
    struct window *ids; /* NULL: idempotency is off */
    struct rate *origins;
    struct iicp_shared *shared;
    struct iicp_room *room;
    struct mailbox *events; /* to the control thread, struct iicp_event each; NULL: nobody wants any */
    struct random_state random;
    struct tg_json_doc doc; /* tape for one request body at a time */
};

/* The pieces of a request that concern this dialect; len 0: absent. */
struct iicp_request {
    struct tg_str content_type, origin, traceparent, authorization, consumer_token;
    struct tg_str body;
};

/** Who this node is: as its directory says, else as configured. The text lives as long as the snapshots do. */
static inline struct tg_str iicp_node_id(const struct iicp *ic)
{
    const struct iicp_keys *keys = atomic_load_explicit(&ic->shared->keys, memory_order_acquire); /* I1 */
    const char *id = keys && keys->node_id[0] ? keys->node_id : ic->node->id;
    return (struct tg_str){id, strlen(id)};
}

/** POST /v1/task. The task is started, waiting or finished on return. */
void iicp_task(struct iicp *ic, struct task *t, const struct iicp_request *req);

/** A waiting task may try again (its body is in t->body). */
void iicp_task_resume(struct iicp *ic, struct task *t);

/** A special task is about to be closed: what it holds goes back, its secret is wiped. */
void iicp_task_forget(struct iicp *ic, struct task *t);

/** GET /iicp/health. */
void iicp_write_health(const struct iicp *ic, struct tg_json_writer *w);

/* Success or error, by the task's status; also fit for requests that never became tasks. */
extern const struct task_reply iicp_task_reply;

#endif

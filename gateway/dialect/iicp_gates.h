/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a task passes besides the ordinary way (provider node contract, sections 1.2, 1.6, 1.7, 4.3): credentials, the
 * backend's state, places for parts of other nodes' tasks, the opening of confidential payloads, and what is told about
 * its end. A task that needs none of it pays a comparison each.
 * Thread: the worker.
 */
#ifndef TG_IICP_GATES_H
#define TG_IICP_GATES_H

#include "iicp_backend.h"
#include "iicp_envelope.h"

/* iicp_auth.c */
bool iicp_auth_check(struct iicp *ic, struct task *t, const struct iicp_request *req, const struct iicp_envelope *e);
/** Credentials as the mode asks. False: the task has been refused. */
static inline bool iicp_auth_pass(struct iicp *ic, struct task *t, const struct iicp_request *req,
                                  const struct iicp_envelope *e)
{
    return TG_LIKELY(ic->settings->auth == IICP_AUTH_OPEN) || iicp_auth_check(ic, t, req, e);
}

/* iicp_special.c */
/** The task's extra memory, made ready for use once. */
struct task_special *iicp_special(struct iicp *ic, struct task *t);

bool iicp_cip_check(struct iicp *ic, struct task *t, const struct iicp_envelope *e);
/** Is it a part of another task, or one to be shared out? False: the task has been refused. */
static inline bool iicp_cip_pass(struct iicp *ic, struct task *t, const struct iicp_envelope *e)
{
    return TG_LIKELY(!e->fields[IICP_TRACE] && !e->cip) || iicp_cip_check(ic, t, e);
}

/** Refuse, for a backend that drains. Always false. */
bool iicp_backend_refuse(struct iicp *ic, struct task *t, struct iicp_backend b);
/** Only a backend that drains holds tasks back. False: the task has been refused. */
static inline bool iicp_backend_pass(struct iicp *ic, struct task *t)
{
    struct iicp_backend b =
        iicp_backend_unpack(atomic_load_explicit(&ic->shared->backend, memory_order_relaxed)); /* one word says all */
    return TG_LIKELY(b.state != IICP_BACKEND_DRAINING) || iicp_backend_refuse(ic, t, b);
}

/* iicp_sealed.c */
/** Does it ask for anything confidential? */
static inline bool iicp_is_sealed(const struct iicp_envelope *e)
{
    return e->fields[IICP_CONF] != NULL;
}
/** Open the payload onto the room's tape. Its root, or NULL: the task has been refused. */
const struct tg_json_node *iicp_sealed_open(struct iicp *ic, struct task *t, const struct iicp_envelope *e);
/** Write the sealed form of the answer that @write makes. */
void iicp_sealed_write(struct task *t, void (*write)(struct task *t, struct tg_json_writer *w),
                       struct tg_json_writer *w);
/** The task's id with its escapes resolved. */
struct tg_str iicp_task_id(const struct task *t, char out[static TASK_ID_BYTES_MAX]);

/* iicp_report.c */
/** Remember who asked, for the report at the end. */
void iicp_report_note(struct iicp *ic, struct task *t, const struct iicp_envelope *e, struct tg_str traceparent);
/** Tell control how the task ended; @result is the JSON text that became `result`, len 0 if there is none. */
void iicp_report(struct task *t, struct tg_str result);

#endif

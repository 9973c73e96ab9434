/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that carry more than most: parts of other nodes' tasks, and what a draining backend means for all. */
#include <stdio.h>
#include "gateway/base/clock.h"
#include "iicp_cip.h"
#include "iicp_gates.h"

/* What a client is told to wait if the backend does not say how long it will be. */
#define BACKEND_RETRY_S 30

struct task_special *iicp_special(struct iicp *ic, struct task *t)
{
    if (!t->special) {
        t->more = (struct task_special){.dialect = ic};
        t->special = true;
    }
    return &t->more;
}

void iicp_task_forget(struct iicp *ic, struct task *t)
{
    if (t->more.part)
        iicp_cip_release(&ic->shared->parts);
    if (t->more.sealed)
        crypto_wipe(t->more.secret, sizeof(t->more.secret));
}

/* ---- cooperative inference ------------------------------------------------------------------------------- */

/* It takes its place before the task's own is claimed, and is refused at once where there is none. */
static bool take_part(struct iicp *ic, struct task *t, const struct iicp_part *part)
{
    const struct iicp_cip_config *policy = &ic->node->cip;
    if (!iicp_cip_claim(&ic->shared->parts, policy->max_concurrent_remote)) {
        task_finish(ic->tasks, t, TG_CIP_FULL);
        return false;
    }
    struct task_special *more = iicp_special(ic, t);
    more->part = true;
    more->session_len = (uint16_t)part->session.len;
    memcpy(more->session, part->session.ptr, part->session.len);
    t->deadline_ns = TG_MIN(t->deadline_ns, t->arrival_ns + policy->max_worker_timeout_ms * NS_PER_MS);
    return true;
}

bool iicp_cip_check(struct iicp *ic, struct task *t, const struct iicp_envelope *e)
{
    struct iicp_part part;
    enum tg_status rc = iicp_cip_read(&ic->doc, e->fields[IICP_TRACE], e->cip, &ic->node->cip, &part, &t->error);
    if (rc == TG_OK)
        return !part.worker || take_part(ic, t, &part);
    if (rc == TG_CIP_INVALID)
        task_refuse(ic->tasks, t, rc);
    else
        task_finish(ic->tasks, t, rc);
    return false;
}

/* ---- the backend ----------------------------------------------------------------------------------------- */

bool iicp_backend_refuse(struct iicp *ic, struct task *t, struct iicp_backend b)
{
    t->retry_after_ms = (b.retry_after_s ? b.retry_after_s : BACKEND_RETRY_S) * 1000u;
    struct tg_str reason = iicp_backend_reason_name(b.reason);
    snprintf(t->error.field, sizeof(t->error.field), "%.*s", (int)reason.len, reason.ptr);
    t->error.message[0] = '\0';
    task_refuse(ic->tasks, t, TG_BACKEND_DRAINING);
    return false;
}

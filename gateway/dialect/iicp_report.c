/* SPDX-License-Identifier: Apache-2.0 */
/* What the control thread is told about finished tasks: for receipts (contract section 1.10) and spans (1.9). */
#include <time.h>
#include "gateway/base/clock.h"
#include "iicp_events.h"
#include "iicp_gates.h"
#include "iicp_sign.h"

/* The span of who asked: digits 36 to 51 of a valid traceparent. */
#define PARENT_AT 36

static void note_requester(struct iicp *ic, struct task_special *more, const struct tg_json_node *n)
{
    int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(&ic->doc, n, more->requester, sizeof(more->requester))
                                                 : 0;
    more->requester_len = len > 0 ? (uint16_t)len : 0; /* one that is too long is nobody */
}

void iicp_report_note(struct iicp *ic, struct task *t, const struct iicp_envelope *e, struct tg_str traceparent)
{
    struct task_special *more = iicp_special(ic, t);
    note_requester(ic, more, e->fields[IICP_SOURCE_NODE_ID]);
    if (traceparent.len > PARENT_AT + sizeof(more->parent_span) && memcmp(traceparent.ptr + 3, t->trace_id, 32) == 0)
        memcpy(more->parent_span, traceparent.ptr + PARENT_AT, sizeof(more->parent_span));
}

static enum task_outcome outcome_of(const struct task *t)
{
    return t->status == TG_OK ? OUTCOME_SUCCESS : t->status == TG_TIMEOUT ? OUTCOME_TIMEOUT : OUTCOME_ERROR;
}

static uint64_t unix_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* A receipt is for work done: it proves the result by its hash. */
static bool hash_result(struct iicp *ic, struct tg_str result, uint8_t out[CRYPTO_HASH_BYTES])
{
    struct iicp_room *room = ic->room;
    struct tg_json_error err;
    return tg_json_parse(&room->doc, result.ptr, result.len, &err) == 0 &&
           iicp_result_hash(room->crypto, &room->doc, room->doc.nodes, room->members, out) == 0;
}

static void fill(struct iicp_event *e, struct task *t)
{
    const struct task_special *more = &t->more;
    uint64_t spent = t->finished_ns - t->arrival_ns;
    e->outcome = outcome_of(t);
    e->intent_slot = t->intent_slot;
    e->end_unix_ns = unix_now_ns();
    e->start_unix_ns = e->end_unix_ns - spent;
    memcpy(e->trace_id, t->trace_id, sizeof(e->trace_id));
    memcpy(e->parent_span, more->parent_span, sizeof(e->parent_span));
    e->id_len = (uint16_t)iicp_task_id(t, e->id).len;
    e->requester_len = more->requester_len;
    memcpy(e->requester, more->requester, more->requester_len);
}

void iicp_report(struct task *t, struct tg_str result)
{
    struct iicp *ic = t->more.dialect;
    struct iicp_event e = {.want = ic->node->report & IICP_WANT_SPAN};
    if (t->more.reported || !ic->events)
        return;
    t->more.reported = true;
    if ((ic->node->report & IICP_WANT_RECEIPT) && t->status == TG_OK && hash_result(ic, result, e.result_hash))
        e.want |= IICP_WANT_RECEIPT;
    if (e.want == 0)
        return;
    fill(&e, t);
    if (mailbox_send(ic->events, &e) < 0)
        metrics_add(ic->tasks->metrics, METRIC_EVENTS_LOST, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Confidential tasks on their way through a worker: opened behind the gates, answered sealed where asked. */
#include "iicp_cx.h"
#include "iicp_gates.h"

struct tg_str iicp_task_id(const struct task *t, char out[static TASK_ID_BYTES_MAX])
{
    char quoted[TASK_ID_BYTES_MAX + 2];
    struct tg_json_node node;
    struct tg_json_doc doc = {.nodes = &node, .capacity = 1};
    struct tg_json_error err;
    quoted[0] = quoted[t->id_len + 1] = '"';
    memcpy(quoted + 1, t->id, t->id_len);
    int rc = tg_json_parse(&doc, quoted, t->id_len + 2u, &err);
    TG_ASSERT(rc == 0); /* it was a valid string when it came */
    return (struct tg_str){out, (size_t)tg_json_unescape(&doc, &node, out, TASK_ID_BYTES_MAX)};
}

/* ---- in ---------------------------------------------------------------------------------------------------- */

static const struct tg_json_node *refuse(struct iicp *ic, struct task *t, enum iicp_cx_result r)
{
    struct tg_str reason = iicp_cx_reason(r);
    metrics_add(ic->tasks->metrics, METRIC_CONFIDENTIAL_REFUSED, 1);
    tg_error_set(&t->error, "", "%.*s", (int)reason.len, reason.ptr);
    task_refuse(ic->tasks, t, iicp_cx_status(r));
    return NULL;
}

static bool reply_wanted(const struct iicp *ic, const struct iicp_envelope *e)
{
    const struct tg_json_node *n = e->fields[IICP_CX_RESPONSE];
    return n && n->type == TG_JSON_STRING && tg_json_string_eq(&ic->doc, n, TG_STR("required"));
}

/* The plaintext is JSON like any other payload, and as little to be trusted. */
static const struct tg_json_node *parse(struct iicp *ic, struct task *t, struct tg_str plain)
{
    struct tg_json_error err;
    if (tg_json_parse(&ic->room->doc, plain.ptr, plain.len, &err) == 0)
        return ic->room->doc.nodes;
    t->has_error_offset = true;
    t->error_offset = err.offset;
    tg_error_set(&t->error, "iicp_conf", "the payload inside is not JSON: %s", err.message);
    task_refuse(ic->tasks, t, TG_BAD_JSON);
    return NULL;
}

static void keep_secret(struct iicp *ic, struct task *t, struct iicp_cx_opened *opened, bool wanted)
{
    if (wanted) {
        struct task_special *more = iicp_special(ic, t);
        memcpy(more->secret, opened->secret, sizeof(more->secret));
        more->sealed = true;
    }
    crypto_wipe(opened->secret, sizeof(opened->secret));
}

const struct tg_json_node *iicp_sealed_open(struct iicp *ic, struct task *t, const struct iicp_envelope *e)
{
    static const struct iicp_keys none;
    const struct iicp_keys *keys = atomic_load_explicit(&ic->shared->keys, memory_order_acquire); /* I1 */
    struct iicp_cx_opened opened;
    char id[TASK_ID_BYTES_MAX];
    const char *intent = t->instance->intent;
    enum iicp_cx_result r =
        iicp_cx_open(ic->room->crypto, keys ? keys : &none, &ic->doc, e->fields[IICP_CONF], iicp_task_id(t, id),
                     (struct tg_str){intent, strlen(intent)}, ic->room->text, ic->room->text_bytes, &opened);
    if (r != IICP_CX_DONE)
        return refuse(ic, t, r);
    metrics_add(ic->tasks->metrics, METRIC_CONFIDENTIAL, 1);
    keep_secret(ic, t, &opened, reply_wanted(ic, e));
    return parse(ic, t, opened.plain);
}

/* ---- out --------------------------------------------------------------------------------------------------- */

void iicp_sealed_write(struct task *t, void (*write)(struct task *t, struct tg_json_writer *w),
                       struct tg_json_writer *w)
{
    struct iicp *ic = t->more.dialect;
    struct tg_json_writer plain;
    char id[TASK_ID_BYTES_MAX];
    tg_json_writer_init(&plain, ic->room->text, ic->room->text_bytes - CRYPTO_TAG_BYTES);
    write(t, &plain);
    struct iicp_cx_reply reply = {
        .secret = t->more.secret,
        .task_id = iicp_task_id(t, id),
        .text = plain.buf,
        .len = plain.len,
        .cap = ic->room->text_bytes,
    };
    if (plain.overflow)
        w->overflow = true; /* the answer is too large: as for any other, an internal error */
    else if (iicp_cx_seal(ic->room->crypto, &reply, w) != IICP_CX_DONE)
        t->status = TG_CX_SEAL_FAILED; /* nothing was written; the caller writes that instead */
}

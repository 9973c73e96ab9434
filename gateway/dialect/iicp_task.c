/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/task: the order of checks (contract section 1.2), and the answers (1.3, 1.9, 1.11). */
#include "gateway/base/clock.h"
#include "iicp_envelope.h"

/* What a client of a node that is going away is told to wait. */
#define DRAINING_RETRY_MS 5000

/* ---- headers ------------------------------------------------------------------------------------------ */

static bool equal_fold(struct tg_str s, struct tg_str lower)
{
    if (s.len != lower.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? (char)(s.ptr[i] | 0x20) : s.ptr[i];
        if (c != lower.ptr[i])
            return false;
    }
    return true;
}

/* application/json, with or without parameters; absent is taken for it. */
static bool media_type_ok(struct tg_str type)
{
    size_t end = 0;
    while (end < type.len && type.ptr[end] != ';' && type.ptr[end] != ' ' && type.ptr[end] != '\t')
        end++;
    return type.len == 0 || equal_fold((struct tg_str){type.ptr, end}, TG_STR("application/json"));
}

static bool hex_lower(const char *p, size_t n, bool *all_zero)
{
    *all_zero = true;
    for (size_t i = 0; i < n; i++) {
        bool digit = p[i] >= '0' && p[i] <= '9';
        if (!digit && !(p[i] >= 'a' && p[i] <= 'f'))
            return false;
        *all_zero &= p[i] == '0';
    }
    return true;
}

/* W3C trace context, version 00. The trace id, or NULL if the header is absent or invalid. */
static const char *traceparent_id(struct tg_str h)
{
    bool zero, zero_span, ignored;
    if (h.len != 55 || memcmp(h.ptr, "00-", 3) != 0 || h.ptr[35] != '-' || h.ptr[52] != '-')
        return NULL;
    if (!hex_lower(h.ptr + 3, 32, &zero) || !hex_lower(h.ptr + 36, 16, &zero_span) ||
        !hex_lower(h.ptr + 53, 2, &ignored) || zero || zero_span)
        return NULL;
    return h.ptr + 3;
}

/* Sixteen hex digits, the two of each byte looked up together. */
static void put_hex(char out[16], uint64_t v)
{
#define HEX_ROW(h) h "0" h "1" h "2" h "3" h "4" h "5" h "6" h "7" h "8" h "9" h "a" h "b" h "c" h "d" h "e" h "f"
    static const char pairs[] = HEX_ROW("0") HEX_ROW("1") HEX_ROW("2") HEX_ROW("3") HEX_ROW("4") HEX_ROW("5")
        HEX_ROW("6") HEX_ROW("7") HEX_ROW("8") HEX_ROW("9") HEX_ROW("a") HEX_ROW("b") HEX_ROW("c") HEX_ROW("d")
            HEX_ROW("e") HEX_ROW("f");
#undef HEX_ROW
    for (uint32_t i = 0; i < 8; i++, v >>= 8)
        memcpy(out + 2 * i, pairs + 2 * (v & 255), 2);
}

static void apply_trace(struct iicp *ic, struct task *t, struct tg_str traceparent)
{
    const char *id = traceparent_id(traceparent);
    if (id) {
        memcpy(t->trace_id, id, sizeof(t->trace_id));
        return;
    }
    put_hex(t->trace_id, random_u64(&ic->random) | 1); /* never all zero */
    put_hex(t->trace_id + 16, random_u64(&ic->random));
}

/* ---- the way in --------------------------------------------------------------------------------------- */

/* Note a name by what it means, not by how it is spelled: escapes are no way round a window. */
static bool note(struct iicp *ic, struct task *t, struct window *window, const struct tg_json_node *name,
                 enum tg_status refusal)
{
    char text[IICP_NAME_BYTES_MAX];
    int64_t len = tg_json_unescape(&ic->doc, name, text, sizeof(text));
    TG_ASSERT(len >= 0); /* longer ones were refused */
    enum window_result r = window_note(window, (struct tg_str){text, (size_t)len}, ic->tasks->now_ns);
    if (r == WINDOW_NEW_EVICTED)
        metrics_add(ic->tasks->metrics, METRIC_WINDOW_EVICTIONS, 1);
    if (r != WINDOW_SEEN)
        return true;
    metrics_add(ic->tasks->metrics, METRIC_REPLAYS, 1);
    task_finish(ic->tasks, t, refusal);
    return false;
}

/* Nonce first, then task id; an empty one is none. Only once per task, however often it is offered. */
static bool pass_windows(struct iicp *ic, struct task *t, const struct iicp_envelope *e)
{
    if (t->windows_passed)
        return true;
    t->windows_passed = true;
    const struct tg_json_node *nonce = e->fields[IICP_NONCE];
    if (nonce && nonce->text.len > 0 && !note(ic, t, ic->nonces, nonce, TG_REPLAY))
        return false;
    return !ic->ids || t->id_len == 0 || note(ic, t, ic->ids, e->fields[IICP_TASK_ID], TG_DUPLICATE);
}

static void offer(struct iicp *ic, struct task *t, const struct iicp_envelope *e, struct tg_str body)
{
    if (!task_admit(ic->tasks, t, body) || !pass_windows(ic, t, e))
        return;
    task_start(ic->tasks, t, &ic->doc, e->fields[IICP_PAYLOAD], body);
}

void iicp_task(struct iicp *ic, struct task *t, const struct iicp_request *req)
{
    struct iicp_envelope e;
    t->reply = &iicp_task_reply;
    t->counted = true;
    apply_trace(ic, t, req->traceparent);
    if (req->origin.len > 0 && !rate_hit(ic->origins, req->origin, ic->tasks->now_ns)) {
        t->retry_after_ms = RATE_WINDOW_S * 1000;
        task_finish(ic->tasks, t, TG_RATE_LIMITED);
    } else if (atomic_load_explicit(&ic->tasks->admission->draining, memory_order_relaxed)) {
        t->retry_after_ms = DRAINING_RETRY_MS;
        task_finish(ic->tasks, t, TG_DRAINING);
    } else if (!media_type_ok(req->content_type)) {
        task_finish(ic->tasks, t, TG_MEDIA_TYPE);
    } else if (iicp_envelope_parse(ic, t, req->body, &e) && iicp_envelope_apply(ic, t, &e)) {
        offer(ic, t, &e, req->body);
    }
}

void iicp_task_resume(struct iicp *ic, struct task *t)
{
    struct iicp_envelope e;
    struct tg_str body = {t->body->data, t->body->len};
    if (iicp_envelope_parse(ic, t, body, &e)) /* it did when it came; only the tape was used for others since */
        offer(ic, t, &e, body);
}

/* ---- the way out -------------------------------------------------------------------------------------- */

#define VERBATIM(w, literal) tg_json_write_verbatim((w), TG_STR(literal))

/* Text that came as part of a JSON string and is still escaped as it was. */
static void write_quoted(struct tg_json_writer *w, struct tg_str escaped)
{
    VERBATIM(w, "\"");
    tg_json_write_verbatim(w, escaped);
    VERBATIM(w, "\"");
}

/* Also opens the object. */
static void write_id(struct task *t, struct tg_json_writer *w)
{
    VERBATIM(w, "{\"task_id\":");
    write_quoted(w, (struct tg_str){t->id, t->id_len});
}

/* Milliseconds with three decimals, without a detour over floating point. */
static void write_ms(struct tg_json_writer *w, uint64_t us)
{
    char decimals[4] = {'.', (char)('0' + us / 100 % 10), (char)('0' + us / 10 % 10), (char)('0' + us % 10)};
    tg_json_write_u64(w, us / 1000);
    tg_json_write_verbatim(w, (struct tg_str){decimals, sizeof(decimals)});
}

static void write_metrics(struct task *t, struct tg_json_writer *w)
{
    VERBATIM(w, ",\"error\":null,\"metrics\":{\"latency_ms\":");
    write_ms(w, (t->finished_ns - t->arrival_ns) / NS_PER_US);
    VERBATIM(w, ",\"tokens_used\":0,\"batch_rows\":");
    tg_json_write_u64(w, tg_rows_row(&t->rows, 0)->batch_rows);
}

static void write_result(struct task *t, struct tg_json_writer *w)
{
    write_id(t, w);
    VERBATIM(w, ",\"status\":\"success\",\"result\":");
    task_encode(t, w);
    write_metrics(t, w);
    VERBATIM(w, "},\"model_used\":");
    tg_json_write_string(w, (struct tg_str){t->instance->name, strlen(t->instance->name)});
    VERBATIM(w, ",\"usage\":{\"total_tokens\":0},\"generated_by_ai\":true}");
}

static struct tg_str message_of(const struct task *t)
{
    if (t->has_error && t->error.message[0])
        return (struct tg_str){t->error.message, strlen(t->error.message)};
    return tg_status_info(t->status)->message;
}

static void write_details(struct task *t, struct tg_json_writer *w)
{
    if (t->has_error && t->error.field[0]) {
        TG_JSON_KEY(w, "field");
        tg_json_write_string(w, (struct tg_str){t->error.field, strlen(t->error.field)});
    }
    if (t->has_error_offset) {
        TG_JSON_KEY(w, "offset");
        tg_json_write_u64(w, t->error_offset);
    }
    if (t->status == TG_CAPACITY) {
        TG_JSON_KEY(w, "qos_class");
        write_quoted(w, t->qos_len ? (struct tg_str){t->qos, t->qos_len} : TG_STR("best_effort"));
    }
    if (t->retry_after_ms) {
        TG_JSON_KEY(w, "retry_after_ms");
        tg_json_write_u64(w, t->retry_after_ms);
    }
}

/* Rust clients read error.code, Python clients the top level: both are there. */
static void write_error(struct task *t, struct tg_json_writer *w)
{
    struct tg_str code = tg_status_info(t->status)->code, message = message_of(t);
    if (t->has_id) {
        write_id(t, w);
        TG_JSON_KEY(w, "status");
        tg_json_write_string(w, t->status == TG_TIMEOUT ? TG_STR("timeout") : TG_STR("error"));
    } else {
        tg_json_write_begin_object(w);
    }
    TG_JSON_KEY(w, "error");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "code");
    tg_json_write_string(w, code);
    TG_JSON_KEY(w, "message");
    tg_json_write_string(w, message);
    write_details(t, w);
    tg_json_write_end_object(w);
    TG_JSON_KEY(w, "code");
    tg_json_write_string(w, code);
    TG_JSON_KEY(w, "message");
    tg_json_write_string(w, message);
    if (t->has_id) {
        TG_JSON_KEY(w, "generated_by_ai");
        tg_json_write_bool(w, false);
    }
    tg_json_write_end_object(w);
}

static void write_task(void *context, struct task *t, struct tg_json_writer *w)
{
    (void)context;
    if (t->status == TG_OK)
        write_result(t, w);
    else
        write_error(t, w);
}

const struct task_reply iicp_task_reply = {"application/json", write_task};

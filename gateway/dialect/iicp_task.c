/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/task: the order of checks (contract section 1.2), and the answers (1.3, 1.9, 1.11). */
#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "iicp_gates.h"

/* What a client of a node that is going away is told to wait. */
#define DRAINING_RETRY_MS 5000

#define RUNNER_NAME_BYTES sizeof(((struct tg_instance *)NULL)->name)

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

/* application/json, with or without parameters; absent is taken for it. Nearly always spelled just so. */
static bool media_type_ok(struct tg_str type)
{
    size_t end = 0;
    if (TG_LIKELY(tg_str_eq(type, TG_STR("application/json"))))
        return true;
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

typedef uint64_t words2 __attribute__((vector_size(16)));
typedef uint8_t bytes16 __attribute__((vector_size(16)));

/* Digits of sixteen nibbles: letters lie so much further on in ASCII. */
static inline bytes16 hex_digits(bytes16 nibbles)
{
    return nibbles + '0' + ((bytes16)(nibbles > 9) & ('a' - '9' - 1));
}

/* All 32 digits at once, in vectors of bytes; compilers make of it what the processor has. */
static void put_trace(char out[32], uint64_t a, uint64_t b)
{
    bytes16 v = (bytes16)(words2){a, b}; /* not through memory: two stores do not forward to one load */
    bytes16 high = v >> 4, low = v & 15;
    bytes16 halves[2] = {
        hex_digits(__builtin_shufflevector(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)),
        hex_digits(__builtin_shufflevector(high, low, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)),
    };
    memcpy(out, halves, sizeof(halves));
}

static void apply_trace(struct iicp *ic, struct task *t, struct tg_str traceparent)
{
    const char *id = traceparent_id(traceparent);
    if (id) {
        memcpy(t->trace_id, id, sizeof(t->trace_id));
        return;
    }
    uint64_t a = random_u64(&ic->random) | 1, b = random_u64(&ic->random); /* never all zero */
    put_trace(t->trace_id, a, b);
}

/* ---- the way in --------------------------------------------------------------------------------------- */

/* Note a name by what it means, not by how it is spelled: escapes are no way round a window. */
static __attribute__((noinline)) bool note(struct iicp *ic, struct task *t, struct window *window,
                                           const struct tg_json_node *name, enum tg_status refusal)
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

/* Only now is a sealed payload opened: what is refused before costs no cryptography. */
static __attribute__((noinline)) void start_sealed(struct iicp *ic, struct task *t, const struct iicp_envelope *e,
                                                   struct tg_str body)
{
    const struct tg_json_node *payload = iicp_sealed_open(ic, t, e);
    if (payload)
        task_start(ic->tasks, t, &ic->room->doc, payload, body);
}

static void offer(struct iicp *ic, struct task *t, const struct iicp_envelope *e, struct tg_str body)
{
    if (!task_admit(ic->tasks, t, body) || !pass_windows(ic, t, e))
        return;
    if (TG_UNLIKELY(iicp_is_sealed(e)))
        start_sealed(ic, t, e, body);
    else
        task_start(ic->tasks, t, &ic->doc, e->fields[IICP_PAYLOAD], body);
}

static bool pass_rate(struct iicp *ic, struct task *t, struct tg_str origin)
{
    if (TG_LIKELY(origin.len == 0) || rate_hit(ic->origins, origin, ic->tasks->now_ns))
        return true;
    t->retry_after_ms = RATE_WINDOW_S * 1000;
    task_finish(ic->tasks, t, TG_RATE_LIMITED);
    return false;
}

static bool pass_draining(struct iicp *ic, struct task *t)
{
    if (TG_LIKELY(!atomic_load_explicit(&ic->tasks->admission->draining, memory_order_relaxed)))
        return true;
    t->retry_after_ms = DRAINING_RETRY_MS;
    task_finish(ic->tasks, t, TG_DRAINING);
    return false;
}

static bool pass_media_type(struct iicp *ic, struct task *t, struct tg_str type)
{
    if (media_type_ok(type))
        return true;
    task_finish(ic->tasks, t, TG_MEDIA_TYPE);
    return false;
}

void iicp_task(struct iicp *ic, struct task *t, const struct iicp_request *req)
{
    struct iicp_envelope e;
    t->reply = &iicp_task_reply;
    t->counted = true;
    apply_trace(ic, t, req->traceparent);
    if (!pass_draining(ic, t) || !pass_media_type(ic, t, req->content_type) ||
        !iicp_envelope_parse(ic, t, req->body, &e) || !iicp_auth_pass(ic, t, req, &e) ||
        !pass_rate(ic, t, req->origin) || !iicp_envelope_apply(ic, t, &e) || !iicp_backend_pass(ic, t) ||
        !iicp_cip_pass(ic, t, &e))
        return;
    if (TG_UNLIKELY(ic->node->report))
        iicp_report_note(ic, t, &e, req->traceparent);
    offer(ic, t, &e, req->body);
}

void iicp_task_resume(struct iicp *ic, struct task *t)
{
    struct iicp_envelope e;
    struct tg_str body = {t->body->data, t->body->len};
    if (iicp_envelope_parse(ic, t, body, &e)) /* it did when it came; only the tape was used for others since */
        offer(ic, t, &e, body);
}

/* ---- success: the answer that counts. Each stretch asks once for its room, and constants are copied as such. -- */

#define RESULT_START "{\"task_id\":\""
#define RESULT_STATUS "\",\"status\":\"success\",\"result\":"
#define RESULT_LATENCY ",\"error\":null,\"metrics\":{\"latency_ms\":"
#define RESULT_ROWS ",\"tokens_used\":0,\"batch_rows\":"
#define RESULT_MODEL "},\"model_used\":\""
#define RESULT_END "\",\"usage\":{\"total_tokens\":0},\"generated_by_ai\":true}"
#define RESULT_TAIL_MAX                                                                                       \
    (sizeof(RESULT_LATENCY RESULT_ROWS RESULT_MODEL RESULT_END) + 2 * TG_NUMBER_TEXT_MAX + 4 + RUNNER_NAME_BYTES)

/* Room for @n bytes at the end of what is written, NULL if there is none. The caller says how many it took. */
static inline char *room(struct tg_json_writer *w, size_t n)
{
    w->overflow |= w->cap - w->len < n;
    return TG_LIKELY(!w->overflow) ? w->buf + w->len : NULL;
}

static inline void took(struct tg_json_writer *w, const char *end)
{
    w->len = (size_t)(end - w->buf);
}

static inline __attribute__((always_inline)) char *put(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

#define PUT(p, literal) put((p), "" literal, sizeof(literal) - 1)

/* Mostly of one to three digits; found out by comparing, so that each goes where it belongs at once. */
static inline char *put_u64(char *p, uint64_t v)
{
    if (TG_UNLIKELY(v >= 1000))
        return p + tg_u64_print(v, p);
    uint32_t small = (uint32_t)v, hundreds = small / 100, rest = small % 100;
    *p = (char)('0' + hundreds);
    p += small >= 100;
    *p = (char)('0' + rest / 10);
    p += small >= 10;
    *p = (char)('0' + rest % 10);
    return p + 1;
}

/* Milliseconds with three decimals, without a detour over floating point. */
static inline char *put_ms(char *p, uint64_t us)
{
    uint32_t rest = (uint32_t)(us % 1000);
    p = put_u64(p, us / 1000);
    *p++ = '.';
    *p++ = (char)('0' + rest / 100);
    *p++ = (char)('0' + rest / 10 % 10);
    *p++ = (char)('0' + rest % 10);
    return p;
}

/* Names of runners are bare words: nothing in them needs escaping. */
static inline char *put_name(char *p, const char *name)
{
    while (*name)
        *p++ = *name++;
    return p;
}

static void write_tail(struct task *t, struct tg_json_writer *w)
{
    char *p = room(w, RESULT_TAIL_MAX);
    if (!p)
        return;
    p = PUT(p, RESULT_LATENCY);
    p = put_ms(p, (t->finished_ns - t->arrival_ns) / NS_PER_US);
    p = PUT(p, RESULT_ROWS);
    p = put_u64(p, tg_rows_row(&t->rows, 0)->batch_rows);
    p = PUT(p, RESULT_MODEL);
    p = put_name(p, t->instance->name);
    p = PUT(p, RESULT_END);
    took(w, p);
}

/* Part of another node's task: whose, is said again. */
static void write_part(const struct task *t, struct tg_json_writer *w)
{
    w->len--; /* the closing brace */
    tg_json_write_verbatim(w, TG_STR(",\"trace\":{\"cip_role\":\"worker\",\"cip_session_key\":"));
    tg_json_write_verbatim(w, t->more.session_len ? (struct tg_str){t->more.session, t->more.session_len}
                                                  : TG_STR("null"));
    tg_json_write_verbatim(w, TG_STR("}}"));
}

static __attribute__((noinline)) void finish_special(struct task *t, struct tg_json_writer *w, size_t result_at,
                                                     size_t result_end)
{
    if (t->more.part && !w->overflow)
        write_part(t, w);
    if (!w->overflow)
        iicp_report(t, (struct tg_str){w->buf + result_at, result_end - result_at});
}

static void write_result(struct task *t, struct tg_json_writer *w)
{
    char *p = room(w, sizeof(RESULT_START RESULT_STATUS) + t->id_len);
    if (!p)
        return;
    p = PUT(p, RESULT_START);
    p = put(p, t->id, t->id_len);
    p = PUT(p, RESULT_STATUS);
    took(w, p);
    size_t result_at = w->len;
    task_encode(t, w);
    size_t result_end = w->len;
    write_tail(t, w);
    if (TG_UNLIKELY(t->special))
        finish_special(t, w, result_at, result_end);
}

/* ---- failure ------------------------------------------------------------------------------------------ */

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

static struct tg_str message_of(const struct task *t)
{
    if (t->has_error && t->error.message[0])
        return (struct tg_str){t->error.message, strlen(t->error.message)};
    return tg_status_info(t->status)->message;
}

static void write_details(struct task *t, struct tg_json_writer *w)
{
    if (t->has_error && t->error.field[0]) {
        tg_json_write_key(w, t->status == TG_BACKEND_DRAINING ? TG_STR("reason") : TG_STR("field"));
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

static void write_plain(struct task *t, struct tg_json_writer *w)
{
    if (t->status == TG_OK)
        write_result(t, w);
    else
        write_error(t, w);
}

/* Results are sealed for who asked for it; errors say nothing that needs it. */
static __attribute__((noinline)) void write_special(struct task *t, struct tg_json_writer *w)
{
    if (t->more.sealed && t->status == TG_OK)
        iicp_sealed_write(t, write_result, w);
    if (!t->more.sealed || t->status != TG_OK)
        write_plain(t, w);
    if (t->status != TG_OK)
        iicp_report(t, (struct tg_str){0});
}

static void write_task(void *context, struct task *t, struct tg_json_writer *w)
{
    (void)context;
    if (TG_UNLIKELY(t->special))
        write_special(t, w);
    else
        write_plain(t, w);
}

const struct task_reply iicp_task_reply = {"application/json", write_task};

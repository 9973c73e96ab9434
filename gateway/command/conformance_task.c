/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of POST /v1/task: the answer, and each refusal. */
#include <stdlib.h>
#include "conformance.h"
#include "show.h"

#define ANSWER_BYTES_MAX (16u << 20)
#define ASK_MS 60000
#define TASK_MS 30000

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

/* ---- asking ------------------------------------------------------------------------------------------ */

static struct client_request request(const char *method, const char *url, const char *const *headers,
                                     struct tg_str body)
{
    return (struct client_request){.method = method,
                                   .url = url,
                                   .headers = headers,
                                   .body = body,
                                   .timeout_ms = ASK_MS,
                                   .body_bytes_max = ANSWER_BYTES_MAX,
                                   .reach = CLIENT_ANY};
}

void conformance_ask(struct conformance *c, const char *method, const char *path, const char *const *headers,
                     struct tg_str body, struct answer *a)
{
    const char *json[] = {"Content-Type: application/json", c->authorization[0] ? c->authorization : NULL,
                          NULL};
    char url[ASK_URL_MAX];
    bool fits = ask_url(url, c->url, path);
    TG_ASSERT(fits); /* the address was measured */
    struct client_request rq = request(method, url, headers ? headers : body.ptr ? json : NULL, body);
    ask(c->client, &rq, a);
}

static char *write_task(struct conformance *c, struct envelope *e, char ids[static 2 * ENVELOPE_ID_BYTES],
                        size_t *len, uint8_t secret[IICP_CX_SECRET_BYTES])
{
    envelope_uuid(ids);
    envelope_uuid(ids + ENVELOPE_ID_BYTES);
    e->task_id = e->task_id ? e->task_id : ids;
    e->nonce = e->nonce ? e->nonce : ids + ENVELOPE_ID_BYTES;
    e->intent = e->intent ? e->intent : c->intent_used;
    e->payload = e->payload.ptr ? e->payload : c->payload_used;
    e->timeout_ms = e->timeout_ms ? e->timeout_ms : TASK_MS;
    char *body = envelope_write(c->crypto, e, len, secret);
    TG_ASSERT(body); /* names are bounded by the flags' reader; memory is there, or nobody can be told */
    return body;
}

static void start(struct conformance *c, struct envelope *e, const char *header, struct answer *a)
{
    char ids[2 * ENVELOPE_ID_BYTES], url[ASK_URL_MAX];
    uint8_t secret[IICP_CX_SECRET_BYTES];
    size_t len = 0;
    char *body = write_task(c, e, ids, &len, secret);
    const char *headers[4] = {"Content-Type: application/json"};
    unsigned n = 1;
    if (c->authorization[0] && !(header && strncmp(header, "Authorization", 13) == 0))
        headers[n++] = c->authorization;
    headers[n] = header;
    bool fits = ask_url(url, c->url, "/v1/task");
    TG_ASSERT(fits); /* the address was measured */
    struct client_request rq = request("POST", url, headers, (struct tg_str){body, len});
    ask_start(c->client, &rq, a);
    free(body);
}

void conformance_task_start(struct conformance *c, struct envelope e, struct answer *a)
{
    start(c, &e, NULL, a);
}

void conformance_task(struct conformance *c, struct envelope e, const char *header, struct answer *a)
{
    start(c, &e, header, a);
    while (!a->over)
        client_turn(c->client, 1000, NULL, 0);
}

/* ---- judging ----------------------------------------------------------------------------------------- */

struct finding conformance_answered(const struct answer *a, uint32_t status)
{
    char code[64];
    if (a->error)
        return fail("no answer: %s", a->why);
    answer_code(a, code, sizeof(code));
    return a->status == status ? pass() : fail("answered %u %s, not %u", a->status, code, status);
}

struct finding conformance_refusal(const struct answer *a, uint32_t status, const char *code)
{
    char got[64];
    struct finding f = conformance_answered(a, status);
    if (f.verdict != VERDICT_PASS)
        return f;
    answer_code(a, got, sizeof(got));
    if (!answer_object(a))
        return fail("answered %u, but not in JSON", status);
    return code && strcmp(got, code) != 0
               ? fail("answered %u with the code \"%s\", not %s", status, got, code)
               : pass();
}

struct finding conformance_can_ask(const struct conformance *c)
{
    if (!c->intent_used[0])
        return skip("the node's health names no intent: --intent");
    return c->payload_used.len ? pass() : skip("no payload is known for %s: --payload", c->intent_used);
}

double conformance_number(const struct answer *a, const char *key, double otherwise)
{
    const struct tg_json_node *n = answer_get(a, key);
    return n && tg_json_is_number(n) ? tg_json_number(n) : otherwise;
}

/* ---- what is done ------------------------------------------------------------------------------------ */

typedef struct finding judge(const struct answer *a);

static struct finding with_task(struct conformance *c, judge *judgement)
{
    struct answer a;
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    conformance_task(c, (struct envelope){.task_id = "conformance-1", .qos = "interactive"}, NULL, &a);
    f = conformance_answered(&a, 200);
    if (f.verdict == VERDICT_PASS)
        f = judgement(&a);
    answer_finish(&a);
    return f;
}

static bool is_text(const struct answer *a, const char *key, const char *wanted)
{
    const struct tg_json_node *n = answer_get(a, key);
    return n && n->type == TG_JSON_STRING && tg_json_string_eq(&a->doc, n, text(wanted));
}

static struct finding has_id(const struct answer *a)
{
    return is_text(a, "task_id", "conformance-1") ? pass() : fail("task_id is not the one that was sent");
}

static struct finding has_result(const struct answer *a)
{
    if (!is_text(a, "status", "success") && !is_text(a, "status", "completed"))
        return fail("status is neither success nor completed");
    return answer_get(a, "result") ? pass() : fail("there is no result");
}

static struct finding has_latency(const struct answer *a)
{
    const struct tg_json_node *m = answer_get(a, "metrics");
    const struct tg_json_node *n =
        m && m->type == TG_JSON_OBJECT ? tg_json_get(&a->doc, m, TG_STR("latency_ms")) : NULL;
    return n && tg_json_is_number(n) && tg_json_number(n) >= 0
               ? pass()
               : fail("there is no number metrics.latency_ms");
}

struct finding conformance_task_done(struct conformance *c)
{
    return with_task(c, has_id);
}

struct finding conformance_task_result(struct conformance *c)
{
    return with_task(c, has_result);
}

struct finding conformance_task_latency(struct conformance *c)
{
    return with_task(c, has_latency);
}

/* ---- what is refused --------------------------------------------------------------------------------- */

static struct finding refused(struct conformance *c, const char *const *headers, const char *body,
                              uint32_t status, const char *code)
{
    struct answer a;
    conformance_ask(c, "POST", "/v1/task", headers, text(body), &a);
    struct finding f = conformance_refusal(&a, status, code);
    answer_finish(&a);
    return f;
}

struct finding conformance_task_malformed(struct conformance *c)
{
    return refused(c, NULL, "{\"task_id\":\"t\",", 400, "validation_error");
}

struct finding conformance_task_type(struct conformance *c)
{
    const char *headers[] = {"Content-Type: text/plain", c->authorization[0] ? c->authorization : NULL, NULL};
    return refused(c, headers, "{}", 415, NULL);
}

struct finding conformance_task_auth(struct conformance *c)
{
    struct answer a;
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    conformance_task(c, (struct envelope){.qos = NULL}, "Authorization: Bearer not-a-token", &a);
    f = a.status == 200 ? skip("the node is open: it takes tasks whatever credentials they show")
                        : conformance_refusal(&a, 401, "unauthorized");
    answer_finish(&a);
    return f;
}

struct finding conformance_task_members(struct conformance *c)
{
    char body[3][256];
    static const char *const names[] = {"task_id", "intent", "payload"};
    snprintf(body[0], sizeof(body[0]), "{\"intent\":\"%s\",\"payload\":{}}", c->intent_used);
    snprintf(body[1], sizeof(body[1]), "{\"task_id\":\"t\",\"payload\":{}}");
    snprintf(body[2], sizeof(body[2]), "{\"task_id\":\"t\",\"intent\":\"%s\"}", c->intent_used);
    for (size_t i = 0; i < TG_ARRAY_SIZE(names); i++) {
        struct finding f = refused(c, NULL, body[i], 422, NULL);
        if (f.verdict == VERDICT_FAIL && refused(c, NULL, body[i], 400, NULL).verdict == VERDICT_FAIL)
            return fail("without %s: %.250s", names[i], f.why);
    }
    return pass();
}

struct finding conformance_task_intents(struct conformance *c)
{
    static const char stranger[] =
        "{\"task_id\":\"t\",\"intent\":\"urn:iicp:intent:x.conformance:nobody:v1\",\"payload\":{}}";
    struct finding f =
        refused(c, NULL, "{\"task_id\":\"t\",\"intent\":\"urn:nonsense\",\"payload\":{}}", 422, "IICP-E001");
    if (f.verdict != VERDICT_PASS)
        return f;
    f = refused(c, NULL, stranger, 422, NULL);
    return f.verdict == VERDICT_PASS ? f : refused(c, NULL, stranger, 400, NULL);
}

struct finding conformance_task_replay(struct conformance *c)
{
    struct answer a;
    char nonce[ENVELOPE_ID_BYTES];
    struct finding f = conformance_can_ask(c);
    envelope_uuid(nonce);
    for (int i = 0; i < 2 && f.verdict == VERDICT_PASS; i++) {
        conformance_task(c, (struct envelope){.nonce = nonce}, NULL, &a);
        f = i == 0 ? conformance_answered(&a, 200) : conformance_refusal(&a, 409, "IICP-E011");
        answer_finish(&a);
    }
    return f;
}

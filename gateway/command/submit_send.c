/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts: one node after the other, then a wait, until the budget is spent. A sealed reply is opened and
 * compared. */
#include <errno.h>
#include <stdlib.h>
#include "gateway/base/clock.h"
#include "gateway/control/store.h"
#include "show.h"
#include "submit.h"

#define REPLY_BYTES_MAX (64u << 20)
#define TRANSPORT_MS 5000 /* beside the time that the task has */
#define WAIT_FIRST_MS 500
#define WAIT_MAX_MS 30000
#define TOKEN_BYTES_MAX 4096

struct sender {
    const struct submit *submit;
    struct client *client;
    struct crypto *crypto;
    const struct submit_targets *targets;
    char authorization[TOKEN_BYTES_MAX + 64],
        consumer[TOKEN_BYTES_MAX + 64]; /* whole headers; empty: not shown */
    char task_id[IICP_CX_TASK_ID_MAX + 1];
    uint8_t secret[IICP_CX_SECRET_BYTES];
    struct answer answer;
    uint32_t attempts;
    uint32_t round_wait_ms; /* the shortest Retry-After of this round; 0: none was told */
};

/* ---- credentials ------------------------------------------------------------------------------------- */

static bool read_token(const char *path, const char *name, char *out, size_t cap)
{
    char token[TOKEN_BYTES_MAX];
    if (!path)
        return true;
    int64_t len = store_read(path, true, token, sizeof(token));
    while (len > 0 && (token[len - 1] == '\n' || token[len - 1] == '\r' || token[len - 1] == ' '))
        len--;
    bool fine = len > 0;
    for (int64_t i = 0; i < len; i++)
        fine = fine && token[i] > ' ' && token[i] < 0x7f;
    if (fine)
        snprintf(out, cap, "%s%.*s", name, (int)len, token);
    else
        fprintf(stderr, "taskgate submit: %s: %s\n", path,
                len == -EACCES ? "others can read it; chmod 0600 it"
                : len < 0      ? strerror((int)-len)
                               : "holds no token");
    crypto_wipe(token, sizeof(token));
    return fine;
}

/* ---- one attempt ------------------------------------------------------------------------------------- */

static void name_task(struct sender *x)
{
    const char *given = x->submit->task_id;
    if (given)
        snprintf(x->task_id, sizeof(x->task_id), "%s", given);
    else
        envelope_uuid(x->task_id);
}

static char *write_body(struct sender *x, const struct submit_target *t, size_t *len)
{
    const struct submit *s = x->submit;
    char nonce[ENVELOPE_ID_BYTES];
    envelope_uuid(nonce);
    struct envelope e = {.task_id = x->task_id,
                         .intent = s->intent,
                         .payload = s->payload,
                         .qos = s->qos,
                         .model = s->model,
                         .timeout_ms = s->timeout_ms,
                         .nonce = nonce,
                         .peer = s->cx ? &t->peer : NULL};
    return envelope_write(x->crypto, &e, len, x->secret);
}

static bool attempt(struct sender *x, const struct submit_target *t)
{
    const char *headers[5] = {"Content-Type: application/json", "Accept: application/json"};
    unsigned n = 2;
    size_t len = 0;
    name_task(x);
    char *body = write_body(x, t, &len);
    if (!body)
        return false;
    if (x->authorization[0])
        headers[n++] = x->authorization;
    if (x->consumer[0])
        headers[n++] = x->consumer;
    submit_say(x->submit, "attempt %u: %s, %s", ++x->attempts, t->node_id, t->url);
    ask(x->client,
        &(struct client_request){.method = "POST",
                                 .url = t->url,
                                 .headers = headers,
                                 .body = {body, len},
                                 .timeout_ms = x->submit->timeout_ms + TRANSPORT_MS,
                                 .body_bytes_max = REPLY_BYTES_MAX,
                                 .reach =
                                     t->learnt && !x->submit->allow_private ? CLIENT_PUBLIC : CLIENT_ANY},
        &x->answer);
    free(body);
    return true;
}

/* ---- replies ----------------------------------------------------------------------------------------- */

static void print_reply(const struct submit *s, const struct tg_json_doc *doc)
{
    const struct tg_json_node *result = tg_json_get(doc, doc->nodes, TG_STR("result"));
    if (s->json || !result)
        s->json ? show_json_line(stdout, doc, doc->nodes) : show_json(stdout, doc, doc->nodes);
    else
        show_json(stdout, doc, result);
    putchar('\n');
}

static bool names_task(const struct sender *x, const struct tg_json_doc *doc)
{
    const struct tg_json_node *id =
        doc->nodes[0].type == TG_JSON_OBJECT ? tg_json_get(doc, doc->nodes, TG_STR("task_id")) : NULL;
    return id && id->type == TG_JSON_STRING &&
           tg_json_string_eq(doc, id, (struct tg_str){x->task_id, strlen(x->task_id)});
}

static enum submit_outcome untrusted(const char *why)
{
    fprintf(stderr, "taskgate submit: the reply is not to be trusted: %s\n", why);
    return SUBMIT_UNTRUSTED;
}

static enum submit_outcome print_sealed(const struct sender *x, struct tg_str plain)
{
    struct tg_json_error err;
    size_t room = TG_JSON_NODES_MAX(plain.len);
    struct tg_json_doc doc = {.nodes = malloc(room * sizeof(struct tg_json_node)),
                              .capacity = (uint32_t)room};
    bool fine = doc.nodes && tg_json_parse(&doc, plain.ptr, plain.len, &err) == 0 && names_task(x, &doc);
    if (fine)
        print_reply(x->submit, &doc);
    free(doc.nodes);
    return fine ? SUBMIT_DONE : untrusted("what was sealed is no reply to this task");
}

static enum submit_outcome open_reply(const struct sender *x)
{
    const struct answer *a = &x->answer;
    struct tg_str plain;
    char *out = malloc(a->body_len + 1);
    if (!out)
        return untrusted("out of memory");
    int rc = iicp_cx_reply_open(x->crypto, x->secret, &a->doc,
                                (struct tg_str){x->task_id, strlen(x->task_id)}, out, a->body_len, &plain);
    enum submit_outcome outcome =
        rc == 0 ? print_sealed(x, plain)
                : untrusted("it is not sealed for this request, or was changed on its way");
    free(out);
    return outcome;
}

static enum submit_outcome accepted(const struct sender *x)
{
    if (!answer_object(&x->answer))
        return untrusted("it is no JSON object");
    if (!names_task(x, &x->answer.doc))
        return untrusted("it names another task");
    if (x->submit->cx)
        return open_reply(x);
    print_reply(x->submit, &x->answer.doc);
    return SUBMIT_DONE;
}

/* ---- outcomes ---------------------------------------------------------------------------------------- */

static enum submit_outcome outcome_of(uint32_t status)
{
    switch (status) {
    case 429:
    case 503:
        return SUBMIT_BUSY;
    case 504:
        return SUBMIT_TIMEOUT;
    default:
        return status >= 500 ? SUBMIT_BACKEND : SUBMIT_REFUSED;
    }
}

static bool again_makes_sense(const struct answer *a)
{
    return a->error || a->status == 429 || (a->status >= 502 && a->status <= 504);
}

/* The error as the node worded it, between quotes that it cannot forge. */
static void tell(const struct sender *x)
{
    const struct answer *a = &x->answer;
    struct iicp_refusal why;
    if (a->error) {
        submit_say(x->submit, "no answer: %s%s", a->why,
                   a->error == -EPERM ? " (--allow-private lets it be called, in a lab)" : "");
        return;
    }
    iicp_read_refusal(a->doc.nodes ? &a->doc : NULL, &why);
    fprintf(stderr, "taskgate submit: answered %u ", a->status);
    show_text(stderr, (struct tg_str){why.code, strlen(why.code)});
    fputs(": ", stderr);
    show_text(stderr, (struct tg_str){why.message, strlen(why.message)});
    fputc('\n', stderr);
}

static enum submit_outcome judge(struct sender *x)
{
    const struct answer *a = &x->answer;
    submit_say(x->submit, "%u after %.1f ms", a->status, (double)a->elapsed_ns / 1e6);
    if (!a->error && a->status == 200)
        return accepted(x);
    tell(x);
    if (a->retry_after_s && (!x->round_wait_ms || a->retry_after_s * 1000 < x->round_wait_ms))
        x->round_wait_ms = TG_MIN(a->retry_after_s, 3600u) * 1000;
    return a->error ? SUBMIT_NOT_REACHED : outcome_of(a->status);
}

/* ---- the rounds -------------------------------------------------------------------------------------- */

/* Each node once. True if one of them settled it. */
static bool go_round(struct sender *x, uint64_t until_ns, enum submit_outcome *outcome)
{
    x->round_wait_ms = 0;
    for (uint32_t i = 0; i < x->targets->count; i++) {
        if (x->attempts && clock_now_ns() >= until_ns)
            return true;
        if (!attempt(x, &x->targets->list[i])) {
            fputs("taskgate submit: out of memory, or the request cannot be sealed\n", stderr);
            *outcome = SUBMIT_UNTRUSTED;
            return true;
        }
        *outcome = judge(x);
        bool again = *outcome != SUBMIT_DONE && *outcome != SUBMIT_UNTRUSTED && again_makes_sense(&x->answer);
        answer_finish(&x->answer);
        if (!again)
            return true;
    }
    return false;
}

static void rest(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    while (nanosleep(&t, &t) < 0 && errno == EINTR)
        ;
}

static enum submit_outcome go(struct sender *x)
{
    enum submit_outcome outcome = SUBMIT_NOT_REACHED;
    uint64_t until_ns = clock_now_ns() + x->submit->retry_ms * NS_PER_MS, wait_ms = WAIT_FIRST_MS;
    while (!go_round(x, until_ns, &outcome)) {
        uint64_t ms = x->round_wait_ms ? x->round_wait_ms : wait_ms;
        if (clock_now_ns() + ms * NS_PER_MS >= until_ns)
            break;
        submit_say(x->submit, "trying again in %.1f s", (double)ms / 1e3);
        rest(ms);
        wait_ms = TG_MIN(wait_ms * 2, (uint64_t)WAIT_MAX_MS);
    }
    return outcome;
}

enum submit_outcome submit_send(const struct submit *s, struct client *client, struct crypto *crypto,
                                const struct submit_targets *targets)
{
    struct sender x = {.submit = s, .client = client, .crypto = crypto, .targets = targets};
    enum submit_outcome outcome = (enum submit_outcome)EXIT_USAGE;
    if (read_token(s->token_file, "Authorization: Bearer ", x.authorization, sizeof(x.authorization)) &&
        read_token(s->consumer_token_file, "X-IICP-Consumer-Token: ", x.consumer, sizeof(x.consumer)))
        outcome = go(&x);
    crypto_wipe(&x, sizeof(x));
    return outcome;
}

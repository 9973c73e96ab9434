/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of confidential tasks: refusals for any node, round trips where its key is known. */
#include <stdlib.h>
#include "conformance.h"

static struct finding refused(struct conformance *c, const char *members, const char *code, const char *other)
{
    struct answer a;
    char body[1024];
    int n =
        snprintf(body, sizeof(body), "{\"task_id\":\"cx-1\",\"intent\":\"%s\",%s}", c->intent_used, members);
    conformance_ask(c, "POST", "/v1/task", NULL, (struct tg_str){body, (size_t)n}, &a);
    struct finding f = conformance_refusal(&a, 400, code);
    if (f.verdict == VERDICT_FAIL && other && conformance_refusal(&a, 400, other).verdict == VERDICT_PASS)
        f = pass();
    answer_finish(&a);
    return f;
}

struct finding conformance_cx_plain(struct conformance *c)
{
    char members[600];
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    if (c->payload_used.len > 512)
        return skip("--payload is too long for this check");
    snprintf(members, sizeof(members), "\"payload\":%.*s,\"cx_response_encryption\":\"required\"",
             (int)c->payload_used.len, c->payload_used.ptr);
    return refused(c, members, "IICP-CX-03", NULL);
}

struct finding conformance_cx_garbage(struct conformance *c)
{
    if (!c->intent_used[0])
        return skip("the node's health names no intent: --intent");
    return refused(c,
                   "\"iicp_conf\":{\"version\":1,\"recipient_key_id\":\"cx-0000000000000000\",\"kem_"
                   "ciphertext\":\"AAAA\","
                   "\"nonce\":\"AAAA\",\"aad\":\"AAAA\",\"encrypted_body\":\"AAAA\",\"plaintext_size\":1}",
                   "IICP-CX-02", "IICP-CX-01");
}

/* ---- sealed ------------------------------------------------------------------------------------------ */

static struct finding can_seal(const struct conformance *c)
{
    struct finding f = conformance_can_ask(c);
    return f.verdict == VERDICT_PASS && !c->has_peer
               ? skip("the node's key is not known: --cx-key, or --directory.url")
               : f;
}

static void send_text(struct conformance *c, const char *body, size_t len, struct answer *a)
{
    conformance_ask(c, "POST", "/v1/task", NULL, (struct tg_str){body, len}, a);
}

static struct finding opens(struct conformance *c, const struct answer *a, const uint8_t *secret,
                            struct tg_str task_id)
{
    struct tg_str plain;
    char *room = malloc(a->body_len + 1);
    struct finding f = conformance_answered(a, 200);
    if (f.verdict == VERDICT_PASS && !answer_object(a))
        f = fail("the answer is no JSON object");
    else if (f.verdict == VERDICT_PASS && (!room || iicp_cx_reply_open(c->crypto, secret, &a->doc, task_id,
                                                                       room, a->body_len, &plain) < 0))
        f = fail("the reply is not sealed for this request");
    else if (f.verdict == VERDICT_PASS && !memmem(plain.ptr, plain.len, task_id.ptr, task_id.len))
        f = fail("what was sealed does not name the task");
    free(room);
    return f;
}

static char *seal(struct conformance *c, const char *task_id, size_t *len, uint8_t *secret)
{
    struct envelope e = {.task_id = task_id,
                         .intent = c->intent_used,
                         .payload = c->payload_used,
                         .timeout_ms = 30000,
                         .peer = &c->peer};
    return envelope_write(c->crypto, &e, len, secret);
}

struct finding conformance_cx_round(struct conformance *c)
{
    uint8_t secret[IICP_CX_SECRET_BYTES];
    char id[ENVELOPE_ID_BYTES];
    struct answer a;
    size_t len;
    struct finding f = can_seal(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    envelope_uuid(id);
    char *body = seal(c, id, &len, secret);
    if (!body)
        return fail("the node's key cannot be used");
    send_text(c, body, len, &a);
    free(body);
    f = opens(c, &a, secret, (struct tg_str){id, strlen(id)});
    answer_finish(&a);
    crypto_wipe(secret, sizeof(secret));
    return f;
}

/* The name is bound to the ciphertext: a task cannot be passed off as another. */
struct finding conformance_cx_tampered(struct conformance *c)
{
    uint8_t secret[IICP_CX_SECRET_BYTES];
    char id[ENVELOPE_ID_BYTES];
    struct answer a;
    size_t len;
    struct finding f = can_seal(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    envelope_uuid(id);
    char *body = seal(c, id, &len, secret);
    char *at = body ? memmem(body, len, id, strlen(id)) : NULL;
    if (!at) {
        free(body);
        return fail("the node's key cannot be used");
    }
    *at = *at == '0' ? '1' : '0';
    send_text(c, body, len, &a);
    free(body);
    f = conformance_refusal(&a, 400, "IICP-CX-02");
    answer_finish(&a);
    crypto_wipe(secret, sizeof(secret));
    return f;
}

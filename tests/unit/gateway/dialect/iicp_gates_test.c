/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials, confidential payloads, parts of other tasks and reports, on the way of a whole task. */
#include <string.h>
#include <time.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_cx.h"
#include "gateway/dialect/iicp_events.h"
#include "gateway/dialect/iicp_sign.h"
#include "iicp_rig.h"

#define PARENT "6f1c2a7e-53a3-4a54-9f6b-1f2f0e8d9a10"
#define PART ",\"trace\":{\"cip_role\":\"worker\",\"cip_parent_task_id\":\"" PARENT "\",\"cip_session_key\":\"s-1\"}"

static struct iicp_keys keys;

static void publish(void)
{
    atomic_store_explicit(&rig.shared.keys, &keys, memory_order_release);
}

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

static struct iicp_request request(const char *body)
{
    return (struct iicp_request){.content_type = TG_STR_INIT("application/json"), .body = text(body)};
}

static enum tg_status post(struct iicp_request req)
{
    struct task *t = rig_post_request(&req);
    return t->state == TASK_RUNNING ? TG_OK : t->status;
}

static uint64_t counted(enum metric m)
{
    return atomic_load_explicit(&rig.metrics.counters[m], memory_order_relaxed);
}

/* ---- credentials ------------------------------------------------------------------------------------------- */

TestSuite(gates, .init = rig_open, .fini = rig_close);

static void own_token(const char *token)
{
    snprintf(keys.node_token, sizeof(keys.node_token), "%s", token);
    publish();
}

/* As a directory would issue it; @seed is its signing key. */
static struct tg_str consumer_token(const uint8_t seed[32], const char *aud, const char *intent, long expires_in_s)
{
    static char token[1024];
    char claims[512], signed_text[768];
    uint8_t signature[64];
    long now = (long)time(NULL);
    int n = snprintf(claims, sizeof(claims),
                     "{\"v\":1,\"iss\":\"d\",\"sub\":\"c\",\"aud\":\"%s\",\"intent\":\"%s\",\"iat\":%ld,\"exp\":%ld}",
                     aud, intent, now, now + expires_in_s);
    size_t len = base64_write(token, claims, (size_t)n);
    int m = snprintf(signed_text, sizeof(signed_text), "iicp:consumer-token:v1\n%.*s", (int)len, token);
    cr_assert_eq(crypto_ed25519_sign(rig.room.crypto, seed, (struct tg_str){signed_text, (size_t)m}, signature), 0);
    token[len++] = '.';
    hex_write(token + len, signature, sizeof(signature));
    return (struct tg_str){token, len + 128};
}

static void directory_key(uint8_t seed[32])
{
    memset(seed, 0x33, 32);
    cr_assert_eq(crypto_ed25519_public(rig.room.crypto, seed, keys.directory_key), 0);
    keys.has_directory_key = true;
    publish();
}

Test(gates, an_open_node_asks_for_nothing_and_looks_at_nothing)
{
    struct iicp_request req = request(RIG_BODY(",\"auth\":{\"node_token\":\"wrong\"}"));
    req.consumer_token = TG_STR("garbage");
    cr_assert_eq(post(req), TG_OK);
}

Test(gates, a_node_that_requires_credentials_turns_others_away)
{
    rig.settings.auth = IICP_AUTH_REQUIRED;
    own_token("secret");
    cr_assert_eq(post(request(RIG_BODY(""))), TG_UNAUTHORIZED);
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":{\"node_token\":\"\"}"))), TG_UNAUTHORIZED);
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":{\"node_token\":\"secreT\"}"))), TG_UNAUTHORIZED);
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":\"secret\""))), TG_UNAUTHORIZED);
    cr_assert_eq(counted(METRIC_UNAUTHORIZED), 4);
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":{\"node_token\":\"secret\"}"))), TG_OK);
}

Test(gates, a_node_without_a_token_accepts_none)
{
    rig.settings.auth = IICP_AUTH_REQUIRED;
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":{\"node_token\":\"x\"}"))), TG_UNAUTHORIZED);
    own_token("");
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":{\"node_token\":\"\"}"))), TG_UNAUTHORIZED);
}

Test(gates, the_node_token_may_come_as_bearer)
{
    struct iicp_request req = request(RIG_BODY(""));
    rig.settings.auth = IICP_AUTH_REQUIRED;
    own_token("secret");
    req.authorization = TG_STR("Bearer secret");
    cr_assert_eq(post(req), TG_OK);
    req.authorization = TG_STR("Basic secret");
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
}

Test(gates, optional_credentials_may_be_absent_but_not_wrong)
{
    rig.settings.auth = IICP_AUTH_OPTIONAL;
    own_token("secret");
    cr_assert_eq(post(request(RIG_BODY(""))), TG_OK);
    cr_assert_eq(post(request(RIG_BODY(",\"auth\":{\"node_token\":\"other\"}"))), TG_UNAUTHORIZED);
}

Test(gates, a_consumer_token_opens_the_door_for_its_intent_only)
{
    uint8_t seed[32], other[32];
    struct iicp_request req = request(RIG_BODY(""));
    rig.settings.auth = IICP_AUTH_REQUIRED;
    directory_key(seed);
    memset(other, 0x44, sizeof(other));
    req.consumer_token = consumer_token(seed, "n1", RIG_INTENT, 300);
    cr_assert_eq(post(req), TG_OK);
    cr_assert_eq(post(req), TG_OK, "a token may be used again while it is good");
    req.consumer_token = consumer_token(seed, "n1", "*", 300);
    cr_assert_eq(post(req), TG_OK);
    req.consumer_token = consumer_token(seed, "n1", "urn:iicp:intent:llm:chat:v1", 300);
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
    req.consumer_token = consumer_token(seed, "n2", RIG_INTENT, 300);
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
    req.consumer_token = consumer_token(seed, "n1", RIG_INTENT, -60);
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
    req.consumer_token = consumer_token(other, "n1", RIG_INTENT, 300);
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
}

Test(gates, consumer_tokens_are_for_the_id_that_the_directory_assigned)
{
    uint8_t seed[32];
    struct iicp_request req = request(RIG_BODY(""));
    rig.settings.auth = IICP_AUTH_REQUIRED;
    directory_key(seed);
    snprintf(keys.node_id, sizeof(keys.node_id), "assigned-7");
    req.consumer_token = consumer_token(seed, "assigned-7", RIG_INTENT, 300);
    cr_assert_eq(post(req), TG_OK);
    req.consumer_token = consumer_token(seed, "n1", RIG_INTENT, 300);
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
}

/* ---- confidential tasks -------------------------------------------------------------------------------------- */

static const uint8_t client_private[32] = {7, 7, 7};

static struct tg_str kdf_info(const char *label, const char *id, const char *intent, char out[static 512])
{
    int n = snprintf(out, 512, "%s%s%s", label, id, intent);
    return (struct tg_str){out, (size_t)n};
}

static void node_key(void)
{
    uint8_t private_key[32];
    memset(private_key, 0x11, sizeof(private_key));
    cr_assert_eq(iicp_cx_key_set(rig.room.crypto, &keys, private_key), 0);
    publish();
}

static void shared_secret(uint8_t out[32])
{
    cr_assert_eq(crypto_x25519(rig.room.crypto, client_private, keys.cx_public, out), 0);
}

/* What a client sends: @payload sealed for task @id, inside an ordinary envelope. */
static const char *sealed_body(const char *id, const char *payload, const char *members)
{
    static char body[4096];
    char aad[512], info[512], b64_pub[44], b64_aad[700], b64_body[2048];
    uint8_t secret[32], key[32], public_key[32], sealed[1024];
    static const uint8_t nonce[12] = {1, 2, 3};
    char b64_nonce[17] = {0};
    int aad_len = snprintf(aad, sizeof(aad), "%s|%s", id, RIG_INTENT);
    shared_secret(secret);
    cr_assert_eq(crypto_x25519_public(rig.room.crypto, client_private, public_key), 0);
    cr_assert_eq(crypto_hkdf(rig.room.crypto, (struct tg_str){(char *)secret, 32}, (struct tg_str){(const char *)nonce, 12},
                             kdf_info("IICP-CX-v1", id, RIG_INTENT, info), key, 32), 0);
    cr_assert_eq(crypto_seal(rig.room.crypto, key, nonce, (struct tg_str){aad, (size_t)aad_len}, text(payload), sealed), 0);
    b64_pub[base64_write(b64_pub, public_key, 32)] = '\0';
    b64_aad[base64_write(b64_aad, aad, (size_t)aad_len)] = '\0';
    b64_body[base64_write(b64_body, sealed, strlen(payload) + 16)] = '\0';
    base64_write(b64_nonce, nonce, 12);
    snprintf(body, sizeof(body),
             "{\"task_id\":\"%s\",\"intent\":\"" RIG_INTENT "\",\"iicp_conf\":{\"version\":1,\"recipient_key_id\":\"%s\","
             "\"kem_ciphertext\":\"%s\",\"nonce\":\"%s\",\"aad\":\"%s\",\"encrypted_body\":\"%s\",\"plaintext_size\":%zu}%s}",
             id, keys.cx_key_id, b64_pub, b64_nonce, b64_aad, b64_body, strlen(payload), members);
    return body;
}

#define SEALED_REPLY ",\"cx_response_encryption\":\"required\""

/* What the client finds in the sealed answer. */
static const char *opened_answer(const char *id)
{
    static char plain[4096];
    static struct tg_json_node nodes[64];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    const char *answer = rig_answer();
    char info[512], aad[300];
    uint8_t secret[32], key[32], nonce[12], sealed[4096];
    cr_assert_eq(tg_json_parse(&doc, answer, strlen(answer), &err), 0, "%s", answer);
    cr_assert(tg_json_string_eq(&doc, tg_json_get(&doc, doc.nodes, TG_STR("status")), TG_STR("encrypted")));
    cr_assert(tg_json_string_eq(&doc, tg_json_get(&doc, doc.nodes, TG_STR("task_id")), text(id)));
    const struct tg_json_node *conf = tg_json_get(&doc, doc.nodes, TG_STR("iicp_conf_resp"));
    cr_assert_not_null(conf);
    cr_assert_eq(base64_read(nonce, 12, tg_json_string(&doc, tg_json_get(&doc, conf, TG_STR("nonce")))), 12);
    int64_t len = base64_read(sealed, sizeof(sealed), tg_json_string(&doc, tg_json_get(&doc, conf, TG_STR("encrypted_body"))));
    cr_assert_gt(len, 16);
    shared_secret(secret);
    cr_assert_eq(crypto_hkdf(rig.room.crypto, (struct tg_str){(char *)secret, 32}, (struct tg_str){(char *)nonce, 12},
                             kdf_info("IICP-CX-RESP-v1", id, "", info), key, 32), 0);
    int n = snprintf(aad, sizeof(aad), "%s|resp", id);
    cr_assert_eq(crypto_open(rig.room.crypto, key, nonce, (struct tg_str){aad, (size_t)n},
                             (struct tg_str){(char *)sealed, (size_t)len}, (uint8_t *)plain), 0);
    plain[len - 16] = '\0';
    return plain;
}

Test(gates, a_sealed_payload_runs_like_any_other_and_may_be_answered_in_the_clear)
{
    node_key();
    cr_assert_eq(post(request(sealed_body("t-1", "{\"x\":1}", ""))), TG_OK);
    rig_complete(TG_OK);
    cr_assert_not_null(strstr(rig_answer(), "\"status\":\"success\",\"result\":\"done\""));
    cr_assert_eq(counted(METRIC_CONFIDENTIAL), 1);
}

Test(gates, a_sealed_answer_opens_for_its_client_alone)
{
    node_key();
    cr_assert_eq(post(request(sealed_body("t-1", "{\"x\":1}", SEALED_REPLY))), TG_OK);
    rig_complete(TG_OK);
    cr_assert_null(strstr(rig_answer(), "done"));
    const char *plain = opened_answer("t-1");
    cr_assert_not_null(strstr(plain, "\"result\":\"done\""), "%s", plain);
    cr_assert_not_null(strstr(plain, "\"generated_by_ai\":true"), "%s", plain);
}

Test(gates, errors_after_opening_are_in_the_clear_and_have_their_status)
{
    node_key();
    cr_assert_eq(post(request(sealed_body("t-1", "null", SEALED_REPLY))), TG_INVALID);
    cr_assert_not_null(strstr(rig_answer(), "validation_error"));
    cr_assert_eq(post(request(sealed_body("t-2", "{\"x\":", SEALED_REPLY))), TG_BAD_JSON);
    cr_assert_eq(rig.task->error_offset, 5);
}

Test(gates, an_envelope_of_another_task_does_not_open)
{
    char *body;
    node_key();
    body = strdup(sealed_body("t-1", "1", ""));
    memcpy(strstr(body, "t-1"), "t-2", 3);
    cr_assert_eq(post(request(body)), TG_CX_UNDECRYPTABLE);
    cr_assert_eq(counted(METRIC_CONFIDENTIAL_REFUSED), 1);
    cr_assert_eq(admission_active(&rig.admission), 0);
    free(body);
}

Test(gates, the_secret_is_wiped_when_the_task_is_closed)
{
    static const uint8_t zeros[32];
    node_key();
    cr_assert_eq(post(request(sealed_body("t-1", "1", SEALED_REPLY))), TG_OK);
    struct task *t = rig.task;
    cr_assert_neq(memcmp(t->more.secret, zeros, 32), 0);
    rig_complete(TG_OK);
    task_close(&rig.ts, t);
    rig.task = NULL;
    cr_assert_eq(memcmp(t->more.secret, zeros, 32), 0);
}

Test(gates, a_sealed_task_that_waited_is_opened_when_its_turn_comes)
{
    node_key();
    atomic_store_explicit(&rig.admission.max_concurrent, 0, memory_order_relaxed);
    struct iicp_request req = request(sealed_body("t-1", "1", SEALED_REPLY ",\"constraints\":{\"qos\":\"interactive\"}"));
    struct task *t = rig_post_request(&req);
    cr_assert_eq(t->state, TASK_WAITING);
    atomic_store_explicit(&rig.admission.max_concurrent, 1, memory_order_relaxed);
    tasks_retry(&rig.ts);
    cr_assert_eq(t->state, TASK_RUNNING);
    rig_complete(TG_OK);
    cr_assert_not_null(strstr(opened_answer("t-1"), "\"result\":\"done\""));
}

/* ---- parts of other tasks ------------------------------------------------------------------------------------ */

static void take_parts(uint32_t at_once)
{
    rig.node.cip = (struct iicp_cip_config){.enabled = true, .allow_worker = true, .max_replicas = 3,
                                            .max_worker_timeout_ms = 1000, .max_concurrent_remote = at_once};
}

Test(gates, a_part_is_answered_with_its_session_and_in_the_coordinators_time)
{
    take_parts(1);
    cr_assert_eq(post(request(RIG_BODY(PART))), TG_OK);
    cr_assert_eq(rig.task->deadline_ns, rig.task->arrival_ns + NS_PER_S);
    rig_complete(TG_OK);
    const char *answer = rig_answer();
    cr_assert_not_null(strstr(answer, "\"trace\":{\"cip_role\":\"worker\",\"cip_session_key\":\"s-1\"}}"), "%s", answer);
}

Test(gates, a_place_for_parts_comes_back_with_every_exit)
{
    take_parts(1);
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(post(request(RIG_BODY(PART))), TG_OK);
        rig_complete(i == 1 ? TG_BACKEND : TG_OK);
    }
    cr_assert_eq(post(request("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\",\"payload\":null" PART "}")), TG_INVALID);
    atomic_store_explicit(&rig.shared.parts, 1, memory_order_relaxed);
    task_close(&rig.ts, rig.task);
    rig.task = NULL;
    cr_assert_eq(atomic_load_explicit(&rig.shared.parts, memory_order_relaxed), 0);
}

Test(gates, parts_beyond_the_places_are_refused_at_once)
{
    take_parts(1);
    atomic_store_explicit(&rig.shared.parts, 1, memory_order_relaxed);
    cr_assert_eq(post(request(RIG_BODY(PART))), TG_CIP_FULL);
    cr_assert_eq(post(request(RIG_BODY(""))), TG_OK, "others are not concerned");
}

/* ---- risk, backend --------------------------------------------------------------------------------------------- */

Test(gates, intents_of_refused_uses_get_the_policys_code)
{
    rig_expect("{\"task_id\":\"t\",\"intent\":\"urn:iicp:intent:social:social-scoring:v1\",\"payload\":1}", TG_POLICY, NULL);
    rig_expect("{\"task_id\":\"t\",\"intent\":\"urn:iicp:intent:health:medical_x:v1\",\"payload\":1}", TG_UNKNOWN_INTENT, NULL);
    rig_expect("{\"task_id\":\"t\",\"intent\":\"urn:iicp:intent:medical:diagnosis:v1\",\"payload\":1}", TG_POLICY, NULL);
    rig.node.allow_high_risk = true;
    rig_expect("{\"task_id\":\"t\",\"intent\":\"urn:iicp:intent:medical:diagnosis:v1\",\"payload\":1}", TG_UNKNOWN_INTENT,
               NULL);
}

Test(gates, a_draining_backend_is_told_with_its_reason_and_a_cold_one_serves)
{
    struct iicp_backend b = {.state = IICP_BACKEND_DRAINING, .reason = IICP_REASON_LOADING, .retry_after_s = 30};
    atomic_store_explicit(&rig.shared.backend, iicp_backend_pack(b), memory_order_relaxed);
    cr_assert_eq(post(request(RIG_BODY(""))), TG_BACKEND_DRAINING);
    const char *answer = rig_answer();
    cr_assert_not_null(strstr(answer, "\"error\":{\"code\":\"IICP-E024\",\"message\":\"backend temporarily draining\","
                                      "\"reason\":\"backend_loading\",\"retry_after_ms\":30000}"), "%s", answer);
    b = (struct iicp_backend){.state = IICP_BACKEND_DEGRADED, .reason = IICP_REASON_COLD};
    atomic_store_explicit(&rig.shared.backend, iicp_backend_pack(b), memory_order_relaxed);
    cr_assert_eq(post(request(RIG_BODY(""))), TG_OK);
}

/* ---- reports --------------------------------------------------------------------------------------------------- */

static void report(uint32_t want)
{
    rig.node.report = want;
    rig.ic.events = mailbox_init(&rig.arena, 4, sizeof(struct iicp_event), -1);
    cr_assert_not_null(rig.ic.events);
}

static bool received(struct iicp_event *e)
{
    memset(e, 0, sizeof(*e));
    return mailbox_receive(rig.ic.events, e);
}

Test(gates, a_receipt_proves_the_result_and_names_who_asked)
{
    struct iicp_event e;
    uint8_t hash[32];
    report(IICP_WANT_RECEIPT);
    cr_assert_eq(post(request(RIG_BODY(",\"source_node_id\":\"asker\\u0021\""))), TG_OK);
    rig_complete(TG_OK);
    rig_answer();
    cr_assert(received(&e));
    cr_assert_eq(e.want, IICP_WANT_RECEIPT);
    cr_assert(tg_str_eq((struct tg_str){e.id, e.id_len}, TG_STR("t-1")));
    cr_assert(tg_str_eq((struct tg_str){e.requester, e.requester_len}, TG_STR("asker!")));
    cr_assert_eq(crypto_sha256(rig.room.crypto, TG_STR("\"done\""), hash), 0);
    cr_assert_eq(memcmp(hash, e.result_hash, 32), 0);
    rig_answer();
    cr_assert_not(received(&e), "an answer that is written anew is not reported anew");
}

Test(gates, failed_and_refused_tasks_earn_no_receipt)
{
    struct iicp_event e;
    report(IICP_WANT_RECEIPT);
    post(request(RIG_BODY("")));
    rig_complete(TG_BACKEND);
    rig_answer();
    cr_assert_not(received(&e));
}

Test(gates, a_span_is_made_of_every_task_under_the_callers_span)
{
    struct iicp_event e;
    struct iicp_request req = request(RIG_BODY(""));
    report(IICP_WANT_SPAN);
    req.traceparent = TG_STR("00-0123456789abcdef0123456789abcdef-00f067aa0ba902b7-01");
    cr_assert_eq(post(req), TG_OK);
    rig.ts.now_ns += 5 * NS_PER_MS;
    rig_complete(TG_BACKEND);
    rig_answer();
    cr_assert(received(&e));
    cr_assert_eq(e.outcome, OUTCOME_ERROR);
    cr_assert_eq(e.end_unix_ns - e.start_unix_ns, 5 * NS_PER_MS);
    cr_assert_eq(memcmp(e.trace_id, "0123456789abcdef0123456789abcdef", 32), 0);
    cr_assert_eq(memcmp(e.parent_span, "00f067aa0ba902b7", 16), 0);
    req.traceparent = TG_STR("00-00000000000000000000000000000000-00f067aa0ba902b7-01");
    cr_assert_eq(post(req), TG_OK);
    rig_complete(TG_OK);
    rig_answer();
    cr_assert(received(&e));
    cr_assert_eq(e.parent_span[0], 0, "an invalid parent is none");
}

Test(gates, a_full_mailbox_loses_reports_and_counts_them)
{
    report(IICP_WANT_SPAN);
    for (uint32_t i = 0; i < 6; i++) {
        post(request(RIG_BODY("")));
        rig_complete(TG_OK);
        rig_answer();
    }
    cr_assert_eq(counted(METRIC_EVENTS_LOST), 2);
}

Test(gates, a_sealed_result_is_hashed_in_the_clear)
{
    struct iicp_event e;
    uint8_t hash[32];
    node_key();
    report(IICP_WANT_RECEIPT | IICP_WANT_SPAN);
    cr_assert_eq(post(request(sealed_body("t-1", "1", SEALED_REPLY))), TG_OK);
    rig_complete(TG_OK);
    rig_answer();
    cr_assert(received(&e));
    cr_assert_eq(crypto_sha256(rig.room.crypto, TG_STR("\"done\""), hash), 0);
    cr_assert_eq(memcmp(hash, e.result_hash, 32), 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Which check speaks first, what the windows remember of a refused request, and the trace id. */
#include <string.h>
#include "iicp_rig.h"

TestSuite(order, .init = rig_open, .fini = rig_close);

static struct iicp_request request(const char *body)
{
    return (struct iicp_request){.content_type = TG_STR_INIT("application/json"),
                                 .body = {body, strlen(body)}};
}

static enum tg_status post(struct iicp_request req)
{
    return rig_post_request(&req)->status;
}

static void fill_up(void)
{
    atomic_store_explicit(&rig.admission.max_concurrent, 0, memory_order_relaxed);
}

static void make_room(void)
{
    atomic_store_explicit(&rig.admission.max_concurrent, 1, memory_order_relaxed);
}

/* A request with everything wrong; mended in the order of the checks, each answer names the next fault. */
Test(order, is_draining_type_json_credentials_rate_envelope_backend_parts_admission_nonce_id)
{
    struct iicp_request req = request("{");
    struct iicp_backend backend = {.state = IICP_BACKEND_DRAINING, .reason = IICP_REASON_LOADING, .retry_after_s = 7};
    rig.ic.ids = &rig.ids;
    rig_post(RIG_BODY(",\"nonce\":\"n\"")); /* both names are used up */
    req.origin = TG_STR("https://a.example");
    req.content_type = TG_STR("text/plain");
    for (uint32_t i = 0; i < 3; i++)
        rate_hit(&rig.origins, req.origin, rig.ts.now_ns);
    rig.settings.auth = IICP_AUTH_REQUIRED;
    atomic_store_explicit(&rig.shared.backend, iicp_backend_pack(backend), memory_order_relaxed);
    atomic_store_explicit(&rig.admission.draining, 1, memory_order_relaxed);
    cr_assert_eq(post(req), TG_DRAINING);
    cr_assert_gt(rig.task->retry_after_ms, 0);
    atomic_store_explicit(&rig.admission.draining, 0, memory_order_relaxed);
    cr_assert_eq(post(req), TG_MEDIA_TYPE);
    req.content_type = TG_STR("application/json");
    cr_assert_eq(post(req), TG_BAD_JSON);
    req.body = TG_STR("{\"nonce\":\"n\"}");
    cr_assert_eq(post(req), TG_UNAUTHORIZED);
    rig.settings.auth = IICP_AUTH_OPEN;
    cr_assert_eq(post(req), TG_RATE_LIMITED);
    cr_assert_eq(rig.task->retry_after_ms, 60000);
    req.origin.len = 0;
    cr_assert_eq(post(req), TG_INVALID);
    req = request(RIG_BODY(",\"nonce\":\"n\",\"trace\":{\"cip_role\":\"boss\"}"));
    cr_assert_eq(post(req), TG_BACKEND_DRAINING);
    cr_assert_eq(rig.task->retry_after_ms, 7000);
    atomic_store_explicit(&rig.shared.backend, 0, memory_order_relaxed);
    cr_assert_eq(post(req), TG_CIP_INVALID);
    req = request(RIG_BODY(",\"nonce\":\"n\""));
    fill_up();
    cr_assert_eq(post(req), TG_CAPACITY);
    make_room();
    cr_assert_eq(post(req), TG_REPLAY);
    cr_assert_eq(post(request(RIG_BODY(",\"nonce\":\"m\""))), TG_DUPLICATE);
    cr_assert_eq(admission_active(&rig.admission), 0, "refusals after admission give the slot back");
}

Test(order, within_the_envelope_the_id_comes_before_intent_constraints_and_payload)
{
    rig_expect("{\"intent\":1,\"constraints\":1}", TG_INVALID, "task_id");
    rig_expect("{\"task_id\":\"t\",\"intent\":1,\"constraints\":1}", TG_INVALID, "intent");
    rig_expect("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\",\"constraints\":1,\"nonce\":1}", TG_INVALID,
               "constraints");
    rig_expect("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\",\"cx_response_encryption\":\"required\",\"nonce\":1}",
               TG_CX_PLAIN, NULL);
    rig_expect("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\",\"nonce\":1}", TG_INVALID, "nonce");
    rig_expect("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\"}", TG_INVALID, "payload");
    rig_expect("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\",\"iicp_conf\":{}}", TG_CX_NO_KEY, NULL);
}

/* ---- media types ----------------------------------------------------------------------------------- */

Test(order, only_json_is_taken_for_json)
{
    static const struct {
        const char *type;
        bool ok;
    } types[] = {
        {"", true},
        {"application/json", true},
        {"Application/JSON", true},
        {"application/json; charset=utf-8", true},
        {"application/json;charset=utf-8", true},
        {"application/json ", true},
        {"application/jsonx", false},
        {"application/jso", false},
        {"application/problem+json", false},
        {"text/json", false},
        {"multipart/form-data; x=application/json", false},
        {";application/json", false},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(types); i++) {
        struct iicp_request req = request(RIG_BODY(""));
        req.content_type = (struct tg_str){types[i].type, strlen(types[i].type)};
        cr_assert_eq(post(req), types[i].ok ? TG_OK : TG_MEDIA_TYPE, "%s", types[i].type);
    }
}

/* ---- windows --------------------------------------------------------------------------------------- */

Test(order, a_nonce_is_good_for_once_in_its_time)
{
    rig_expect_runs(RIG_BODY(",\"nonce\":\"a\""));
    rig_expect(RIG_BODY(",\"nonce\":\"a\""), TG_REPLAY, NULL);
    rig.ts.now_ns += 300 * NS_PER_S;
    rig_expect_runs(RIG_BODY(",\"nonce\":\"a\""));
}

Test(order, an_escaped_spelling_is_the_same_nonce)
{
    rig_expect_runs(RIG_BODY(",\"nonce\":\"abc\""));
    rig_expect(RIG_BODY(",\"nonce\":\"a\\u0062c\""), TG_REPLAY, NULL);
}

Test(order, a_nonce_is_used_up_though_a_later_check_refuses)
{
    rig_expect("{\"task_id\":\"t\",\"intent\":\"" RIG_INTENT "\",\"payload\":null,\"nonce\":\"x\"}",
               TG_INVALID, "payload");
    rig_expect(RIG_BODY(",\"nonce\":\"x\""), TG_REPLAY, NULL);
}

Test(order, a_nonce_is_not_used_up_when_admission_refuses)
{
    fill_up();
    rig_expect(RIG_BODY(",\"nonce\":\"x\""), TG_CAPACITY, NULL);
    make_room();
    rig_expect_runs(RIG_BODY(",\"nonce\":\"x\""));
}

Test(order, one_that_waited_is_not_its_own_replay)
{
    fill_up();
    struct task *t = rig_post(RIG_BODY(",\"nonce\":\"w\",\"constraints\":{\"qos\":\"realtime\"}"));
    cr_assert_eq(t->state, TASK_WAITING);
    make_room();
    tasks_retry(&rig.ts);
    cr_assert_eq(t->state, TASK_RUNNING);
    rig_expect(RIG_BODY(",\"nonce\":\"w\""), TG_REPLAY, NULL);
}

Test(order, one_that_waits_for_a_full_lane_is_not_its_own_replay)
{
    const char *body = RIG_BODY(",\"nonce\":\"w\",\"constraints\":{\"qos\":\"realtime\"}");
    uint32_t first = 0;
    cr_assert_eq(tg_lane_claim(rig.lane[TG_REALTIME], 4, &first), 0);
    struct task *t = rig_post(body);
    cr_assert(t->state == TASK_WAITING && t->wants_lane && t->windows_passed);
    tg_lane_unclaim(rig.lane[TG_REALTIME], 4);
    rig.crowd.rows_retired = rig.ts.rows_retired = true;
    tasks_retry(&rig.ts);
    cr_assert_eq(t->state, TASK_RUNNING);
}

Test(order, task_ids_repeat_freely_unless_idempotency_is_on)
{
    rig_expect_runs(RIG_BODY(""));
    rig_expect_runs(RIG_BODY(""));
    rig.ic.ids = &rig.ids;
    rig_expect_runs(RIG_BODY(""));
    rig_expect(RIG_BODY(""), TG_DUPLICATE, NULL);
    const char *empty = "{\"task_id\":\"\",\"intent\":\"" RIG_INTENT "\",\"payload\":1}";
    rig_expect_runs(empty);
    rig_expect_runs(empty);
}

Test(order, nonces_and_ids_do_not_share_a_window)
{
    rig.ic.ids = &rig.ids;
    rig_expect_runs(RIG_BODY(",\"nonce\":\"t-1\""));
}

Test(order, refusals_by_a_window_are_counted)
{
    rig_expect_runs(RIG_BODY(",\"nonce\":\"a\""));
    rig_expect(RIG_BODY(",\"nonce\":\"a\""), TG_REPLAY, NULL);
    cr_assert_eq(atomic_load_explicit(&rig.metrics.counters[METRIC_REPLAYS], memory_order_relaxed), 1);
}

static uint64_t refused(uint32_t slot, enum tg_priority p)
{
    return atomic_load_explicit(&rig.metrics.tasks[slot][p].outcomes[OUTCOME_REFUSED], memory_order_relaxed);
}

Test(order, refusals_count_under_their_intent_or_under_other)
{
    rig_expect("{", TG_BAD_JSON, NULL);
    rig_expect("{\"task_id\":\"t\",\"intent\":\"urn:iicp:intent:a:b:v1\",\"payload\":1}", TG_UNKNOWN_INTENT,
               NULL);
    cr_assert_eq(refused(1, TG_BEST_EFFORT), 2);
    rig_expect(RIG_BODY(",\"constraints\":{\"qos\":\"batch\"},\"nonce\":1"), TG_INVALID, "nonce");
    cr_assert_eq(refused(0, TG_BATCH), 1);
}

/* ---- trace ----------------------------------------------------------------------------------------- */

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

static const struct {
    const char *header;
    bool ok;
} traceparents[] = {
    {"00-" TRACE "-00f067aa0ba902b7-01", true},
    {"00-" TRACE "-00f067aa0ba902b7-00", true},
    {"00-" TRACE "-00f067aa0ba902b7-ff", true},
    {"", false},
    {"00-" TRACE "-00f067aa0ba902b7-0", false},
    {"00-" TRACE "-00f067aa0ba902b7-011", false},
    {"00-" TRACE "-00f067aa0ba902b7-0g", false},
    {"01-" TRACE "-00f067aa0ba902b7-01", false},
    {"ff-" TRACE "-00f067aa0ba902b7-01", false},
    {"00_" TRACE "-00f067aa0ba902b7-01", false},
    {"00-" TRACE "_00f067aa0ba902b7-01", false},
    {"00-" TRACE "-00f067aa0ba902b7_01", false},
    {"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", false},
    {"00-" TRACE "-00F067AA0BA902B7-01", false},
    {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", false},
    {"00-" TRACE "-0000000000000000-01", false},
    {" 0-" TRACE "-00f067aa0ba902b7-01", false},
};

Test(order, a_valid_traceparent_gives_the_trace_id_and_any_other_a_new_one)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(traceparents); i++) {
        struct iicp_request req = request(RIG_BODY(""));
        req.traceparent = (struct tg_str){traceparents[i].header, strlen(traceparents[i].header)};
        struct task *t = rig_post_request(&req);
        cr_assert_eq(memcmp(t->trace_id, TRACE, 32) == 0, traceparents[i].ok, "%s", traceparents[i].header);
        for (uint32_t c = 0; c < 32; c++)
            cr_assert(strchr("0123456789abcdef", t->trace_id[c]) && t->trace_id[c], "%s",
                      traceparents[i].header);
    }
}

Test(order, made_up_trace_ids_differ_and_are_given_to_refused_requests_too)
{
    char first[32];
    memcpy(first, rig_post("{")->trace_id, sizeof(first));
    cr_assert_neq(memcmp(first, rig_post("{")->trace_id, sizeof(first)), 0);
}

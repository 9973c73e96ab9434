/* SPDX-License-Identifier: Apache-2.0 */
/* The answers as clients see them: always JSON, always the members that both kinds of client look for. */
#include <string.h>
#include "iicp_rig.h"

static struct tg_json_node nodes[256];
static struct tg_json_doc doc;

static void begin(void)
{
    rig_open();
    doc = (struct tg_json_doc){.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
}

TestSuite(answer, .init = begin, .fini = rig_close);

static void parse(const char *text)
{
    struct tg_json_error err = {0};
    cr_assert_eq(tg_json_parse(&doc, text, strlen(text), &err), 0, "%s at %u in %s", err.message, err.offset,
                 text);
}

/* "error.code": members of members, one level. */
static const struct tg_json_node *at(const char *path)
{
    const char *dot = strchr(path, '.');
    struct tg_str head = {path, dot ? (size_t)(dot - path) : strlen(path)};
    const struct tg_json_node *n = tg_json_get(&doc, nodes, head);
    return n && dot ? tg_json_get(&doc, n, (struct tg_str){dot + 1, strlen(dot + 1)}) : n;
}

static void expect_text(const char *path, const char *value)
{
    const struct tg_json_node *n = at(path);
    cr_assert(n && n->type == TG_JSON_STRING &&
                  tg_json_string_eq(&doc, n, (struct tg_str){value, strlen(value)}),
              "%s is not \"%s\" in %s", path, value, doc.text);
}

static void expect_number(const char *path, double value)
{
    const struct tg_json_node *n = at(path);
    cr_assert(n && tg_json_is_number(n) && tg_json_number(n) == value, "%s is not %g in %s", path, value,
              doc.text);
}

static void expect_type(const char *path, enum tg_json_type type)
{
    const struct tg_json_node *n = at(path);
    cr_assert(n && n->type == type, "%s in %s", path, doc.text);
}

Test(answer, a_result_has_what_the_contract_asks_for)
{
    rig_post(RIG_BODY(""));
    rig.ts.now_ns += 2500 * NS_PER_US;
    rig_complete(TG_OK);
    parse(rig_answer());
    expect_text("task_id", "t-1");
    expect_text("status", "success");
    expect_text("result", "done");
    expect_text("model_used", "any");
    expect_type("error", TG_JSON_NULL);
    expect_type("generated_by_ai", TG_JSON_TRUE);
    expect_number("metrics.latency_ms", 2.5);
    expect_number("metrics.batch_rows", 1);
    expect_number("usage.total_tokens", 0);
}

Test(answer, a_latency_of_any_length_has_three_decimals)
{
    static const struct {
        uint64_t us;
        const char *text;
    } latencies[] = {
        {0, "\"latency_ms\":0.000,"},         {7, "\"latency_ms\":0.007,"},
        {999, "\"latency_ms\":0.999,"},       {1000, "\"latency_ms\":1.000,"},
        {10010, "\"latency_ms\":10.010,"},    {99900, "\"latency_ms\":99.900,"},
        {100000, "\"latency_ms\":100.000,"},  {999999, "\"latency_ms\":999.999,"},
        {1000000, "\"latency_ms\":1000.000,"}, {29999001, "\"latency_ms\":29999.001,"},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(latencies); i++) {
        rig_post(RIG_BODY(""));
        rig.ts.now_ns += latencies[i].us * NS_PER_US;
        rig_complete(TG_OK);
        cr_assert(strstr(rig_answer(), latencies[i].text), "%s", latencies[i].text);
    }
}

Test(answer, an_error_has_code_and_message_for_both_kinds_of_client)
{
    rig_post(RIG_BODY(",\"nonce\":5"));
    parse(rig_answer());
    expect_text("task_id", "t-1");
    expect_text("status", "error");
    expect_text("error.code", "validation_error");
    expect_text("code", "validation_error");
    expect_text("error.field", "nonce");
    cr_assert(tg_str_eq(tg_json_raw(&doc, at("error.message")),
                        (struct tg_str){doc.text + at("message")->offset, at("message")->text.len + 2}));
    expect_type("generated_by_ai", TG_JSON_FALSE);
}

Test(answer, malformed_json_is_answered_with_the_byte_and_without_an_id)
{
    rig_post("{\"task_id\":\"t\" 1}");
    parse(rig_answer());
    expect_number("error.offset", 15);
    cr_assert_null(at("task_id"));
    cr_assert_null(at("status"));
    expect_text("error.code", "validation_error");
}

Test(answer, a_refusal_for_capacity_says_class_and_when_to_come_back)
{
    atomic_store_explicit(&rig.admission.max_concurrent, 0, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.wait_ms, 0, memory_order_relaxed);
    rig_post(RIG_BODY(",\"constraints\":{\"qos\":\"interactive\"}"));
    parse(rig_answer());
    expect_text("error.code", "IICP-E021");
    expect_text("error.message", "capacity_exceeded");
    expect_text("error.qos_class", "interactive");
    expect_number("error.retry_after_ms", 2000);
    rig_post(RIG_BODY(""));
    parse(rig_answer());
    expect_text("error.qos_class", "best_effort");
}

Test(answer, a_timeout_is_a_status_of_its_own)
{
    rig_post(RIG_BODY(""));
    rig_complete(TG_TIMEOUT);
    parse(rig_answer());
    expect_text("status", "timeout");
    expect_text("error.code", "task_timeout");
}

Test(answer, a_failed_backend_is_an_error_and_not_a_result)
{
    rig_post(RIG_BODY(""));
    rig_complete(TG_BACKEND);
    parse(rig_answer());
    expect_text("status", "error");
    expect_text("code", "backend_error");
    cr_assert_null(at("result"));
}

Test(answer, an_id_comes_back_as_it_was_spelled)
{
    rig_post("{\"task_id\":\"\\u00e4 \\\"q\\\" \\n \xe2\x82\xac\",\"intent\":\"" RIG_INTENT
             "\",\"payload\":1}");
    rig_complete(TG_OK);
    const char *text = rig_answer();
    cr_assert_not_null(strstr(text, "{\"task_id\":\"\\u00e4 \\\"q\\\" \\n \xe2\x82\xac\","), "%s", text);
    parse(text);
}

Test(answer, every_status_is_written_as_json_with_its_code)
{
    for (uint32_t s = 1; s < TG_STATUS_COUNT; s++) {
        rig_post(RIG_BODY(""));
        rig_complete((enum tg_status)s);
        parse(rig_answer());
        cr_assert(tg_str_eq(tg_json_string(&doc, at("code")), tg_status_info((enum tg_status)s)->code), "%u",
                  s);
    }
}

Test(answer, nothing_of_the_payload_gets_into_an_error)
{
    rig_post("{\"task_id\":\"t\",\"intent\":\"canary-one\",\"payload\":\"canary-two\",\"canary-three\":1}");
    cr_assert_null(strstr(rig_answer(), "canary"));
    rig_post("{\"task_id\":\"t\",\"canary\":1,\"canary\":2}");
    cr_assert_null(strstr(rig_answer(), "canary"));
}

/* ---- health ---------------------------------------------------------------------------------------- */

static void health(void)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, rig.answer, sizeof(rig.answer) - 1);
    iicp_write_health(&rig.ic, &w);
    rig.answer[w.len] = '\0';
    parse(rig.answer);
}

Test(health, says_how_full_the_node_is, .init = begin, .fini = rig_close)
{
    health();
    expect_text("status", "ok");
    expect_text("node_id", "n1");
    expect_number("load", 0);
    expect_type("available", TG_JSON_TRUE);
    cr_assert(admission_claim(&rig.admission));
    health();
    expect_number("load", 0.5);
    expect_number("active_jobs", 1);
    expect_number("max_concurrent", 2);
    cr_assert(admission_claim(&rig.admission));
    health();
    expect_type("available", TG_JSON_FALSE);
}

Test(health, an_id_that_the_directory_assigned_is_the_nodes, .init = begin, .fini = rig_close)
{
    static const struct iicp_keys keys = {.node_id = "assigned-7"};
    health();
    cr_assert(strstr(rig.answer, "\"node_id\":\"n1\""));
    atomic_store_explicit(&rig.shared.keys, &keys, memory_order_release);
    health();
    cr_assert(strstr(rig.answer, "\"node_id\":\"assigned-7\""), "%s", rig.answer);
}

Test(health, a_node_that_leaves_is_degraded_and_not_available, .init = begin, .fini = rig_close)
{
    atomic_store_explicit(&rig.admission.not_ready, 1, memory_order_relaxed);
    health();
    expect_text("status", "degraded");
    expect_type("available", TG_JSON_FALSE);
}

Test(health, a_limit_of_zero_is_no_division, .init = begin, .fini = rig_close)
{
    atomic_store_explicit(&rig.admission.max_concurrent, 0, memory_order_relaxed);
    health();
    expect_number("load", 0);
    expect_type("available", TG_JSON_FALSE);
}

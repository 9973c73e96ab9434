/* SPDX-License-Identifier: Apache-2.0 */
/* Spans on their way to a collector that is fine, slow, full or away. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateway/base/clock.h"
#include "gateway/control/spans.h"
#include "tg/json.h"

/* One collector, one clock. */
static struct world {
    uint64_t now_ns;
    uint64_t submitted, cancelled;
    char url[256], body[1 << 20];
    size_t body_len;
    client_done *done;
    void *context;
} world;

static uint64_t now_ns(void *context)
{
    (void)context;
    return world.now_ns;
}

static int64_t unix_ms(void *context)
{
    (void)context;
    return 0;
}

static uint64_t submit(void *context, const struct client_request *rq, client_done *done, void *done_context)
{
    (void)context;
    cr_assert_null(world.done, "one call at a time");
    snprintf(world.url, sizeof(world.url), "%s", rq->url);
    cr_assert(rq->body.len < sizeof(world.body));
    memcpy(world.body, rq->body.ptr, rq->body.len);
    world.body_len = rq->body.len;
    world.done = done;
    world.context = done_context;
    return ++world.submitted;
}

static void cancel(void *context, uint64_t id)
{
    (void)context;
    cr_assert_eq(id, world.submitted);
    world.cancelled++;
    world.done = NULL;
}

static void fill(void *context, void *out, size_t n)
{
    (void)context;
    memset(out, 0xab, n);
}

static const struct control_host host = {
    .now_ns = now_ns, .unix_ms = unix_ms, .submit = submit, .cancel = cancel, .random = fill};
static const char *const intents[] = {"urn:iicp:intent:x.t:echo:v1"};

static struct spans *spans_at(const char *endpoint, uint32_t per_second)
{
    struct spans_options o = {&host, endpoint, "n1", intents, 1, per_second, 5000};
    world.now_ns = 100 * NS_PER_S;
    return spans_create(&o);
}

static struct iicp_event event_named(const char *id)
{
    struct iicp_event e = {.want = IICP_WANT_SPAN, .outcome = OUTCOME_SUCCESS, .start_unix_ns = 1, .end_unix_ns = 2};
    memset(e.trace_id, '4', sizeof(e.trace_id));
    e.id_len = (uint16_t)strlen(id);
    memcpy(e.id, id, e.id_len);
    return e;
}

static void add(struct spans *s, uint32_t count)
{
    struct iicp_event e = event_named("t-1");
    for (uint32_t i = 0; i < count; i++)
        spans_add(s, &e);
}

static void answer(int error, uint32_t status, uint32_t retry_after_s)
{
    struct client_response r = {.error = error, .why = "gone", .status = status, .retry_after_s = retry_after_s};
    client_done *done = world.done;
    cr_assert_not_null(done);
    world.done = NULL;
    done(world.context, &r);
}

static const struct tg_json_node *at(const struct tg_json_doc *doc, const struct tg_json_node *n, const char *key)
{
    n = tg_json_get(doc, n, (struct tg_str){key, strlen(key)});
    cr_assert_not_null(n, "no member %s", key);
    return n->type == TG_JSON_ARRAY ? tg_json_first(n) : n;
}

/* The first span of what was sent. */
static const struct tg_json_node *sent_span(struct tg_json_doc *doc)
{
    static struct tg_json_node nodes[1 << 16];
    struct tg_json_error err;
    doc->nodes = nodes;
    doc->capacity = TG_ARRAY_SIZE(nodes);
    cr_assert_eq(tg_json_parse(doc, world.body, world.body_len, &err), 0, "%s", err.message);
    return at(doc, at(doc, at(doc, doc->nodes, "resourceSpans"), "scopeSpans"), "spans");
}

static void expect_text(const struct tg_json_doc *doc, const struct tg_json_node *n, const char *text)
{
    cr_assert(tg_json_string_eq(doc, n, (struct tg_str){text, strlen(text)}), "want %s", text);
}

Test(spans, a_span_carries_ids_times_and_attributes)
{
    struct spans *s = spans_at("http://c:4318/", 1000);
    struct iicp_event e = event_named("a\"b");
    struct tg_json_doc doc;
    memset(e.parent_span, '7', sizeof(e.parent_span));
    spans_add(s, &e);
    spans_turn(s, world.now_ns + NS_PER_S);
    cr_assert_str_eq(world.url, "http://c:4318/v1/traces");
    const struct tg_json_node *span = sent_span(&doc);
    expect_text(&doc, at(&doc, span, "traceId"), "44444444444444444444444444444444");
    expect_text(&doc, at(&doc, span, "spanId"), "ababababababab" "ab");
    expect_text(&doc, at(&doc, span, "parentSpanId"), "7777777777777777");
    expect_text(&doc, at(&doc, span, "name"), "iicp.task.execute");
    expect_text(&doc, at(&doc, span, "endTimeUnixNano"), "2");
    const struct tg_json_node *id = at(&doc, span, "attributes");
    expect_text(&doc, at(&doc, at(&doc, id, "value"), "stringValue"), "a\"b");
    expect_text(&doc, at(&doc, at(&doc, tg_json_next(id), "value"), "stringValue"), intents[0]);
    spans_destroy(s);
}

Test(spans, a_root_span_names_no_parent_and_an_unknown_intent_is_other)
{
    struct spans *s = spans_at("http://c", 1000);
    struct iicp_event e = event_named("t");
    struct tg_json_doc doc;
    e.intent_slot = 9;
    e.outcome = OUTCOME_ERROR;
    spans_add(s, &e);
    spans_turn(s, world.now_ns + NS_PER_S);
    const struct tg_json_node *span = sent_span(&doc);
    cr_assert_null(tg_json_get(&doc, span, TG_STR("parentSpanId")));
    expect_text(&doc, at(&doc, at(&doc, tg_json_next(at(&doc, span, "attributes")), "value"), "stringValue"), "other");
    cr_assert_eq(at(&doc, at(&doc, span, "status"), "code")->i64, 2);
    spans_destroy(s);
}

Test(spans, a_small_batch_waits_a_second_and_a_full_one_does_not)
{
    struct spans *s = spans_at("http://c", 100000);
    cr_assert_eq(spans_turn(s, world.now_ns), UINT64_MAX);
    add(s, 1);
    cr_assert_eq(spans_turn(s, world.now_ns), world.now_ns + NS_PER_S);
    cr_assert_eq(world.submitted, 0);
    add(s, 255);
    spans_turn(s, world.now_ns);
    cr_assert_eq(world.submitted, 1);
    answer(0, 200, 0);
    cr_assert_eq(spans_stats(s).exported, 256);
    spans_destroy(s);
}

Test(spans, longest_ids_of_escapes_fit_a_full_batch)
{
    struct spans *s = spans_at("http://c", 100000);
    struct iicp_event e = event_named("");
    struct tg_json_doc doc;
    memset(e.id, 1, sizeof(e.id));
    e.id_len = sizeof(e.id);
    memset(e.parent_span, '7', sizeof(e.parent_span));
    for (uint32_t i = 0; i < 256; i++)
        spans_add(s, &e);
    spans_turn(s, world.now_ns);
    cr_assert_not_null(sent_span(&doc));
    spans_destroy(s);
}

Test(spans, what_may_pass_is_sent_again_later_and_later)
{
    struct spans *s = spans_at("http://c", 1000);
    add(s, 1);
    world.now_ns += NS_PER_S;
    spans_turn(s, world.now_ns);
    answer(-ECONNREFUSED, 0, 0);
    cr_assert_eq(spans_turn(s, world.now_ns), world.now_ns + NS_PER_S);
    world.now_ns += NS_PER_S;
    spans_turn(s, world.now_ns);
    answer(0, 503, 0);
    cr_assert_eq(spans_turn(s, world.now_ns), world.now_ns + 2 * NS_PER_S);
    world.now_ns += 2 * NS_PER_S;
    spans_turn(s, world.now_ns);
    answer(0, 429, 30);
    cr_assert_eq(spans_turn(s, world.now_ns), world.now_ns + 30 * NS_PER_S);
    world.now_ns += 30 * NS_PER_S;
    spans_turn(s, world.now_ns);
    answer(0, 200, 0);
    cr_assert_eq(spans_stats(s).exported, 1);
    cr_assert_eq(spans_stats(s).failed_calls, 3);
    cr_assert_eq(spans_stats(s).dropped, 0);
    spans_destroy(s);
}

Test(spans, what_would_be_refused_for_ever_is_dropped)
{
    struct spans *s = spans_at("http://c", 1000);
    add(s, 3);
    spans_turn(s, world.now_ns + NS_PER_S);
    answer(0, 400, 0);
    cr_assert_eq(spans_stats(s).dropped, 3);
    cr_assert_eq(spans_turn(s, world.now_ns + 1000 * NS_PER_S), UINT64_MAX);
    spans_destroy(s);
}

Test(spans, over_the_rate_and_over_the_queue_are_counted_and_dropped)
{
    struct spans *s = spans_at("http://c", 10);
    add(s, 12);
    cr_assert_eq(spans_stats(s).dropped, 2);
    world.now_ns += NS_PER_S;
    add(s, 1);
    cr_assert_eq(spans_stats(s).dropped, 2);
    spans_destroy(s);
    s = spans_at("http://c", 1000000);
    add(s, 4097);
    cr_assert_eq(spans_stats(s).dropped, 1);
    spans_destroy(s);
}

Test(spans, a_running_call_is_forgotten_at_the_end)
{
    struct spans *s = spans_at("http://c", 1000);
    add(s, 1);
    spans_turn(s, world.now_ns + NS_PER_S);
    spans_destroy(s);
    cr_assert_eq(world.cancelled, 1);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The backend's observer, the capacity of the hour, and batches of counts. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include "gateway/control/backend.h"
#include "gateway/control/capacity.h"
#include "gateway/control/models.h"
#include "gateway/control/tally.h"
#include "sim_host.h"

#define SECOND UINT64_C(1000000000)

static struct tg_json_node nodes[1024];
static struct tg_json_doc doc;

static const struct tg_json_doc *parse(const char *text)
{
    struct tg_json_error err;
    doc = (struct tg_json_doc){.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    cr_assert_eq(tg_json_parse(&doc, text, strlen(text), &err), 0, "%s", text);
    return &doc;
}

static void expect(enum backend_kind kind, const char *model, const char *body, enum iicp_backend_state state,
                   enum iicp_backend_reason reason, uint16_t retry_after_s)
{
    struct iicp_backend b = backend_read(kind, (struct tg_str){model, strlen(model)}, parse(body));
    cr_expect_eq(b.state, state, "%s", body);
    cr_expect_eq(b.reason, reason, "%s", body);
    cr_expect_eq(b.retry_after_s, retry_after_s, "%s", body);
}

Test(backend, ollama_is_cold_until_the_model_is_resident)
{
    const char *ps =
        "{\"models\":[{\"name\":\"llama3:latest\",\"model\":\"llama3:latest\"},{\"name\":\"phi:3b\"}]}";
    expect(BACKEND_OLLAMA, "llama3", ps, IICP_BACKEND_OK, IICP_REASON_OK, 0);
    expect(BACKEND_OLLAMA, "phi:3b", ps, IICP_BACKEND_OK, IICP_REASON_OK, 0);
    expect(BACKEND_OLLAMA, "phi", ps, IICP_BACKEND_DEGRADED, IICP_REASON_COLD, 0);
    expect(BACKEND_OLLAMA, "", "{\"models\":[]}", IICP_BACKEND_OK, IICP_REASON_OK, 0);
    expect(BACKEND_OLLAMA, "llama3", "{\"models\":[]}", IICP_BACKEND_DEGRADED, IICP_REASON_COLD, 0);
    expect(BACKEND_OLLAMA, "llama3", "{\"models\":[5,{}]}", IICP_BACKEND_DEGRADED, IICP_REASON_COLD, 0);
    expect(BACKEND_OLLAMA, "llama3", "{}", IICP_BACKEND_DEGRADED, IICP_REASON_OBSERVER, 0);
    expect(BACKEND_OLLAMA, "llama3", "[]", IICP_BACKEND_DEGRADED, IICP_REASON_OBSERVER, 0);
}

Test(backend, lm_studio_drains_while_it_loads_and_longer_when_it_failed)
{
    expect(BACKEND_LMSTUDIO, "m", "{\"models\":[{\"key\":\"m\",\"loaded_instances\":[{\"id\":\"m\"}]}]}",
           IICP_BACKEND_OK, IICP_REASON_OK, 0);
    expect(BACKEND_LMSTUDIO, "m",
           "{\"models\":[{\"key\":\"m\",\"loaded_instances\":[{\"id\":\"m\",\"state\":\"loading\"}]}]}",
           IICP_BACKEND_DRAINING, IICP_REASON_LOADING, 30);
    expect(BACKEND_LMSTUDIO, "m", "{\"data\":[{\"id\":\"m\",\"state\":\"loading\"}]}", IICP_BACKEND_DRAINING,
           IICP_REASON_LOADING, 30);
    expect(BACKEND_LMSTUDIO, "m", "{\"data\":[{\"id\":\"m\",\"state\":\"oom\"}]}", IICP_BACKEND_DRAINING,
           IICP_REASON_UNSTABLE, 60);
    expect(BACKEND_LMSTUDIO, "m", "{\"data\":[{\"id\":\"m\",\"status\":\"failed\"}]}", IICP_BACKEND_DRAINING,
           IICP_REASON_UNSTABLE, 60);
    expect(BACKEND_LMSTUDIO, "m",
           "{\"data\":[{\"id\":\"other\",\"state\":\"loading\"},{\"id\":\"m\",\"state\":\"loaded\"}]}",
           IICP_BACKEND_OK, IICP_REASON_OK, 0);
    expect(BACKEND_LMSTUDIO, "m", "{\"data\":[{\"id\":\"m\",\"state\":\"not-loaded\"}]}",
           IICP_BACKEND_DEGRADED, IICP_REASON_COLD, 0);
    expect(
        BACKEND_LMSTUDIO, "m",
        "{\"models\":[{\"key\":\"m\",\"loaded_instances\":[{\"state\":\"failed\"},{\"state\":\"loaded\"}]}]}",
        IICP_BACKEND_OK, IICP_REASON_OK, 0);
    expect(BACKEND_LMSTUDIO, "m", "{\"x\":1}", IICP_BACKEND_DEGRADED, IICP_REASON_OBSERVER, 0);
}

/* ---- looking ---------------------------------------------------------------------------------------- */

static struct sim sim;
static const char *body = "{\"data\":[{\"id\":\"m\",\"state\":\"loading\"}]}";
static int error;
static uint32_t status = 200, asked;

static void answer(void *context, const struct sim_ask *ask, struct sim_reply *reply)
{
    asked++;
    reply->error = error;
    reply->status = status;
    (void)snprintf(reply->body, sizeof(reply->body), "%s", body);
}

static uint64_t turn_backend(void *self, uint64_t now_ns)
{
    return backend_turn(self, now_ns);
}

static uint64_t turn_capacity(void *self, uint64_t now_ns)
{
    return capacity_turn(self, now_ns);
}

static void begin(void)
{
    sim_init(&sim, answer, NULL);
}

TestSuite(observer, .init = begin);

Test(observer, tells_what_it_saw_last)
{
    struct backend b;
    backend_init(&b, &sim.host,
                 &(struct backend_options){"http://127.0.0.1:1234/v1/", BACKEND_LMSTUDIO, "m", 10000});
    cr_expect_eq(backend_now(&b).state, IICP_BACKEND_OK, "until it has looked");
    sim_run(&sim, turn_backend, &b, SECOND);
    struct iicp_backend seen = backend_now(&b);
    cr_expect_eq(seen.state, IICP_BACKEND_DRAINING);
    cr_expect_eq(seen.drain_until_s, (uint32_t)(sim.host.unix_ms(&sim) / 1000) + 30 - 1);
    body = "{\"data\":[{\"id\":\"m\",\"state\":\"loaded\"}]}";
    sim_run(&sim, turn_backend, &b, 10 * SECOND);
    cr_expect_eq(backend_now(&b).state, IICP_BACKEND_OK);
    error = -ECONNREFUSED;
    sim_run(&sim, turn_backend, &b, 10 * SECOND);
    cr_expect_eq(backend_now(&b).state, IICP_BACKEND_DEGRADED);
    cr_expect_eq(backend_now(&b).reason, IICP_REASON_OBSERVER);
    cr_expect_eq(asked, 3);
}

Test(observer, other_servers_are_well_as_long_as_they_answer)
{
    struct backend b;
    status = 404;
    backend_init(&b, &sim.host,
                 &(struct backend_options){"http://127.0.0.1:1234", BACKEND_OTHER, "m", 10000});
    sim_run(&sim, turn_backend, &b, SECOND);
    cr_expect_eq(backend_now(&b).state, IICP_BACKEND_OK);
}

Test(observer, without_a_backend_nobody_is_asked)
{
    struct backend b;
    backend_init(&b, &sim.host, &(struct backend_options){.url = ""});
    cr_expect_eq(backend_turn(&b, sim.now_ns), UINT64_MAX);
    cr_expect_eq(asked, 0);
}

/* ---- models ----------------------------------------------------------------------------------------- */

Test(models, are_a_set)
{
    struct model_set a, b;
    model_set_read(
        &a, parse("{\"models\":[{\"name\":\"b\"},{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"\"},{},7]}"));
    model_set_read(&b, parse("{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}"));
    cr_expect_eq(a.count, 2);
    cr_expect(model_set_equal(&a, &b));
    model_set_add(&b, TG_STR("c"));
    cr_expect_not(model_set_equal(&a, &b));
}

Test(models, more_than_fit_are_left_out)
{
    struct model_set s = {0};
    char name[16];
    for (int i = 0; i < 100; i++)
        model_set_add(&s, (struct tg_str){name, (size_t)snprintf(name, sizeof(name), "m%03d", i)});
    cr_expect_eq(s.count, IICP_MODELS_MAX);
}

/* ---- capacity --------------------------------------------------------------------------------------- */

static uint32_t offered, offers;

static void offer(void *context, uint32_t effective)
{
    offered = effective;
    offers++;
}

static struct iicp_windows windows(const char *text)
{
    struct iicp_windows w = {0};
    size_t offset;
    cr_assert_null(iicp_windows_parse((struct tg_str){text, strlen(text)}, &w, &offset));
    return w;
}

static void set_wall(int64_t unix_s)
{
    sim.wall_offset_ms = unix_s * 1000 - (int64_t)(sim.now_ns / 1000000);
}

Test(observer, capacity_follows_the_windows_to_the_minute)
{
    struct capacity c;
    struct iicp_windows w = windows("09:00-17:00@0.75");
    set_wall(1781946000 - 3600 * 9 - 60 * 0); /* 2026-06-20 00:00 UTC */
    capacity_init(&c, &(struct capacity_options){&sim.host, NULL, offer});
    capacity_configure(&c, 4, &w, zone_of_rule(TG_STR("CET-1CEST,M3.5.0,M10.5.0/3")));
    cr_expect_eq(offered, 2, "02:00 in summer");
    sim_run(&sim, turn_capacity, &c, (6 * 3600 + 3599) * SECOND);
    cr_expect_eq(offered, 2, "08:59:59");
    sim_run(&sim, turn_capacity, &c, SECOND);
    cr_expect_eq(offered, 3, "09:00:00");
    sim_run(&sim, turn_capacity, &c, (8 * 3600 + 59) * SECOND);
    cr_expect_eq(offered, 3, "17:00:59");
    sim_run(&sim, turn_capacity, &c, SECOND);
    cr_expect_eq(offered, 2, "17:01:00");
    cr_expect_eq(offers, 3, "only changes are told");
    capacity_finish(&c);
}

Test(observer, a_change_of_the_offset_is_noticed)
{
    struct capacity c;
    struct iicp_windows w = windows("09:00-17:00");
    set_wall(1792890000 - 60); /* 2026-10-25, one minute before summer time ends */
    capacity_init(&c, &(struct capacity_options){&sim.host, NULL, offer});
    capacity_configure(&c, 4, &w, zone_of_rule(TG_STR("CET-1CEST,M3.5.0,M10.5.0/3")));
    cr_expect_not(c.offset_changed);
    sim_run(&sim, turn_capacity, &c, 61 * SECOND);
    cr_expect(c.offset_changed);
    cr_expect_eq(c.offset_s, 3600);
    capacity_finish(&c);
}

/* ---- batches ---------------------------------------------------------------------------------------- */

Test(tally, ids_differ_within_and_between_lives)
{
    struct tally a, b;
    struct tally_counts one = {.success = 1}, two = {.success = 2};
    char first[IICP_BATCH_ID_MAX + 1] = "";
    tally_init(&a, 1);
    tally_init(&b, 2);
    struct iicp_batch batch = tally_batch(&a, &one);
    memcpy(first, batch.id.ptr, batch.id.len);
    cr_expect(tg_str_eq(tally_batch(&a, &two).id, batch.id), "outstanding");
    tally_acknowledge(&a, false, (struct tg_str){0});
    cr_expect_not(tg_str_eq(tally_batch(&a, &two).id, (struct tg_str){first, strlen(first)}));
    cr_expect_not(tg_str_eq(tally_batch(&b, &one).id, (struct tg_str){first, strlen(first)}));
}

Test(tally, nothing_new_is_no_batch)
{
    struct tally t;
    struct tally_counts counts = {.success = 1};
    tally_init(&t, 1);
    cr_expect_eq(tally_batch(&t, &(struct tally_counts){0}).id.len, 0);
    tally_batch(&t, &counts);
    tally_acknowledge(&t, false, (struct tg_str){0});
    cr_expect_eq(tally_batch(&t, &counts).id.len, 0);
}

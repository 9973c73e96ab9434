/* SPDX-License-Identifier: Apache-2.0 */
/* The dialect on the bench. */
#include <string.h>
#include "iicp_rig.h"

#define START_NS (UINT64_C(5000) * NS_PER_S)
#define BODY_BYTES_MAX 65536

struct rig rig;

static enum tg_status any_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                                 struct tg_error *err)
{
    if (req->payload->type != TG_JSON_NULL)
        return tg_rows_claim(rows, 1, 8);
    tg_error_set(err, "payload", "must not be null");
    return TG_INVALID;
}

static void any_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    tg_json_write_string(w, TG_STR("done"));
}

static const struct tg_runner any_runner = {.abi = TG_RUNNER_ABI,
                                            .size = sizeof(struct tg_runner),
                                            .type = "any",
                                            .decode = any_decode,
                                            .encode = any_encode};

static void on_ready(const struct task_door *door, struct task *t)
{
    cr_assert_eq(t, rig.task);
    rig.ready_calls++;
}

static void on_resume(void *context, struct task *t)
{
    iicp_task_resume(context, t);
}

static void on_forget(void *context, struct task *t)
{
    iicp_task_forget(context, t);
}

/* ---- life cycle ------------------------------------------------------------------------------------ */

static struct tg_doorbell *new_doorbell(void)
{
    return tg_doorbell_init(tg_arena_alloc(&rig.arena, tg_doorbell_bytes(1), TG_CACHE_SEPARATION), 1, -1);
}

static void make_lanes(void)
{
    struct task_lanes *lanes = tg_arena_alloc(&rig.arena, TG_PRIORITIES * sizeof(*lanes), 64);
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        struct tg_lane_options o = {
            .rows = 4, .in_stride = 64, .out_stride = 64, .bit = p, .priority = (uint8_t)p};
        rig.lane[p] = lanes[p].by_class[0] = tg_lane_create(&rig.arena, &o);
    }
    rig.ts.lanes = lanes;
    rig.ts.crowds = &rig.crowd;
    rig.ts.link_count = 1;
    rig.ts.links[0].by_bit = rig.lane;
    rig.ts.links[0].bit_words = 1;
}

static void make_tasks(void)
{
    cr_assert_eq(buffer_pool_init(&rig.buffers, &rig.arena, BODY_BYTES_MAX, 0, 4), 0);
    cr_assert_eq(tg_pool_init(&rig.ts.pool, &rig.arena, sizeof(struct task), 8), 0);
    timer_wheel_init(&rig.wheel, START_NS);
    rig.metrics.intent_slots = 2;
    rig.metrics.tasks = tg_arena_alloc(&rig.arena, 2 * sizeof(*rig.metrics.tasks), TG_CACHE_SEPARATION);
    make_lanes();
    rig.ts.links[0].doorbell = new_doorbell();
    rig.ts.doorbell = rig.admission.workers[0] = new_doorbell();
    rig.ts.wheel = &rig.wheel;
    rig.ts.buffers = &rig.buffers;
    rig.ts.admission = &rig.admission;
    rig.ts.metrics = &rig.metrics;
    rig.ts.resume = on_resume;
    rig.ts.forget = on_forget;
    rig.ts.context = &rig.ic;
    rig.ts.instances = rig.instances;
    rig.ts.instance_count = 1;
    rig.ts.now_ns = START_NS;
    atomic_store_explicit(&rig.admission.base_concurrent, 2, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.max_concurrent, 2, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.wait_ms, 2000, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.retry_after_s, 2, memory_order_relaxed);
}

static void make_room(uint32_t nodes)
{
    uint32_t members = JSON_CANONICAL_ROOM(nodes);
    rig.room = (struct iicp_room){
        .crypto = crypto_create(),
        .text = tg_arena_alloc(&rig.arena, BODY_BYTES_MAX, 64),
        .text_bytes = BODY_BYTES_MAX,
        .doc = {.nodes = tg_arena_alloc(&rig.arena, nodes * sizeof(struct tg_json_node), 64), .capacity = nodes},
        .members = {tg_arena_alloc(&rig.arena, members * sizeof(uint32_t), 64), members},
    };
    cr_assert_not_null(rig.room.crypto);
    rig.ic.room = &rig.room;
    rig.ic.shared = &rig.shared;
}

static void make_iicp(void)
{
    uint32_t nodes = BODY_BYTES_MAX / 2 + 1;
    cr_assert_eq(window_init(&rig.nonces, &rig.arena, 256, 300), 0);
    cr_assert_eq(window_init(&rig.ids, &rig.arena, 256, 300), 0);
    cr_assert_eq(rate_init(&rig.origins, &rig.arena, 3), 0);
    rig.node = (struct iicp_node){.id = "n1", .region = "here", .device = "cpu", .io = "epoll"};
    rig.node.instances = rig.instances;
    rig.node.instance_count = 1;
    rig.settings = (struct iicp_settings){.timeout_ms = 30000, .timeout_max_ms = 300000};
    rig.ic.tasks = &rig.ts;
    rig.ic.node = &rig.node;
    rig.ic.settings = &rig.settings;
    rig.ic.nonces = &rig.nonces;
    rig.ic.origins = &rig.origins;
    rig.ic.doc.nodes = tg_arena_alloc(&rig.arena, nodes * sizeof(struct tg_json_node), 64);
    rig.ic.doc.capacity = nodes;
    random_seed(&rig.ic.random);
    make_room(nodes);
}

void rig_open(void)
{
    memset(&rig, 0, sizeof(rig));
    cr_assert_eq(tg_arena_init(&rig.arena, 64u << 20, TG_ARENA_PRIVATE), 0);
    rig.instance = (struct tg_instance){
        .runner = &any_runner, .name = "any", .intent = RIG_INTENT, .shape = {.size_classes = 1}};
    rig.instances[0] = &rig.instance;
    rig.door.ready = on_ready;
    make_tasks();
    make_iicp();
}

void rig_close(void)
{
    crypto_destroy(rig.room.crypto);
    tg_arena_finish(&rig.arena);
}

/* ---- requests and answers -------------------------------------------------------------------------- */

static void close_last(void)
{
    if (!rig.task)
        return;
    if (rig.task->state == TASK_RUNNING)
        rig_complete(TG_OK);
    task_close(&rig.ts, rig.task);
    rig.task = NULL;
    cr_assert_eq(admission_active(&rig.admission), 0);
}

struct task *rig_post_request(const struct iicp_request *req)
{
    close_last();
    rig.ready_calls = 0;
    rig.task = task_open(&rig.ts, &rig.door, 0);
    cr_assert_not_null(rig.task);
    iicp_task(&rig.ic, rig.task, req);
    cr_assert_eq(rig.ready_calls, rig.task->state == TASK_FINAL);
    return rig.task;
}

struct task *rig_post(const char *body)
{
    struct iicp_request req = {.content_type = TG_STR_INIT("application/json"), .body = {body, strlen(body)}};
    return rig_post_request(&req);
}

void rig_complete(enum tg_status status)
{
    tasks_publish(&rig.ts);
    for (uint32_t p = 0; p < TG_PRIORITIES; p++)
        for (struct tg_lane *lane = rig.lane[p]; tg_lane_ready(lane) > 0;) {
            uint32_t cursor = tg_lane_take(lane, 1);
            tg_lane_row(lane, cursor)->status = (uint16_t)status;
            tg_lane_row(lane, cursor)->batch_rows = 1;
            tg_lane_complete(lane, cursor, 1);
            tg_doorbell_ring(rig.ts.doorbell, 0, lane->bit);
        }
    tasks_reap(&rig.ts);
}

const char *rig_answer(void)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, rig.answer, sizeof(rig.answer) - 1);
    rig.task->reply->write(NULL, rig.task, &w);
    cr_assert_not(w.overflow);
    rig.answer[w.len] = '\0';
    return rig.answer;
}

void rig_expect(const char *body, enum tg_status status, const char *field)
{
    struct task *t = rig_post(body);
    cr_assert_eq(t->state, TASK_FINAL, "%.200s runs", body);
    cr_assert_eq(t->status, status, "%.200s gets %.*s", body, TG_STR_ARG(tg_status_info(t->status)->name));
    if (field)
        cr_assert_str_eq(t->error.field, field, "%.200s", body);
}

void rig_expect_runs(const char *body)
{
    struct task *t = rig_post(body);
    cr_assert_eq(t->state, TASK_RUNNING, "%.200s gets %.*s: %s", body,
                 TG_STR_ARG(tg_status_info(t->status)->name), t->error.message);
}

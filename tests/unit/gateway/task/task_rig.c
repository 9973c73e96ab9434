/* SPDX-License-Identifier: Apache-2.0 */
/* Door, executor and clock in one hand. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "task_rig.h"

#define START_NS (UINT64_C(5000) * NS_PER_S)
#define TASK_BYTES_MAX 65536

struct rig rig;

/* ---- the runner ------------------------------------------------------------------------------------ */

static enum tg_status count_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                                   struct tg_error *err)
{
    uint32_t n = (uint32_t)tg_json_number(req->payload);
    if (n > 0)
        return tg_rows_claim(rows, n, 8);
    tg_error_set(err, "payload", "must not be zero");
    return TG_INVALID;
}

static const struct tg_runner count_runner = {
    .abi = TG_RUNNER_ABI, .size = sizeof(struct tg_runner), .type = "count", .decode = count_decode};

/* ---- the door -------------------------------------------------------------------------------------- */

static void on_ready(const struct task_door *door, struct task *t)
{
    cr_assert_eq(door, &rig.door);
    cr_assert_eq(t->state, TASK_FINAL);
    cr_assert_not(t->holds_slot, "a slot outlived its task's end");
    cr_assert_lt(rig.ready_calls, RIG_TASKS);
    rig.ready[rig.ready_calls++] = t;
}

uint32_t rig_times_ready(const struct task *t)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rig.ready_calls; i++)
        n += rig.ready[i] == t;
    return n;
}

void rig_answer(struct task *t)
{
    for (uint32_t i = 0; i < rig.ready_calls; i++)
        if (rig.ready[i] == t)
            rig.ready[i--] = rig.ready[--rig.ready_calls];
    task_close(&rig.ts, t);
}

static void offer_body(struct task *t, struct tg_str body)
{
    struct tg_json_node nodes[8];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    TG_ASSERT(tg_json_parse(&doc, body.ptr, body.len, &err) == 0);
    if (task_admit(&rig.ts, t, body))
        task_start(&rig.ts, t, &doc, doc.nodes, body);
}

static void on_resume(void *context, struct task *t)
{
    cr_assert_eq(context, &rig);
    cr_assert_not_null(t->body, "a resumed task has its body");
    rig.resumed++;
    offer_body(t, (struct tg_str){t->body->data, t->body->len});
}

struct task *rig_offer(enum tg_priority p, uint32_t rows, uint32_t timeout_ms)
{
    struct task *t = task_open(&rig.ts, &rig.door, 7);
    if (!t)
        return NULL;
    char body[16];
    int n = snprintf(body, sizeof(body), " %u ", rows);
    t->priority = p;
    t->instance = &rig.instance;
    t->intent_slot = 0;
    t->counted = true;
    t->deadline_ns = t->arrival_ns + timeout_ms * NS_PER_MS;
    offer_body(t, (struct tg_str){body, (size_t)n});
    return t;
}

/* ---- life cycle ------------------------------------------------------------------------------------ */

static struct tg_doorbell *new_doorbell(uint32_t lines)
{
    return tg_doorbell_init(tg_arena_alloc(&rig.arena, tg_doorbell_bytes(lines), TG_CACHE_SEPARATION), lines, -1);
}

static void make_link(uint32_t number, struct task_lanes *lanes)
{
    struct task_link *link = &rig.ts.links[number];
    link->by_bit = &rig.lanes[number * TG_PRIORITIES];
    link->bit_words = 1;
    link->doorbell = new_doorbell(1);
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        struct tg_lane_options o = {.rows = RIG_ROWS, .in_stride = 64, .out_stride = 64, .bit = p};
        o.priority = (uint8_t)p;
        o.executor = (uint8_t)number;
        link->by_bit[p] = lanes[p].by_class[0] = tg_lane_create(&rig.arena, &o);
    }
}

/* Between the worker and whom the instance is served by. */
static void make_links(const struct rig_options *o)
{
    uint32_t count = o->devices + 1;
    rig.ts.link_count = count;
    rig.ts.crowds = &rig.crowd;
    rig.ts.lanes = tg_arena_alloc(&rig.arena, count * TG_PRIORITIES * sizeof(*rig.ts.lanes), 64);
    rig.instance.executors = (((1u << o->devices) - 1) << 1) | o->spare;
    for (uint32_t n = 0; n < count; n++)
        if (tg_instance_served_by(&rig.instance, n))
            make_link(n, &rig.ts.lanes[n * TG_PRIORITIES]);
}

static void make_spread(uint32_t devices)
{
    struct spread_options o = {.worker_count = 1, .executor_count = devices + 1, .instance_count = 1, .pace = rig.pace};
    o.loads = tg_arena_alloc(&rig.arena, sizeof(*o.loads), TG_CACHE_SEPARATION);
    for (uint32_t n = 1; n <= devices; n++)
        rig.pace[n] = tg_arena_alloc(&rig.arena, sizeof(struct tg_pace), TG_CACHE_SEPARATION);
    cr_assert_eq(spread_init(&rig.spread, &rig.arena, &o), 0);
    rig.ts.spread = &rig.spread;
}

void rig_open(const struct rig_options *o)
{
    memset(&rig, 0, sizeof(rig));
    cr_assert_eq(tg_arena_init(&rig.arena, 8u << 20, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(buffer_pool_init(&rig.buffers, &rig.arena, 1000, 0, RIG_BUFFERS), 0);
    cr_assert_eq(tg_pool_init(&rig.ts.pool, &rig.arena, sizeof(struct task), RIG_TASKS), 0);
    timer_wheel_init(&rig.wheel, START_NS);
    rig.instance = (struct tg_instance){.runner = &count_runner, .shape = {.size_classes = 1}};
    rig.instances[0] = &rig.instance;
    rig.metrics.intent_slots = 2;
    rig.metrics.tasks = tg_arena_alloc(&rig.arena, 2 * sizeof(*rig.metrics.tasks), TG_CACHE_SEPARATION);
    rig.door.ready = on_ready;
    make_links(o);
    if (o->devices > 1)
        make_spread(o->devices);
    rig.ts.doorbell = rig.admission.workers[0] = new_doorbell(o->devices + 1);
    rig.ts.wheel = &rig.wheel;
    rig.ts.buffers = &rig.buffers;
    rig.ts.admission = &rig.admission;
    rig.ts.metrics = &rig.metrics;
    rig.ts.resume = on_resume;
    rig.ts.context = &rig;
    rig.ts.instances = rig.instances;
    rig.ts.instance_count = 1;
    rig.ts.now_ns = START_NS;
    atomic_store_explicit(&rig.admission.max_concurrent, o->max_concurrent, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.wait_ms, o->wait_ms, memory_order_relaxed);
    atomic_store_explicit(&rig.admission.retry_after_s, 2, memory_order_relaxed);
}

void rig_check_empty(void)
{
    cr_assert_eq(tg_pool_used(&rig.ts.pool), 0, "%u tasks are left", tg_pool_used(&rig.ts.pool));
    cr_assert_eq(admission_active(&rig.admission), 0, "%u slots are lost", admission_active(&rig.admission));
    cr_assert_eq(atomic_load_explicit(&rig.admission.waiting, memory_order_relaxed), 0);
    cr_assert_eq(rig.wheel.armed, 0, "%u timers are left", rig.wheel.armed);
    cr_assert_eq(rig.ts.waiting_count, 0);
    for (uint32_t p = 0; p < TG_PRIORITIES; p++)
        cr_assert(!rig.ts.waiting[p].head && !rig.crowd.by_priority[p].head);
    for (uint32_t i = 0; i < TG_ARRAY_SIZE(rig.lanes); i++)
        if (rig.lanes[i])
            cr_assert_eq(tg_lane_used(rig.lanes[i]), 0, "%u rows of lane %u are lost", tg_lane_used(rig.lanes[i]), i);
    for (uint32_t c = 0; c < BUFFER_CLASSES; c++)
        cr_assert_eq(rig.buffers.classes[c].used, 0, "buffers of class %u are lost", c);
}

void rig_close(void)
{
    tg_arena_finish(&rig.arena);
}

/* ---- the worker ------------------------------------------------------------------------------------ */

static void on_timer(void *context, struct timer *t)
{
    cr_assert_eq(t->kind, TIMER_TASK);
    task_timer_fired(context, t);
}

void rig_turn(uint64_t ns)
{
    rig.ts.now_ns += ns;
    timer_wheel_advance(&rig.wheel, rig.ts.now_ns, on_timer, &rig.ts);
    tasks_retry(&rig.ts);
    tasks_publish(&rig.ts);
    if (tasks_reap(&rig.ts)) {
        tasks_retry(&rig.ts);
        tasks_publish(&rig.ts);
    }
}

/* ---- the executor ---------------------------------------------------------------------------------- */

static void take_from(const struct task_link *link)
{
    for (uint64_t bits = tg_doorbell_take(link->doorbell, 0, 0); bits; bits &= bits - 1) {
        struct tg_lane *lane = link->by_bit[__builtin_ctzll(bits)];
        while (tg_lane_ready(lane) > 0) {
            rig.running[rig.running_count].lane = lane;
            rig.running[rig.running_count++].cursor = tg_lane_take(lane, 1);
        }
    }
}

uint32_t rig_take(void)
{
    for (uint32_t n = 0; n < rig.ts.link_count; n++)
        if (rig.ts.links[n].bit_words > 0)
            take_from(&rig.ts.links[n]);
    return rig.running_count;
}

void rig_complete(uint32_t i, enum tg_status status)
{
    struct tg_lane *lane = rig.running[i].lane;
    uint32_t cursor = rig.running[i].cursor;
    rig.running[i] = rig.running[--rig.running_count];
    tg_lane_row(lane, cursor)->status = (uint16_t)status;
    tg_lane_complete(lane, cursor, 1);
    tg_doorbell_ring(rig.ts.doorbell, lane->executor, lane->bit);
}

void rig_run_all(void)
{
    tasks_publish(&rig.ts);
    rig_take();
    while (rig.running_count > 0)
        rig_complete(rig.running_count - 1, TG_OK);
    tasks_reap(&rig.ts);
}

uint64_t rig_counter(enum metric which)
{
    return atomic_load_explicit(&rig.metrics.counters[which], memory_order_relaxed);
}

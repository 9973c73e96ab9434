/* SPDX-License-Identifier: Apache-2.0 */
/* Two executors over the same instances: each serves those that were placed with it, and no other. */
#include <criterion/criterion.h>
#include "tests/support/rows.h"
#include "tg/gpu.h"

static void shape(void *self, struct tg_shape *s)
{
    *s = (struct tg_shape){
        .size_classes = 1, .in_bytes = {64}, .out_bytes = {64}, .rows_per_task_max = 1, .max_batch = 64};
}

static int run(void *self, struct tg_batch *b)
{
    *(uint32_t *)self += b->count;
    return 0;
}

static const struct tg_runner counter = {
    .abi = TG_RUNNER_ABI, .size = sizeof(counter), .type = "counter", .shape = shape, .run_batch = run};

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(host), NULL, test_now_ns};

static struct {
    uint32_t counts[2];
    struct tg_instance instances[2], *list[2];
    struct tg_arena arena;
    struct tg_lane *lanes[2];
    struct tg_doorbell *bells[2], *worker;
    struct tg_executor *executors[2];
} r;

static struct tg_doorbell *new_doorbell(uint32_t lines)
{
    return tg_doorbell_init(tg_arena_alloc(&r.arena, tg_doorbell_bytes(lines), TG_CACHE_SEPARATION), lines, -1);
}

static void make_instance(uint32_t i)
{
    struct tg_lane_options lane = {
        .rows = 16, .in_stride = 64, .out_stride = 64, .runner = (uint16_t)i, .bit = i};
    r.instances[i] = (struct tg_instance){
        .runner = &counter, .self = &r.counts[i], .max_batch = 8, .streams = 1 + i, .executors = i << 1};
    shape(NULL, &r.instances[i].shape);
    r.list[i] = &r.instances[i];
    r.lanes[i] = tg_lane_create(&r.arena, &lane);
    r.bells[i] = new_doorbell(1);
}

static void make_executor(uint32_t i)
{
    struct tg_error why = {0};
    struct tg_executor_options o = {.host = &host,
                                    .backend = "cpu",
                                    .number = i,
                                    .instances = r.list,
                                    .instance_count = 2,
                                    .lanes = &r.lanes[i],
                                    .lane_count = 1,
                                    .worker_count = 1,
                                    .doorbell = r.bells[i],
                                    .workers = &r.worker,
                                    .cpu = -1};
    cr_assert_eq(tg_executor_create(&o, &r.executors[i], &why), 0, "%s", why.message);
}

static void put(uint32_t i, uint32_t n)
{
    uint32_t first = 0;
    cr_assert_eq(tg_lane_claim(r.lanes[i], n, &first), 0);
    for (uint32_t k = 0; k < n; k++)
        tg_lane_row(r.lanes[i], first + k)->deadline_ns = UINT64_MAX;
    tg_lane_publish(r.lanes[i]);
    tg_doorbell_ring(r.bells[i], 0, i);
}

Test(executor_place, each_serves_its_own_and_rings_on_its_own_line)
{
    uint64_t wake_ns = UINT64_MAX;
    cr_assert_eq(tg_arena_init(&r.arena, 1u << 20, TG_ARENA_PRIVATE), 0);
    r.worker = new_doorbell(2);
    for (uint32_t i = 0; i < 2; i++)
        make_instance(i);
    for (uint32_t i = 0; i < 2; i++)
        make_executor(i);
    put(0, 3);
    put(1, 5);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(tg_executor_turn(r.executors[i], test_now_ns(), &wake_ns));
        cr_assert_eq(r.counts[i], i ? 5 : 3);
        cr_assert_eq(tg_doorbell_take(r.worker, i, 0), UINT64_C(1) << i);
        cr_assert_eq(tg_doorbell_take(r.worker, !i, 0), 0);
    }
    cr_assert(r.counts[0] == 3 && r.counts[1] == 5);
    for (uint32_t i = 0; i < 2; i++)
        tg_executor_destroy(r.executors[i]);
    tg_arena_finish(&r.arena);
}

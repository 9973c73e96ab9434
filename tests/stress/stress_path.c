/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole path but the network: two workers with tasks of their own feed one executor thread whose device
 * computes on two more threads. Requests come in bursts, some with deadlines too short to keep, some
 * cancelled at any moment; admission is tight, so that workers wait for one another. Each result is checked,
 * and in the end every account must be empty and every counter reconcile.
 *
 * With devices, tasks are spread over as many executor threads, while somebody says of one after the other that it is out
 * of service or being replaced.
 *
 * stress_path DEVICES [requests per worker [seed]]        DEVICES 0: the cpu's executor alone
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/task/task.h"
#include "tests/support/stress.h"

#define WORKERS 2
#define DEVICES_MAX 2
#define EXECUTORS_MAX (DEVICES_MAX + 1)
#define OPEN_MAX 32 /* requests a worker keeps open */
#define LANE_ROWS 64
#define ROWS_PER_TASK_MAX 4
#define CONCURRENT 56
#define BURST_MAX 8

struct worker {
    pthread_t thread;
    struct tasks ts;
    struct task_crowd crowd;
    struct tg_arena arena;
    struct timer_wheel wheel;
    struct buffer_pool buffers;
    struct metrics metrics;
    struct task_lanes lanes[EXECUTORS_MAX * TG_PRIORITIES];
    struct spread spread;
    struct task_door door;
    struct task *open[OPEN_MAX], *ready[OPEN_MAX];
    uint32_t open_count, ready_count;
    uint64_t random, requests, offered, done, timeouts, refused, failed, cancelled, rows;
};

static struct worker workers[WORKERS];
static struct admission admission;
static struct tg_arena shared;
static uint32_t devices;
static struct tg_lane *lanes[EXECUTORS_MAX][WORKERS * TG_PRIORITIES];
static struct tg_doorbell *worker_bells[WORKERS], *executor_bells[EXECUTORS_MAX];
static struct tg_pace *pace[EXECUTORS_MAX];
static struct spread_load *loads;
static _Atomic uint32_t workers_left = WORKERS;

/* ---- the runner: the payload is a number, each of its rows is answered with a function of it ------- */

static uint64_t answer_to(uint64_t number)
{
    return stress_mix(number);
}

static void mix_shape(void *self, struct tg_shape *shape)
{
    *shape = (struct tg_shape){.size_classes = 1, .in_bytes = {64}, .out_bytes = {64}, .max_batch = 32};
    shape->rows_per_task_max = ROWS_PER_TASK_MAX;
    shape->row_ns = 20000; /* said to be dear, so that the device divides batches among its threads */
}

static enum tg_status mix_decode(void *self, const struct tg_request *req, struct tg_rows *rows,
                                 struct tg_error *err)
{
    uint64_t number = (uint64_t)req->payload->i64;
    uint32_t count = 1 + (uint32_t)(number % ROWS_PER_TASK_MAX);
    enum tg_status s = tg_rows_claim(rows, count, sizeof(number));
    for (uint32_t i = 0; s == TG_OK && i < count; i++) {
        uint64_t word = number + i;
        memcpy(tg_rows_in(rows, i), &word, sizeof(word));
    }
    return s;
}

static int mix_run_batch(void *self, struct tg_batch *b)
{
    for (uint32_t s = 0; s < b->segment_count; s++)
        for (uint32_t r = 0; r < b->segments[s].count; r++) {
            uint64_t word;
            memcpy(&word, (const char *)b->segments[s].in + (size_t)r * b->in_stride, sizeof(word));
            word = answer_to(word);
            memcpy((char *)b->segments[s].out + (size_t)r * b->out_stride, &word, sizeof(word));
            b->segments[s].rows[r].out_len = sizeof(word);
        }
    return 0;
}

static const struct tg_runner mix = {.abi = TG_RUNNER_ABI,
                                     .size = sizeof(mix),
                                     .type = "mix",
                                     .shape = mix_shape,
                                     .decode = mix_decode,
                                     .run_batch = mix_run_batch};

static struct tg_instance instance = {.runner = &mix, .name = "mix", .max_batch = 16, .streams = 3};
static struct tg_instance *const instances[] = {&instance};

/* ---- the door -------------------------------------------------------------------------------------- */

static void on_ready(const struct task_door *door, struct task *t)
{
    struct worker *w = TG_CONTAINER_OF(door, struct worker, door);
    STRESS_CHECK(w->ready_count < OPEN_MAX);
    w->ready[w->ready_count++] = t;
}

static void offer_body(struct worker *w, struct task *t, struct tg_str body)
{
    struct tg_json_node nodes[4];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error err;
    STRESS_CHECK(tg_json_parse(&doc, body.ptr, body.len, &err) == 0);
    if (!task_admit(&w->ts, t, body))
        return;
    task_start(&w->ts, t, &doc, doc.nodes, body);
    if (t->state == TASK_RUNNING)
        w->rows += t->rows.count;
}

static void on_resume(void *context, struct task *t)
{
    offer_body(context, t, (struct tg_str){t->body->data, t->body->len});
}

static void offer(struct worker *w)
{
    char body[32];
    int n = snprintf(body, sizeof(body), "%llu", (unsigned long long)(stress_random(&w->random) >> 20));
    uint64_t patience_us = stress_below(&w->random, 4) ? 10000000 : stress_below(&w->random, 20000);
    struct task *t = task_open(&w->ts, &w->door, 0);
    STRESS_CHECK(t != NULL);
    t->minor = 1;
    t->priority = (enum tg_priority)stress_below(&w->random, TG_PRIORITIES);
    t->instance = &instance;
    t->intent_slot = 0;
    t->counted = true;
    t->deadline_ns = t->arrival_ns + patience_us * NS_PER_US;
    w->open[w->open_count++] = t;
    w->offered++;
    offer_body(w, t, (struct tg_str){body, (size_t)n});
}

static void forget(struct worker *w, struct task *t)
{
    for (uint32_t i = 0; i < w->open_count; i++)
        if (w->open[i] == t)
            w->open[i--] = w->open[--w->open_count];
    for (uint32_t i = 0; i < w->ready_count; i++)
        if (w->ready[i] == t)
            w->ready[i--] = w->ready[--w->ready_count];
    task_close(&w->ts, t);
}

static void check_rows(const struct task *t)
{
    for (uint32_t i = 0; i < t->rows.count; i++) {
        uint64_t in, out;
        memcpy(&in, tg_rows_in(&t->rows, i), sizeof(in));
        memcpy(&out, tg_rows_out(&t->rows, i), sizeof(out));
        STRESS_CHECK(out == answer_to(in) && tg_rows_row(&t->rows, i)->task == t->handle);
    }
}

/* Some doors answer late, and some clients are gone by then. */
static bool answer_some(struct worker *w)
{
    bool any = false;
    for (uint32_t i = w->ready_count; i > 0; i--) {
        struct task *t = w->ready[i - 1];
        if (w->offered < w->requests && stress_below(&w->random, 4) == 0)
            continue;
        if (t->status == TG_OK)
            check_rows(t);
        w->done += t->status == TG_OK;
        w->timeouts += t->status == TG_TIMEOUT;
        w->refused += t->status == TG_CAPACITY;
        w->failed += t->status != TG_OK && t->status != TG_TIMEOUT && t->status != TG_CAPACITY;
        forget(w, t);
        any = true;
    }
    return any;
}

static void cancel_one(struct worker *w)
{
    struct task *t = w->open[stress_below(&w->random, w->open_count)];
    w->cancelled++;
    forget(w, t);
}

/* ---- the worker ------------------------------------------------------------------------------------ */

static void on_timer(void *context, struct timer *t)
{
    task_timer_fired(context, t);
}

static bool turn(struct worker *w)
{
    w->ts.now_ns = clock_now_ns();
    timer_wheel_advance(&w->wheel, w->ts.now_ns, on_timer, &w->ts);
    tasks_retry(&w->ts);
    tasks_publish(&w->ts);
    bool moved = tasks_reap(&w->ts);
    moved |= answer_some(w);
    for (uint32_t n = stress_below(&w->random, BURST_MAX); n > 0 && w->open_count < OPEN_MAX; n--)
        if (w->offered < w->requests) {
            offer(w);
            moved = true;
        }
    if (w->open_count > 0 && stress_below(&w->random, 24) == 0)
        cancel_one(w);
    tasks_publish(&w->ts);
    return moved;
}

static void sleep_for_news(struct worker *w)
{
    int64_t token = tg_doorbell_arm(w->ts.doorbell);
    if (token < 0)
        return;
    uint64_t now = clock_now_ns(), next = timer_wheel_next_ns(&w->wheel);
    if (!tasks_have_room(&w->ts) && w->ready_count == 0)
        tg_doorbell_wait(w->ts.doorbell, token,
                         next == UINT64_MAX ? 50 * NS_PER_MS
                         : next > now       ? next - now
                                            : 0);
    tg_doorbell_disarm(w->ts.doorbell);
}

/* Rows of cancelled tasks may still be on the device. */
static bool rows_out(const struct worker *w)
{
    uint32_t first = (uint32_t)(w - workers) * TG_PRIORITIES;
    for (uint32_t n = 0; n <= devices; n++)
        for (uint32_t p = 0; p < TG_PRIORITIES; p++)
            if (lanes[n][first + p] && tg_lane_used(lanes[n][first + p]) > 0)
                return true;
    return false;
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    w->ts.now_ns = clock_now_ns();
    timer_wheel_init(&w->wheel, w->ts.now_ns);
    while (w->offered < w->requests || w->open_count > 0 || rows_out(w)) {
        if (turn(w))
            stress_progress();
        else
            sleep_for_news(w);
    }
    atomic_fetch_sub_explicit(&workers_left, 1, memory_order_relaxed);
    return NULL;
}

/* One of two devices is out or waited for, or neither is; never both. */
static void *flip_main(void *argument)
{
    uint64_t random = *(uint64_t *)argument;
    while (atomic_load_explicit(&workers_left, memory_order_relaxed) > 0) {
        uint32_t bit = stress_below(&random, 3) << 1, out = stress_below(&random, 2) ? bit : 0;
        atomic_store_explicit(&admission.devices_out, out, memory_order_relaxed);
        atomic_store_explicit(&admission.devices_waiting, bit, memory_order_relaxed);
        usleep(200);
    }
    return NULL;
}

/* ---- putting it together --------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 3))) void quiet(enum tg_log_level level, const char *format, ...)
{
}

static const struct tg_host host = {
    .abi = TG_RUNNER_ABI, .size = sizeof(host), .log = quiet, .now_ns = clock_now_ns};

static struct tg_doorbell *new_doorbell(uint32_t lines)
{
    return tg_doorbell_init(tg_arena_alloc(&shared, tg_doorbell_bytes(lines), TG_CACHE_SEPARATION), lines,
                            -1);
}

static void make_link(uint32_t worker, uint32_t number)
{
    struct worker *w = &workers[worker];
    struct tg_lane **mine = &lanes[number][worker * TG_PRIORITIES];
    for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
        struct tg_lane_options o = {.rows = LANE_ROWS, .in_stride = 64, .out_stride = 64, .bit = p};
        o.worker = (uint16_t)worker;
        o.priority = (uint8_t)p;
        o.executor = (uint8_t)number;
        mine[p] = w->lanes[number * TG_PRIORITIES + p].by_class[0] = tg_lane_create(&shared, &o);
        STRESS_CHECK(mine[p] != NULL);
    }
    w->ts.links[number] = (struct task_link){.doorbell = executor_bells[number], .by_bit = mine, .bit_words = 1};
}

static void make_links(uint32_t worker)
{
    struct worker *w = &workers[worker];
    struct spread_options o = {loads, worker, WORKERS, devices + 1, 1, pace};
    w->ts.link_count = devices + 1;
    for (uint32_t n = devices > 0; n <= devices; n++)
        make_link(worker, n);
    if (devices < 2)
        return;
    STRESS_CHECK(spread_init(&w->spread, &w->arena, &o) == 0);
    w->ts.spread = &w->spread;
}

static void worker_init(uint32_t index, uint64_t seed, uint64_t requests)
{
    struct worker *w = &workers[index];
    w->random = seed + index;
    w->requests = requests;
    STRESS_CHECK(tg_arena_init(&w->arena, 4u << 20, TG_ARENA_PRIVATE) == 0);
    STRESS_CHECK(buffer_pool_init(&w->buffers, &w->arena, 1000, 0, OPEN_MAX) == 0);
    STRESS_CHECK(tg_pool_init(&w->ts.pool, &w->arena, sizeof(struct task), OPEN_MAX) == 0);
    w->metrics.tasks = tg_arena_alloc(&w->arena, 2 * sizeof(*w->metrics.tasks), TG_CACHE_SEPARATION);
    STRESS_CHECK(w->metrics.tasks != NULL);
    make_links(index);
    admission.workers[index] = w->ts.doorbell = worker_bells[index] = new_doorbell(devices + 1);
    w->door.ready = on_ready;
    w->ts.wheel = &w->wheel;
    w->ts.buffers = &w->buffers;
    w->ts.admission = &admission;
    w->ts.metrics = &w->metrics;
    w->ts.resume = on_resume;
    w->ts.context = w;
    w->ts.worker = index;
    w->ts.instances = instances;
    w->ts.instance_count = 1;
    w->ts.lanes = w->lanes;
    w->ts.crowds = &w->crowd;
}

static struct tg_executor *make_executor(uint32_t number)
{
    struct tg_executor *ex = NULL;
    struct tg_error why = {0};
    struct tg_executor_options o = {
        .host = &host,
        .backend = "cpu",
        .threads = 2,
        .number = number,
        .pace = pace[number],
        .instances = instances,
        .instance_count = 1,
        .lanes = lanes[number],
        .lane_count = TG_ARRAY_SIZE(lanes[number]),
        .worker_count = WORKERS,
        .threaded = true,
        .doorbell = executor_bells[number],
        .workers = worker_bells,
        .spin_us = 20,
        .cpu = -1,
    };
    STRESS_CHECK(tg_executor_create(&o, &ex, &why) == 0);
    STRESS_CHECK(tg_executor_start(ex) == 0);
    return ex;
}

/* ---- the reckoning --------------------------------------------------------------------------------- */

static void check_worker(const struct worker *w)
{
    STRESS_CHECK(w->offered == w->requests);
    STRESS_CHECK(w->done + w->timeouts + w->refused + w->cancelled == w->offered && w->failed == 0);
    STRESS_CHECK(tg_pool_used(&w->ts.pool) == 0 && w->wheel.armed == 0 && w->ts.waiting_count == 0);
    for (uint32_t c = 0; c < w->buffers.class_count; c++)
        STRESS_CHECK(w->buffers.classes[c].used == 0);
    printf("worker: %llu requests: %llu done, %llu timed out, %llu refused, %llu cancelled; %llu waited\n",
           (unsigned long long)w->offered, (unsigned long long)w->done, (unsigned long long)w->timeouts,
           (unsigned long long)w->refused, (unsigned long long)w->cancelled,
           (unsigned long long)atomic_load_explicit(&w->metrics.counters[METRIC_TASKS_WAITED],
                                                    memory_order_relaxed));
}

static uint64_t check_executor(const struct tg_executor *ex)
{
    struct tg_executor_stats stats;
    tg_executor_stats(ex, &stats);
    STRESS_CHECK(stats.rows_failed == 0 && stats.faults == 0 && stats.inflight == 0);
    printf("executor: %llu rows in %llu batches, %llu expired, %llu sleeps\n", (unsigned long long)stats.rows,
           (unsigned long long)stats.batches, (unsigned long long)stats.rows_expired,
           (unsigned long long)stats.sleeps);
    STRESS_CHECK(stats.rows > 0);
    return stats.rows + stats.rows_expired;
}

static void check_all(struct tg_executor *const *executors)
{
    uint64_t rows = 0, done = 0, seen = 0;
    for (uint32_t n = 0; n <= devices; n++)
        seen += executors[n] ? check_executor(executors[n]) : 0;
    for (uint32_t i = 0; i < WORKERS; i++) {
        check_worker(&workers[i]);
        rows += workers[i].rows;
        done += workers[i].done;
        for (uint32_t n = 1; n <= devices && workers[i].ts.spread; n++)
            STRESS_CHECK(workers[i].spread.rows[n] == 0);
    }
    STRESS_CHECK(seen == rows);
    STRESS_CHECK(admission_active(&admission) == 0);
    STRESS_CHECK(done > 0);
}

static void make_shared(void)
{
    STRESS_CHECK(tg_arena_init(&shared, 4u << 20, TG_ARENA_SHARED) == 0);
    loads = tg_arena_alloc(&shared, WORKERS * sizeof(*loads), TG_CACHE_SEPARATION);
    for (uint32_t n = 0; n <= devices; n++) {
        executor_bells[n] = new_doorbell(WORKERS);
        pace[n] = n > 0 ? tg_arena_alloc(&shared, sizeof(*pace[n]), TG_CACHE_SEPARATION) : NULL;
    }
}

int main(int argc, char **argv)
{
    struct stress s = stress_begin(argc, argv, 1, 400000, 80000);
    struct tg_executor *executors[EXECUTORS_MAX] = {NULL};
    pthread_t flipper;
    devices = argc > 1 ? (uint32_t)atoi(argv[1]) : 0;
    STRESS_CHECK(devices <= DEVICES_MAX);
    mix_shape(NULL, &instance.shape);
    instance.executors = ((1u << devices) - 1) << 1;
    atomic_store_explicit(&admission.max_concurrent, CONCURRENT, memory_order_relaxed);
    atomic_store_explicit(&admission.wait_ms, 20, memory_order_relaxed);
    admission.worker_count = WORKERS;
    make_shared();
    for (uint32_t i = 0; i < WORKERS; i++)
        worker_init(i, s.seed, s.count);
    for (uint32_t n = devices > 0; n <= devices; n++)
        executors[n] = make_executor(n);
    for (uint32_t i = 0; i < WORKERS; i++)
        STRESS_CHECK(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
    if (devices > 1)
        STRESS_CHECK(pthread_create(&flipper, NULL, flip_main, &s.seed) == 0);
    for (uint32_t i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    if (devices > 1)
        pthread_join(flipper, NULL);
    for (uint32_t n = 0; n <= devices; n++)
        if (executors[n])
            tg_executor_stop(executors[n]);
    check_all(executors);
    for (uint32_t n = 0; n <= devices; n++)
        tg_executor_destroy(executors[n]);
    for (uint32_t i = 0; i < WORKERS; i++)
        tg_arena_finish(&workers[i].arena);
    tg_arena_finish(&shared);
    return 0;
}

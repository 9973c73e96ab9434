/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An executor in a process of its own, killed at any instant, thousands of times, while this process plays the worker
 * that feeds it. Every row must come back once: right, or expired, or refused as poison after two deaths at least.
 *
 * stress-executor-killed kill [lives [seed]]    under load, by the clock
 * stress-executor-killed step [rounds [seed]]   single-stepped to some instruction: also where the clock hardly ever hits
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "gpu/executor.h"
#include "tests/support/stress.h"

#define LANES 3
#define ROWS 64
#define ROW_BYTES 64
#define LIFE_NS_MAX 300000
#define BATCH_NS 5000
#define STEPS_MAX 3000
#define SPIN_US 1000000 /* one that is stepped must not sleep: nobody would wake it */
#define GRACE_NS 50000000ull /* for a life to begin */

static struct tg_arena arena;
static struct tg_lane *lanes[LANES];
static struct tg_doorbell *bell, *worker;
static struct tg_executor_life *life;
static uint64_t expected[LANES][ROWS]; /* the row's number, 0: none is out there */
static uint64_t deaths_before[LANES][ROWS];
static bool stepping;
static uint64_t put, deaths, back[TG_STATUS_COUNT];

/* ---- the runner: out = 3 * in + 1 -------------------------------------------------------------------- */

static void shape(void *self, struct tg_shape *s)
{
    (void)self;
    *s = (struct tg_shape){
        .size_classes = 1, .in_bytes = {64}, .out_bytes = {64}, .rows_per_task_max = 1, .max_batch = 32};
}

/* Some microseconds a batch, so that deaths fall into batches as well as between them. */
static void take_time(void)
{
    uint64_t end = stress_now_ns() + BATCH_NS;
    while (stress_now_ns() < end)
        continue;
}

static int run_batch(void *self, struct tg_batch *b)
{
    (void)self;
    if (!stepping)
        take_time();
    for (uint32_t s = 0; s < b->segment_count; s++)
        for (uint32_t r = 0; r < b->segments[s].count; r++) {
            uint64_t word;
            memcpy(&word, (const char *)b->segments[s].in + (size_t)r * b->in_stride, sizeof(word));
            word = 3 * word + 1;
            memcpy((char *)b->segments[s].out + (size_t)r * b->out_stride, &word, sizeof(word));
            b->segments[s].rows[r].out_len = sizeof(word);
        }
    return 0;
}

static const struct tg_runner runner = {
    .abi = TG_RUNNER_ABI, .size = sizeof(runner), .type = "mirror", .shape = shape, .run_batch = run_batch};

/* ---- the executor -------------------------------------------------------------------------------------- */

static __attribute__((format(printf, 2, 3))) void quiet(enum tg_log_level level, const char *format, ...)
{
    (void)level, (void)format;
}

static const struct tg_host host = {
    .abi = TG_RUNNER_ABI, .size = sizeof(host), .log = quiet, .now_ns = stress_now_ns};

/* From here on the parent says how far we go. */
static void stop_for_tracer(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(77);
    raise(SIGSTOP);
}

/* @stop_at: 0 nowhere, 1 before taking over, 2 before the first turn */
static _Noreturn void executor_main(uint32_t stop_at)
{
    struct tg_instance instance = {.runner = &runner, .name = "mirror", .max_batch = 32, .streams = 2};
    struct tg_instance *instances[] = {&instance};
    struct tg_executor_options o = {
        .host = &host,
        .backend = "cpu",
        .instances = instances,
        .instance_count = 1,
        .lanes = lanes,
        .lane_count = LANES,
        .worker_count = 1,
        .threaded = true,
        .doorbell = bell,
        .workers = &worker,
        .cpu = -1,
        .spin_us = stop_at ? SPIN_US : 0,
        .life = life,
    };
    struct tg_executor *ex;
    struct tg_error why;
    shape(NULL, &instance.shape);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (stop_at == 1)
        stop_for_tracer();
    STRESS_CHECK(tg_executor_create(&o, &ex, &why) == 0);
    if (stop_at == 2)
        stop_for_tracer();
    executor_run(ex);
    _exit(0);
}

static pid_t give_birth(uint32_t stop_at)
{
    pid_t child = fork();
    STRESS_CHECK(child >= 0);
    if (child == 0)
        executor_main(stop_at);
    return child;
}

/* ---- the worker ---------------------------------------------------------------------------------------- */

static void put_rows(uint32_t l, uint32_t n, uint64_t *random)
{
    struct tg_lane *lane = lanes[l];
    uint32_t cursor;
    for (; n > 0 && tg_lane_claim(lane, 1, &cursor) == 0; n--) {
        struct tg_row *row = tg_lane_row(lane, cursor);
        row->task = ++put;
        row->arrival_ns = stress_now_ns();
        row->deadline_ns = stress_below(random, 8) == 0 ? 1 : UINT64_MAX;
        row->in_len = sizeof(put);
        row->marks = 0;
        memcpy(tg_lane_in(lane, cursor), &put, sizeof(put));
        memset(tg_lane_out(lane, cursor), 0, ROW_BYTES);
        STRESS_CHECK(expected[l][cursor & lane->mask] == 0);
        expected[l][cursor & lane->mask] = put;
        deaths_before[l][cursor & lane->mask] = deaths;
    }
    tg_lane_publish(lane);
    tg_doorbell_ring(bell, 0, lane->bit);
}

static void check_row(uint32_t l, uint32_t cursor)
{
    struct tg_lane *lane = lanes[l];
    const struct tg_row *row = tg_lane_row(lane, cursor);
    uint64_t *number = &expected[l][cursor & lane->mask], word;
    memcpy(&word, tg_lane_out(lane, cursor), sizeof(word));
    STRESS_CHECK(*number != 0 && *number == row->task); /* else it is back twice */
    STRESS_CHECK(row->status == TG_OK || row->status == TG_TIMEOUT || row->status == TG_POISON);
    STRESS_CHECK(row->status != TG_OK || (word == 3 * *number + 1 && row->out_len == sizeof(word)));
    STRESS_CHECK(row->status != TG_TIMEOUT || row->deadline_ns == 1);
    STRESS_CHECK(row->status != TG_POISON || deaths - deaths_before[l][cursor & lane->mask] >= 2);
    *number = 0;
    back[row->status]++;
    tg_lane_retire(lane, cursor);
}

/* Only lanes that rang, as a worker does: an answer that nobody rings for would be lost to it. */
static void reap(void)
{
    uint64_t bits = tg_doorbell_take(worker, 0, 0);
    for (; bits; bits &= bits - 1) {
        uint32_t l = (uint32_t)__builtin_ctzll(bits), cursor;
        while (tg_lane_reap(lanes[l], &cursor, 1) == 1)
            check_row(l, cursor);
    }
}

static void work_until(uint64_t end_ns, uint64_t *random)
{
    while (stress_now_ns() < end_ns) {
        put_rows(stress_below(random, LANES), 1 + stress_below(random, 16), random);
        reap();
    }
}

static uint64_t total_back(void)
{
    return back[TG_OK] + back[TG_TIMEOUT] + back[TG_POISON];
}

/* A life counts from its first answer, or is cut short before: it may still be on its way out of fork(). */
static void one_life(uint64_t *random)
{
    pid_t child = give_birth(0);
    uint64_t grace = stress_now_ns() + GRACE_NS, before = total_back();
    bool short_lived = stress_below(random, 8) == 0;
    int status;
    while (!short_lived && stress_now_ns() < grace && total_back() == before)
        work_until(stress_now_ns() + 1000, random);
    work_until(stress_now_ns() + stress_below(random, LIFE_NS_MAX), random);
    STRESS_CHECK(kill(child, SIGKILL) == 0);
    STRESS_CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    deaths++;
    stress_progress();
}

/* The last one may live, and must bring home all that its predecessors left. Nothing but a ring ends our sleep. */
static void last_life(int64_t token)
{
    pid_t child = give_birth(0);
    int status;
    while (total_back() < put) {
        uint64_t before = total_back();
        if (token >= 0)
            tg_doorbell_wait(worker, token, UINT64_MAX);
        tg_doorbell_disarm(worker);
        reap();
        if (total_back() > before)
            stress_progress();
        token = tg_doorbell_arm(worker);
    }
    tg_doorbell_disarm(worker);
    atomic_store_explicit(&life->stop, 1, memory_order_release);
    tg_doorbell_wake(bell);
    STRESS_CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void check_ends(void)
{
    for (uint32_t l = 0; l < LANES; l++) {
        STRESS_CHECK(tg_lane_out_count(lanes[l]) == 0 && tg_lane_ready(lanes[l]) == 0 && tg_lane_used(lanes[l]) == 0);
        for (uint32_t i = 0; i < ROWS; i++)
            STRESS_CHECK(expected[l][i] == 0);
    }
}

static struct tg_doorbell *new_doorbell(void)
{
    void *memory = tg_arena_alloc(&arena, tg_doorbell_bytes(1), TG_CACHE_SEPARATION);
    STRESS_CHECK(memory != NULL);
    return tg_doorbell_init(memory, 1, -1);
}

static void prepare(void)
{
    STRESS_CHECK(tg_arena_init(&arena, 1u << 20, TG_ARENA_SHARED) == 0);
    for (uint32_t l = 0; l < LANES; l++) {
        struct tg_lane_options o = {.rows = ROWS, .in_stride = ROW_BYTES, .out_stride = ROW_BYTES, .recoverable = true};
        o.bit = l;
        o.priority = (uint8_t)l;
        lanes[l] = tg_lane_create(&arena, &o);
        STRESS_CHECK(lanes[l] != NULL);
    }
    bell = new_doorbell();
    worker = new_doorbell();
    life = tg_arena_alloc(&arena, sizeof(*life), TG_CACHE_SEPARATION);
    STRESS_CHECK(life != NULL);
}

/* ---- by the instruction ---------------------------------------------------------------------------------- */

static bool stopped(pid_t child)
{
    int status;
    STRESS_CHECK(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        puts("  tracing is not allowed here");
        exit(77);
    }
    return WIFSTOPPED(status);
}

/* So many instructions of taking over, or of the first turns. */
static void short_life(uint64_t *random)
{
    pid_t child = give_birth(1 + stress_below(random, 2));
    uint32_t steps = stress_below(random, STEPS_MAX);
    bool alive = stopped(child);
    for (; alive && steps > 0; steps--)
        alive = ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) == 0 && stopped(child);
    STRESS_CHECK(alive);
    kill(child, SIGKILL);
    STRESS_CHECK(!stopped(child));
    deaths++;
    stress_progress();
}

/* Asleep all the while, so that a wake-up lost by one that died is missed by the last. */
static void one_round(uint64_t *random)
{
    for (uint32_t l = 0; l < LANES; l++)
        put_rows(l, stress_below(random, 6), random);
    int64_t token = tg_doorbell_arm(worker);
    for (uint32_t lives = stress_below(random, 4); lives > 0; lives--)
        short_life(random);
    last_life(token);
    atomic_store_explicit(&life->stop, 0, memory_order_relaxed);
    check_ends();
}

int main(int argc, char **argv)
{
    stepping = argc > 1 && strcmp(argv[1], "step") == 0;
    struct stress s = stress_begin(argc, argv, 1, stepping ? 80 : 2000, stepping ? 20 : 200);
    prepare();
    for (uint64_t i = 0; i < s.count; i++)
        stepping ? one_round(&s.seed) : one_life(&s.seed);
    last_life(tg_doorbell_arm(worker));
    check_ends();
    printf("  %llu deaths; %llu rows: %llu ran, %llu expired, %llu poisoned; %llu were run again\n",
           (unsigned long long)deaths, (unsigned long long)put, (unsigned long long)back[TG_OK],
           (unsigned long long)back[TG_TIMEOUT], (unsigned long long)back[TG_POISON],
           (unsigned long long)atomic_load_explicit(&life->stats.rows_requeued, memory_order_relaxed));
    return 0;
}

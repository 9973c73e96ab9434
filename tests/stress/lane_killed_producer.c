/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane between two processes in a shared arena, mapped at different addresses. The producer is killed at
 * any instant, also half way through a row; the consumer must see whole rows only, in order, up to some row
 * and nothing behind it.
 *
 * lane_killed_producer [kills [seed]]
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/support/lane_fixture.h"
#include "tests/support/row_content.h"
#include "tg/doorbell.h"

static struct tg_arena arena;
static struct tg_lane *lane;
static struct tg_doorbell *bell;

/* The same object where the child maps the arena. */
static void *seen_from(char *base, void *object)
{
    return base + ((char *)object - arena.base);
}

static void retire_all(struct tg_lane *l, uint64_t *sequence)
{
    uint32_t cursors[16], n;
    while ((n = tg_lane_reap(l, cursors, TG_ARRAY_SIZE(cursors))) > 0)
        for (uint32_t i = 0; i < n; i++) {
            STRESS_CHECK(row_is_answered(l, cursors[i], (*sequence)++));
            tg_lane_retire(l, cursors[i]);
        }
}

static _Noreturn void produce_for_ever(struct tg_lane *l, struct tg_doorbell *db, uint64_t random)
{
    uint64_t sent = 0, answered = 0;
    for (;;) {
        uint32_t n = 1 + stress_below(&random, 8), first;
        while (tg_lane_claim(l, n, &first) != 0)
            retire_all(l, &answered);
        for (uint32_t i = 0; i < n; i++)
            row_fill(l, first + i, sent++);
        tg_lane_publish(l);
        tg_doorbell_ring(db, 0, 0);
    }
}

/* Publishes three rows, then dies in the middle of the fourth. */
static _Noreturn void produce_three_and_a_half(struct tg_lane *l, struct tg_doorbell *db)
{
    uint32_t first;
    STRESS_CHECK(tg_lane_claim(l, 3, &first) == 0);
    for (uint32_t i = 0; i < 3; i++)
        row_fill(l, first + i, i);
    tg_lane_publish(l);
    tg_doorbell_ring(db, 0, 0);
    STRESS_CHECK(tg_lane_claim(l, 1, &first) == 0);
    tg_lane_row(l, first)->task = 3;
    row_words_fill(tg_lane_in(l, first), l->in_stride / 2, stress_mix(3));
    kill(getpid(), SIGKILL);
    _exit(1);
}

/* The child: lane and bell through a mapping of its own, the inherited one taken away. */
static _Noreturn void child_main(bool half, uint64_t random)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    char *base = mmap(NULL, arena.size, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd, 0);
    STRESS_CHECK(base != MAP_FAILED);
    struct tg_lane *l = seen_from(base, lane);
    struct tg_doorbell *db = seen_from(base, bell);
    munmap(arena.base, arena.size);
    if (half)
        produce_three_and_a_half(l, db);
    produce_for_ever(l, db, random);
}

static uint64_t consume_ready(uint64_t sequence)
{
    uint32_t n = tg_lane_ready(lane);
    STRESS_CHECK(n <= lane->mask + 1);
    uint32_t first = tg_lane_take(lane, n);
    for (uint32_t i = 0; i < n; i++) {
        STRESS_CHECK(row_is_whole(lane, first + i, sequence + i));
        row_answer(lane, first + i);
    }
    tg_lane_complete(lane, first, n);
    return sequence + n;
}

/* Sleeps as a real consumer does; the limit is for a producer killed between publishing and ringing. */
static void consumer_sleep(void)
{
    int64_t token = tg_doorbell_arm(bell);
    if (token < 0)
        return;
    tg_doorbell_wait(bell, token, 1000000);
    tg_doorbell_disarm(bell);
}

/* A life counts from its first row: before that the child may still be on its way out of fork(). */
static uint64_t consume_for(uint64_t ns)
{
    uint64_t sequence = 0, end = 0;
    while (sequence == 0 || stress_now_ns() < end) {
        if (tg_doorbell_take(bell, 0, 0) == 0)
            consumer_sleep();
        if (sequence == 0)
            end = stress_now_ns() + ns;
        sequence = consume_ready(sequence);
    }
    return sequence;
}

static void begin_again(uint64_t *random)
{
    memset(tg_lane_row(lane, 0), 0, (lane->mask + 1) * sizeof(struct tg_row));
    lane_start_at(lane, UINT32_MAX - stress_below(random, 100), UINT32_MAX - stress_below(random, 100));
    tg_doorbell_take(bell, 0, 0);
}

static void reap_child(pid_t child)
{
    int status;
    STRESS_CHECK(waitpid(child, &status, 0) == child);
    STRESS_CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Returns the rows seen. */
static uint64_t one_life(bool half, uint64_t *random)
{
    begin_again(random);
    pid_t child = fork();
    STRESS_CHECK(child >= 0);
    if (child == 0)
        child_main(half, stress_random(random));
    uint64_t seen = 0;
    if (!half) {
        seen = consume_for(stress_below(random, 3000000));
        STRESS_CHECK(kill(child, SIGKILL) == 0);
    }
    reap_child(child);
    uint64_t last = consume_ready(seen);
    STRESS_CHECK(!half || last == 3);
    STRESS_CHECK(tg_lane_ready(lane) == 0);
    stress_progress();
    return last;
}

int main(int argc, char **argv)
{
    struct stress s = stress_begin(argc, argv, 0, 300, 60);
    const struct tg_lane_options o = {.rows = 64, .in_stride = 1024, .out_stride = 64};
    STRESS_CHECK(tg_arena_init(&arena, tg_lane_bytes(&o) + 16384, TG_ARENA_SHARED) == 0);
    lane = tg_lane_create(&arena, &o);
    void *memory = tg_arena_alloc(&arena, tg_doorbell_bytes(1), TG_CACHE_SEPARATION);
    STRESS_CHECK(lane != NULL && memory != NULL);
    bell = tg_doorbell_init(memory, 1, -1);
    uint64_t rows = 0, cut = 0;
    for (uint64_t i = 0; i <= s.count; i++) {
        rows += one_life(i == 0, &s.seed);
        cut += lane->claimed != atomic_load_explicit(&lane->published, memory_order_relaxed);
    }
    printf("  %llu whole rows; %llu of %llu producers died with rows begun and not published\n",
           (unsigned long long)rows, (unsigned long long)cut, (unsigned long long)s.count + 1);
    return 0;
}

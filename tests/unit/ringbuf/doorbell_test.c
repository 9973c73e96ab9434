/* SPDX-License-Identifier: Apache-2.0 */
/* The doorbell, step by step in one thread, and with a sleeper beside it. No check here depends on speed. */
#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "tg/doorbell.h"

#define LINES_MAX 5

/* Every test is a process of its own, so one doorbell each is enough. */
static struct tg_doorbell *make(uint32_t lines, int event_fd)
{
    static alignas(TG_CACHE_SEPARATION) char
        memory[sizeof(struct tg_doorbell) + LINES_MAX * sizeof(struct tg_doorbell_line)];
    cr_assert_leq(tg_doorbell_bytes(lines), sizeof(memory));
    memset(memory, 0xff, sizeof(memory));
    return tg_doorbell_init(memory, lines, event_fd);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t drained(int fd)
{
    uint64_t n = 0;
    return read(fd, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

Test(doorbell, starts_silent_and_awake)
{
    struct tg_doorbell *db = make(3, -1);
    for (uint32_t line = 0; line < 3; line++)
        for (uint32_t word = 0; word < TG_DOORBELL_WORDS; word++)
            cr_assert_eq(tg_doorbell_take(db, line, word), 0);
    cr_assert_eq(atomic_load_explicit(&db->asleep, memory_order_relaxed), 0);
    cr_assert_eq(tg_doorbell_arm(db), 0);
}

Test(doorbell, every_lane_of_every_line_has_its_own_bit)
{
    struct tg_doorbell *db = make(2, -1);
    for (uint32_t line = 0; line < 2; line++) {
        for (uint32_t lane = 0; lane < TG_DOORBELL_LANES; lane++) {
            cr_assert_not(tg_doorbell_ring(db, line, lane));
            for (uint32_t word = 0; word < TG_DOORBELL_WORDS; word++) {
                cr_assert_eq(tg_doorbell_take(db, 1 - line, word), 0);
                uint64_t expected = word == lane / 64 ? UINT64_C(1) << lane % 64 : 0;
                cr_assert_eq(tg_doorbell_take(db, line, word), expected);
            }
        }
    }
}

Test(doorbell, rings_gather_until_they_are_taken)
{
    struct tg_doorbell *db = make(1, -1);
    tg_doorbell_ring(db, 0, 3);
    tg_doorbell_ring(db, 0, 63);
    tg_doorbell_ring(db, 0, 3);
    cr_assert_eq(tg_doorbell_take(db, 0, 0), UINT64_C(1) << 63 | 8);
    cr_assert_eq(tg_doorbell_take(db, 0, 0), 0);
}

Test(doorbell, does_not_arm_while_any_line_has_news)
{
    struct tg_doorbell *db = make(5, -1);
    for (uint32_t line = 0; line < 5; line++) {
        for (uint32_t lane = 0; lane < TG_DOORBELL_LANES; lane += 17) {
            tg_doorbell_ring(db, line, lane);
            cr_assert_eq(tg_doorbell_arm(db), -EAGAIN);
            cr_assert_eq(atomic_load_explicit(&db->asleep, memory_order_relaxed), 0,
                         "it does not count as asleep");
            cr_assert_neq(tg_doorbell_take(db, line, lane / 64), 0);
            cr_assert_geq(tg_doorbell_arm(db), 0);
            tg_doorbell_disarm(db);
        }
    }
}

Test(doorbell, sends_a_wake_up_only_to_a_sleeper)
{
    struct tg_doorbell *db = make(1, -1);
    cr_assert_not(tg_doorbell_ring(db, 0, 0));
    tg_doorbell_take(db, 0, 0);
    cr_assert_geq(tg_doorbell_arm(db), 0);
    cr_assert(tg_doorbell_ring(db, 0, 0));
    tg_doorbell_disarm(db);
    tg_doorbell_take(db, 0, 0);
    cr_assert_not(tg_doorbell_ring(db, 0, 0));
}

Test(doorbell, one_producer_sends_one_wake_up_per_sleep)
{
    struct tg_doorbell *db = make(2, -1);
    cr_assert_geq(tg_doorbell_arm(db), 0);
    cr_assert(tg_doorbell_ring(db, 0, 5));
    cr_assert_not(tg_doorbell_ring(db, 0, 5));
    cr_assert_not(tg_doorbell_ring(db, 0, 6));
    cr_assert(tg_doorbell_ring(db, 1, 5), "another producer cannot know");
}

Test(doorbell, wait_returns_at_once_if_rung_after_arm)
{
    struct tg_doorbell *db = make(1, -1);
    int64_t token = tg_doorbell_arm(db);
    tg_doorbell_ring(db, 0, 9);
    tg_doorbell_wait(db, token, UINT64_MAX);
    tg_doorbell_disarm(db);
    cr_assert_eq(tg_doorbell_take(db, 0, 0), UINT64_C(1) << 9);
}

Test(doorbell, wait_returns_at_once_if_woken_after_arm)
{
    struct tg_doorbell *db = make(1, -1);
    int64_t token = tg_doorbell_arm(db);
    tg_doorbell_wake(db);
    tg_doorbell_wait(db, token, UINT64_MAX);
    tg_doorbell_disarm(db);
    cr_assert_eq(tg_doorbell_take(db, 0, 0), 0, "no lane was named");
}

Test(doorbell, tokens_survive_the_wake_up_count_wrapping_round)
{
    struct tg_doorbell *db = make(1, -1);
    atomic_store_explicit(&db->rings, UINT32_MAX, memory_order_relaxed);
    int64_t token = tg_doorbell_arm(db);
    cr_assert_eq(token, UINT32_MAX, "a token is never mistaken for an error");
    tg_doorbell_wake(db);
    tg_doorbell_wait(db, token, UINT64_MAX);
    tg_doorbell_disarm(db);
    cr_assert_eq(tg_doorbell_arm(db), 0);
}

Test(doorbell, wait_sleeps_no_shorter_than_its_time_out)
{
    struct tg_doorbell *db = make(1, -1);
    uint64_t begin = now_ns();
    tg_doorbell_wait(db, tg_doorbell_arm(db), 20000000);
    cr_assert_geq(now_ns() - begin, 20000000);
    tg_doorbell_disarm(db);
    begin = now_ns();
    tg_doorbell_wait(db, tg_doorbell_arm(db), 0);
    tg_doorbell_wait(db, tg_doorbell_arm(db), 1000000001);
    cr_assert_geq(now_ns() - begin, 1000000001, "seconds are carried over");
}

static void *sleep_until_lane_rings(void *arg)
{
    struct tg_doorbell *db = arg;
    uint64_t bits;
    while ((bits = tg_doorbell_take(db, 0, 1)) == 0) {
        int64_t token = tg_doorbell_arm(db);
        if (token < 0)
            continue;
        tg_doorbell_wait(db, token, UINT64_MAX);
        tg_doorbell_disarm(db);
    }
    return (void *)(uintptr_t)bits;
}

static void await_sleep(struct tg_doorbell *db)
{
    while (atomic_load_explicit(&db->asleep, memory_order_acquire) == 0)
        usleep(100);
    usleep(5000); /* most likely inside the futex by now; the outcome is the same if not */
}

Test(doorbell, a_sleeper_without_limit_is_woken_by_a_ring)
{
    struct tg_doorbell *db = make(1, -1);
    pthread_t sleeper;
    void *bits;
    cr_assert_eq(pthread_create(&sleeper, NULL, sleep_until_lane_rings, db), 0);
    await_sleep(db);
    tg_doorbell_wake(db);
    await_sleep(db);
    tg_doorbell_ring(db, 0, 64 + 11);
    pthread_join(sleeper, &bits);
    cr_assert_eq((uintptr_t)bits, UINT64_C(1) << 11);
}

Test(doorbell, an_event_fd_becomes_readable_when_a_sleeper_is_rung)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct tg_doorbell *db = make(2, fd);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    tg_doorbell_ring(db, 0, 1);
    cr_assert_eq(poll(&p, 1, 0), 0, "nobody sleeps");
    tg_doorbell_take(db, 0, 0);
    cr_assert_geq(tg_doorbell_arm(db), 0);
    cr_assert_eq(poll(&p, 1, 0), 0);
    cr_assert(tg_doorbell_ring(db, 0, 1));
    cr_assert(tg_doorbell_ring(db, 1, 1));
    cr_assert_eq(poll(&p, 1, 0), 1);
    cr_assert_eq(drained(fd), 2);
    tg_doorbell_disarm(db);
}

Test(doorbell, an_event_fd_is_written_by_wake_only_while_armed)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct tg_doorbell *db = make(1, fd);
    tg_doorbell_wake(db);
    cr_assert_eq(drained(fd), 0);
    cr_assert_geq(tg_doorbell_arm(db), 0);
    tg_doorbell_wake(db);
    cr_assert_eq(drained(fd), 1);
}

Test(doorbell, a_full_event_counter_neither_blocks_nor_disturbs_errno)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct tg_doorbell *db = make(1, fd);
    const uint64_t most = UINT64_MAX - 1;
    cr_assert_eq(write(fd, &most, sizeof(most)), (ssize_t)sizeof(most));
    cr_assert_geq(tg_doorbell_arm(db), 0);
    errno = 0;
    cr_assert(tg_doorbell_ring(db, 0, 0));
    cr_assert_eq(errno, 0);
    cr_assert_eq(drained(fd), most);
}

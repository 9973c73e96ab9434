/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No wake-up may be lost. Two producers each send one letter at a time to a consumer and sleep until it is
 * answered; a third thread nudges the consumer without naming a lane. Everybody sleeps without time-out, so a
 * lost wake-up is a hang, which the watchdog tells from work. Letters are plain memory: only the doorbell
 * orders them, and ThreadSanitizer would say so if it did not.
 *
 * doorbell_wakeup futex|event [letters [seed]]
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "tests/support/stress.h"
#include "tg/doorbell.h"

#define PRODUCERS 2

struct producer {
    uint32_t line;
    uint64_t letters, seed, sleeps;
    uint64_t letter, answer;     /* plain: handed over by the bells */
    struct tg_doorbell *answers; /* rung by the consumer */
};

static struct tg_doorbell *bell; /* rung by the producers and the nudger */
static struct producer producers[PRODUCERS];
static _Atomic uint64_t nudges, nudges_seen;
static _Atomic bool stop;

static struct tg_doorbell *new_bell(uint32_t lines, bool with_event)
{
    void *memory = aligned_alloc(TG_CACHE_SEPARATION, tg_doorbell_bytes(lines));
    int fd = with_event ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    STRESS_CHECK(memory != NULL && (!with_event || fd >= 0));
    return tg_doorbell_init(memory, lines, fd);
}

static void event_wait(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = poll(&p, 1, -1);
    STRESS_CHECK(n == 1 || (n < 0 && errno == EINTR));
    uint64_t count;
    STRESS_CHECK(n < 0 || read(fd, &count, sizeof(count)) == (ssize_t)sizeof(count));
}

static void bell_sleep(struct tg_doorbell *db, int64_t token)
{
    if (db->event_fd >= 0)
        event_wait(db->event_fd);
    else
        tg_doorbell_wait(db, token, UINT64_MAX);
    tg_doorbell_disarm(db);
}

/* Waste a random moment, so that rings fall into every part of the sleeper's handshake. */
static void dawdle(uint64_t *random)
{
    for (uint32_t n = stress_below(random, 400); n > 0; n--)
        __asm__ volatile("" ::: "memory");
}

static void *producer_main(void *arg)
{
    struct producer *p = arg;
    for (uint64_t i = 1; i <= p->letters; i++) {
        dawdle(&p->seed);
        p->letter = i;
        tg_doorbell_ring(bell, p->line, 64 * p->line + (uint32_t)(i % 64));
        while (tg_doorbell_take(p->answers, 0, 0) == 0) {
            int64_t token = tg_doorbell_arm(p->answers);
            if (token < 0)
                continue;
            bell_sleep(p->answers, token);
            p->sleeps++;
        }
        STRESS_CHECK(p->answer == ~i);
        stress_progress();
    }
    return NULL;
}

/* The nudge is a relaxed store: tg_doorbell_wake() alone must bring it to the consumer's look after arm. */
static void *nudger_main(void *arg)
{
    uint64_t random = *(uint64_t *)arg, nudge = 0;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        usleep(stress_below(&random, 200));
        atomic_store_explicit(&nudges, ++nudge, memory_order_relaxed);
        tg_doorbell_wake(bell);
        while (atomic_load_explicit(&nudges_seen, memory_order_relaxed) != nudge)
            usleep(10);
    }
    return NULL;
}

static bool answer_letters(uint64_t *open)
{
    bool any = false;
    for (uint32_t line = 0; line < PRODUCERS; line++) {
        struct producer *p = &producers[line];
        uint64_t bits = tg_doorbell_take(bell, line, line);
        if (bits == 0)
            continue;
        STRESS_CHECK(bits == UINT64_C(1) << p->letter % 64);
        p->answer = ~p->letter;
        *open -= p->letter == p->letters;
        tg_doorbell_ring(p->answers, 0, 0);
        any = true;
    }
    return any;
}

static bool see_nudges(void)
{
    uint64_t nudge = atomic_load_explicit(&nudges, memory_order_relaxed);
    if (nudge == atomic_load_explicit(&nudges_seen, memory_order_relaxed))
        return false;
    atomic_store_explicit(&nudges_seen, nudge, memory_order_relaxed);
    return true;
}

static uint64_t consume(uint64_t random)
{
    uint64_t sleeps = 0, open = PRODUCERS;
    while (open > 0) {
        if (answer_letters(&open))
            continue;
        int64_t token = tg_doorbell_arm(bell);
        if (token < 0)
            continue;
        if (see_nudges()) {
            tg_doorbell_disarm(bell);
            continue;
        }
        dawdle(&random);
        bell_sleep(bell, token);
        sleeps++;
    }
    return sleeps;
}

/* The nudger may still wait for its last nudge to be seen. */
static void dismiss(pthread_t nudger)
{
    atomic_store_explicit(&stop, true, memory_order_relaxed);
    while (pthread_tryjoin_np(nudger, NULL) != 0) {
        see_nudges();
        usleep(100);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || (strcmp(argv[1], "futex") != 0 && strcmp(argv[1], "event") != 0)) {
        fprintf(stderr, "usage: doorbell_wakeup futex|event [letters [seed]]\n");
        return 2;
    }
    bool event = strcmp(argv[1], "event") == 0;
    struct stress s = stress_begin(argc, argv, 1, 200000, 60000);
    pthread_t threads[PRODUCERS], nudger;
    bell = new_bell(PRODUCERS, event);
    for (uint32_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.line = i, .letters = TG_MAX(s.count / PRODUCERS, 1)};
        producers[i].seed = stress_random(&s.seed);
        producers[i].answers = new_bell(1, event);
        STRESS_CHECK(pthread_create(&threads[i], NULL, producer_main, &producers[i]) == 0);
    }
    uint64_t nudger_seed = stress_random(&s.seed);
    STRESS_CHECK(pthread_create(&nudger, NULL, nudger_main, &nudger_seed) == 0);
    uint64_t sleeps = consume(s.seed);
    for (uint32_t i = 0; i < PRODUCERS; i++)
        STRESS_CHECK(pthread_join(threads[i], NULL) == 0);
    dismiss(nudger);
    printf("  the consumer slept %llu times, the producers %llu and %llu times\n", (unsigned long long)sleeps,
           (unsigned long long)producers[0].sleeps, (unsigned long long)producers[1].sleeps);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No message and no wake-up may be lost between a sender that never waits and a receiver that sleeps whenever there is
 * nothing. The receiver sleeps without time-out, so a lost ring is a hang, which the watchdog tells from work. Messages
 * are plain memory: ThreadSanitizer would say so if the ring did not order them.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "gateway/base/mailbox.h"
#include "tests/support/stress.h"

#define SLOTS 8
#define WORDS 5 /* no multiple of a line, so that slots share some */

struct letter {
    uint64_t words[WORDS];
};

static struct mailbox *box;
static struct stress run;
static uint64_t full;

static struct letter letter_of(uint64_t number)
{
    struct letter l;
    for (uint32_t i = 0; i < WORDS; i++)
        l.words[i] = stress_mix(number * WORDS + i);
    return l;
}

/* Bursts and pauses: both full boxes and sleeping receivers come about. */
static void *send_all(void *arg)
{
    uint64_t random = *(uint64_t *)arg;
    for (uint64_t i = 0; i < run.count; i++) {
        struct letter l = letter_of(i);
        while (mailbox_send(box, &l) == -EAGAIN) {
            full++;
            sched_yield();
        }
        for (uint32_t n = stress_below(&random, 64) == 0 ? 3000 : 0; n > 0; n--)
            __asm__ volatile("" ::: "memory");
        if (stress_below(&random, 4096) == 0)
            usleep(50);
    }
    return NULL;
}

static void sleep_until_rung(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    uint64_t rings;
    int n = poll(&p, 1, -1);
    STRESS_CHECK(n == 1 || (n < 0 && errno == EINTR));
    STRESS_CHECK(n < 0 || read(fd, &rings, sizeof(rings)) == (ssize_t)sizeof(rings));
}

static uint64_t receive_all(int fd)
{
    uint64_t sleeps = 0;
    for (uint64_t i = 0; i < run.count;) {
        struct letter got, want = letter_of(i);
        if (mailbox_receive(box, &got)) {
            STRESS_CHECK(memcmp(&got, &want, sizeof(got)) == 0);
            i++;
            stress_progress();
        } else if (mailbox_arm(box)) {
            sleep_until_rung(fd);
            sleeps++;
        }
    }
    return sleeps;
}

int main(int argc, char **argv)
{
    struct tg_arena arena;
    struct letter none;
    pthread_t sender;
    run = stress_begin(argc, argv, 0, 400000, 100000);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    STRESS_CHECK(fd >= 0 && tg_arena_init(&arena, mailbox_bytes(SLOTS, sizeof(none)), TG_ARENA_PRIVATE) == 0);
    box = mailbox_init(&arena, SLOTS, sizeof(none), fd);
    STRESS_CHECK(box != NULL);
    STRESS_CHECK(pthread_create(&sender, NULL, send_all, &run.seed) == 0);
    uint64_t begin = stress_now_ns(), sleeps = receive_all(fd);
    uint64_t ns = stress_now_ns() - begin;
    STRESS_CHECK(pthread_join(sender, NULL) == 0);
    STRESS_CHECK(!mailbox_receive(box, &none));
    printf("  %llu ns a message, %llu sleeps, full %llu times\n", (unsigned long long)(ns / TG_MAX(run.count, 1u)),
           (unsigned long long)sleeps, (unsigned long long)full);
    tg_arena_finish(&arena);
    close(fd);
    return 0;
}

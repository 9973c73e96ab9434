/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds, counts and the watchdog of the stress programs. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "tests/support/stress.h"

#define PATIENCE_S 30

static _Atomic uint64_t progress;
static uint64_t progress_seen; /* the handler's own */

static void on_alarm(int signal)
{
    (void)signal;
    static const char message[] = "watchdog: no progress for 30 s, a wake-up or a row was lost\n";
    uint64_t now = atomic_load_explicit(&progress, memory_order_relaxed); /* a counter, orders nothing */
    if (now == progress_seen) {
        ssize_t ignored = write(STDERR_FILENO, message, sizeof(message) - 1);
        (void)ignored;
        _exit(1);
    }
    progress_seen = now;
    alarm(PATIENCE_S);
}

void stress_progress(void)
{
    atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
}

static uint64_t number(const char *argument, const char *variable, uint64_t otherwise)
{
    const char *text = argument ? argument : getenv(variable);
    return text ? strtoull(text, NULL, 0) : otherwise;
}

struct stress stress_begin(int argc, char **argv, int skip, uint64_t count, uint64_t count_sanitized)
{
    const char *base = strrchr(argv[0], '/');
    const char *first = argc > skip + 1 ? argv[skip + 1] : NULL,
               *second = argc > skip + 2 ? argv[skip + 2] : NULL;
    struct stress s = {
        .name = base ? base + 1 : argv[0],
        .count = number(first, "TG_STRESS_COUNT", STRESS_SANITIZED ? count_sanitized : count),
        .seed = number(second, "TG_STRESS_SEED", stress_now_ns()),
    };
    printf("%s: count %llu, seed %llu\n", s.name, (unsigned long long)s.count, (unsigned long long)s.seed);
    fflush(stdout);
    progress_seen = UINT64_MAX;
    struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &act, NULL);
    alarm(PATIENCE_S);
    return s;
}

void stress_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, cond);
    exit(1);
}

uint64_t stress_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

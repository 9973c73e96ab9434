/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the stress programs share: a seed that is printed, a count that can be raised, and a watchdog. The
 * watchdog knows no speed: it only tells a hang, half a minute without any progress, from work.
 */
#ifndef TG_TESTS_STRESS_H
#define TG_TESTS_STRESS_H

#include <stdint.h>
#include "tg/def.h"

#if defined(__SANITIZE_THREAD__)
#define STRESS_SANITIZED 1
#elif defined(__SANITIZE_ADDRESS__)
#define STRESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define STRESS_SANITIZED 1
#endif
#endif
#ifndef STRESS_SANITIZED
#define STRESS_SANITIZED 0
#endif

struct stress {
    const char *name;
    uint64_t count, seed;
};

/**
 * PROGRAM [count [seed]], or TG_STRESS_COUNT and TG_STRESS_SEED. Prints both, so that a failure can be
 * repeated.
 * @skip  arguments that belong to the program itself
 */
struct stress stress_begin(int argc, char **argv, int skip, uint64_t count, uint64_t count_sanitized);

/** Something moved: the watchdog waits anew. Any thread. */
void stress_progress(void);

/** Stop with a message and exit status 1. */
#define STRESS_CHECK(cond)                                                                                   \
    do {                                                                                                     \
        if (TG_UNLIKELY(!(cond)))                                                                            \
            stress_failed(#cond, __FILE__, __LINE__);                                                        \
    } while (0)
_Noreturn void stress_failed(const char *cond, const char *file, int line);

uint64_t stress_now_ns(void);

/* Steele, Lea and Flood's SplitMix64: one multiplication chain per draw, any seed will do. */
static inline uint64_t stress_mix(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static inline uint64_t stress_random(uint64_t *state)
{
    return stress_mix(*state += UINT64_C(0x9e3779b97f4a7c15));
}

/** 0 ... @n - 1, @n below 2^32. */
static inline uint32_t stress_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((stress_random(state) >> 32) * n >> 32);
}

#endif

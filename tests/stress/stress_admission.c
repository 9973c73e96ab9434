/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all workers share, used by many threads at once: the admission counter with sleepers on it, the replay
 * window and the rate limit. Never over the limit, nobody left asleep, one first sighting per name, one limit
 * per window.
 *
 * stress_admission [claims per thread [seed]]
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include "gateway/base/clock.h"
#include "gateway/task/rate.h"
#include "gateway/task/window.h"
#include "gateway/task/admission.h"
#include "tests/support/stress.h"

#define THREADS 4
#define LIMIT 2
#define NAMES_PER_CLAIM 8 /* every n-th claim also notes a name */
#define NOW (UINT64_C(1000) * NS_PER_S)

static struct admission admission;
static struct window window;
static struct rate rate;
static struct tg_arena arena;
static _Atomic uint32_t inside;
static uint64_t claims;

struct visitor {
    pthread_t thread;
    uint32_t index;
    uint64_t random, sleeps, news, allowed;
};

static struct visitor visitors[THREADS];

/* As a worker does: say that one waits, try again, then sleep until somebody leaves. */
static void wait_for_slot(struct visitor *v)
{
    struct tg_doorbell *bell = admission.workers[v->index];
    admission_set_waiting(&admission, v->index, true);
    for (;;) {
        int64_t token = tg_doorbell_arm(bell);
        bool got = admission_claim(&admission);
        if (!got) {
            v->sleeps++;
            tg_doorbell_wait(bell, token, UINT64_MAX);
        }
        tg_doorbell_disarm(bell);
        if (got)
            break;
    }
    admission_set_waiting(&admission, v->index, false);
}

static void visit(struct visitor *v)
{
    uint32_t n = atomic_fetch_add_explicit(&inside, 1, memory_order_relaxed) + 1;
    STRESS_CHECK(n <= LIMIT);
    for (uint32_t work = stress_below(&v->random, 50); work > 0; work--)
        stress_random(&v->random);
    if (stress_below(&v->random, 8) == 0)
        sched_yield(); /* also on one core the others find it full */
    atomic_fetch_sub_explicit(&inside, 1, memory_order_relaxed);
}

static void note(struct visitor *v, uint64_t number)
{
    char name[32];
    int n = snprintf(name, sizeof(name), "nonce-%llu", (unsigned long long)number);
    v->news += window_note(&window, (struct tg_str){name, (size_t)n}, NOW) != WINDOW_SEEN;
    v->allowed += rate_hit(&rate, TG_STR("https://origin.example"), NOW);
}

static void *visitor_main(void *argument)
{
    struct visitor *v = argument;
    for (uint64_t i = 0; i < claims; i++) {
        if (!admission_claim(&admission))
            wait_for_slot(v);
        visit(v);
        admission_release(&admission);
        if (i % NAMES_PER_CLAIM == 0)
            note(v, i / NAMES_PER_CLAIM);
        if (i % 1024 == 0)
            stress_progress();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct stress s = stress_begin(argc, argv, 0, 200000, 40000);
    uint64_t news = 0, allowed = 0, sleeps = 0;
    claims = s.count;
    uint64_t names = (claims + NAMES_PER_CLAIM - 1) / NAMES_PER_CLAIM, limit = names * THREADS / 2;
    STRESS_CHECK(tg_arena_init(&arena, 64 * names + (16u << 20), TG_ARENA_PRIVATE) == 0);
    STRESS_CHECK(window_init(&window, &arena, (uint32_t)(4 * names), 300) == 0);
    STRESS_CHECK(rate_init(&rate, &arena, (uint32_t)limit) == 0);
    atomic_store_explicit(&admission.max_concurrent, LIMIT, memory_order_relaxed);
    for (uint32_t i = 0; i < THREADS; i++) {
        void *memory = tg_arena_alloc(&arena, tg_doorbell_bytes(1), TG_CACHE_SEPARATION);
        admission.workers[i] = tg_doorbell_init(memory, 1, -1);
        visitors[i] = (struct visitor){.index = i, .random = s.seed + i};
    }
    for (uint32_t i = 0; i < THREADS; i++)
        STRESS_CHECK(pthread_create(&visitors[i].thread, NULL, visitor_main, &visitors[i]) == 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(visitors[i].thread, NULL);
        news += visitors[i].news;
        allowed += visitors[i].allowed;
        sleeps += visitors[i].sleeps;
    }
    printf("%llu claims, %llu sleeps, %llu names\n", (unsigned long long)(THREADS * claims),
           (unsigned long long)sleeps, (unsigned long long)names);
    STRESS_CHECK(admission_active(&admission) == 0);
    STRESS_CHECK(news == names);
    STRESS_CHECK(allowed == limit);
    tg_arena_finish(&arena);
    return 0;
}

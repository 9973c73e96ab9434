/* SPDX-License-Identifier: Apache-2.0 */
/* The shared admission counter: never over its limit, and nobody who waits is left asleep. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include "gateway/task/admission.h"

#define LIMIT 3
#define THREADS 4
#define ROUNDS 20000

static struct admission a;
static struct tg_doorbell *bells[2];
static _Alignas(TG_CACHE_SEPARATION) char memory[2][1024];

static void begin(void)
{
    atomic_store_explicit(&a.max_concurrent, LIMIT, memory_order_relaxed);
    for (uint32_t w = 0; w < 2; w++)
        a.workers[w] = bells[w] = tg_doorbell_init(memory[w], 1, eventfd(0, EFD_NONBLOCK));
    a.worker_count = 2;
}

static bool woken(uint32_t w)
{
    struct pollfd p = {.fd = bells[w]->event_fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

TestSuite(admission, .init = begin);

Test(admission, as_many_as_the_limit_and_no_more)
{
    for (uint32_t i = 0; i < LIMIT; i++)
        cr_assert(admission_claim(&a));
    cr_assert_not(admission_claim(&a));
    cr_assert_eq(admission_active(&a), LIMIT);
    admission_release(&a);
    cr_assert(admission_claim(&a));
    cr_assert_not(admission_claim(&a));
}

Test(admission, a_lowered_limit_holds_back_until_enough_have_left)
{
    for (uint32_t i = 0; i < LIMIT; i++)
        admission_claim(&a);
    atomic_store_explicit(&a.max_concurrent, 1, memory_order_relaxed);
    admission_release(&a);
    admission_release(&a);
    cr_assert_not(admission_claim(&a));
    admission_release(&a);
    cr_assert(admission_claim(&a));
}

Test(admission, a_limit_of_zero_admits_nobody)
{
    atomic_store_explicit(&a.max_concurrent, 0, memory_order_relaxed);
    cr_assert_not(admission_claim(&a));
}

Test(admission, a_release_wakes_just_the_workers_that_wait)
{
    cr_assert_geq(tg_doorbell_arm(bells[0]), 0);
    cr_assert_geq(tg_doorbell_arm(bells[1]), 0);
    admission_claim(&a);
    admission_set_waiting(&a, 1, true);
    admission_release(&a);
    cr_assert_not(woken(0));
    cr_assert(woken(1));
}

Test(admission, a_worker_that_no_longer_waits_is_left_alone)
{
    cr_assert_geq(tg_doorbell_arm(bells[0]), 0);
    admission_claim(&a);
    admission_set_waiting(&a, 0, true);
    admission_set_waiting(&a, 0, false);
    admission_release(&a);
    cr_assert_not(woken(0));
}

/* ---- many threads ---------------------------------------------------------------------------------- */

static _Atomic uint32_t inside, inside_max;
static _Atomic bool over;

static void enter_and_leave(void)
{
    uint32_t n = atomic_fetch_add_explicit(&inside, 1, memory_order_seq_cst) + 1;
    if (n > LIMIT)
        atomic_store_explicit(&over, true, memory_order_relaxed);
    uint32_t seen = atomic_load_explicit(&inside_max, memory_order_relaxed);
    while (seen < n && !atomic_compare_exchange_weak_explicit(&inside_max, &seen, n, memory_order_relaxed,
                                                              memory_order_relaxed))
        ;
    atomic_fetch_sub_explicit(&inside, 1, memory_order_seq_cst);
}

static void *claim_and_release(void *unused)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        while (!admission_claim(&a))
            sched_yield();
        enter_and_leave();
        admission_release(&a);
    }
    return unused;
}

Test(admission, many_threads_never_exceed_the_limit)
{
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, claim_and_release, NULL), 0);
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_not(atomic_load_explicit(&over, memory_order_relaxed));
    cr_assert_eq(admission_active(&a), 0, "everything claimed was given back");
    cr_assert_geq(atomic_load_explicit(&inside_max, memory_order_relaxed), 1);
}

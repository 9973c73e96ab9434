/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor as a thread or a process of its own: rounds while there is work, or while the device wants to be asked
 * again at once; a bounded spin; then sleep on the doorbell. A process beats all the while, so that its keeper can tell
 * sleep from a hang.
 */
#include <sched.h>
#include <sys/prctl.h>
#include "executor.h"

/* What is on the device when told to stop gets this long; the end of the device deals with the rest. */
#define STOP_WAIT_NS 1000000000ull
#define STOP_LOOK_NS 1000000ull

#define BEAT_NS 10000000ull        /* while it turns */
#define BEAT_ASLEEP_NS 250000000ull

/* A sleep over a batch ends when it is due: by default Linux may add 50 us, which is several batches of a GPU. */
static void sleep_precisely(void)
{
    prctl(PR_SET_TIMERSLACK, 1000ul, 0ul, 0ul, 0ul); /* ns, of this thread */
}

static void pin(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set); /* best effort: a cpuset may forbid it */
}

/* Tell the core that this is a spin loop. */
static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool told_to_stop(const struct tg_executor *ex)
{
    const struct tg_executor_life *life = ex->options.life;
    return atomic_load_explicit(life ? &life->stop : &ex->stop, memory_order_acquire); /* V4 pairs with V3 */
}

/* Batches that are all but done are waited for; one that nobody wants any more may take minutes. */
static bool may_leave(const struct tg_executor *ex, uint64_t now_ns, uint64_t *told_ns)
{
    if (!told_to_stop(ex))
        return false;
    if (*told_ns == 0)
        *told_ns = now_ns;
    return !tg_executor_busy(ex) || !ex->device || now_ns - *told_ns >= STOP_WAIT_NS;
}

/* Sleep until rung or a batch is due, unless a last look finds something to do. */
static void sleep_for_news(struct tg_executor *ex)
{
    int64_t token = tg_doorbell_arm(ex->options.doorbell);
    if (token < 0)
        return;
    uint64_t now_ns = ex->options.host->now_ns(), wake_ns = UINT64_MAX;
    bool moved = tg_executor_turn(ex, now_ns, &wake_ns); /* completions seen from here on ring */
    if (!moved) {
        stat_add(&ex->stats->sleeps, 1);
        uint64_t timeout = wake_ns == UINT64_MAX ? UINT64_MAX : wake_ns > now_ns ? wake_ns - now_ns : 0;
        if (told_to_stop(ex))
            timeout = TG_MIN(timeout, STOP_LOOK_NS);
        if (ex->options.life) {
            timeout = TG_MIN(timeout, BEAT_ASLEEP_NS);
            executor_beat(ex, now_ns);
        }
        tg_doorbell_wait(ex->options.doorbell, token, timeout);
    }
    tg_doorbell_disarm(ex->options.doorbell);
}

static void beat_when_due(struct tg_executor *ex, uint64_t now_ns)
{
    if (!ex->options.life || now_ns < ex->beat_due_ns)
        return;
    executor_beat(ex, now_ns);
    ex->beat_due_ns = now_ns + BEAT_NS;
}

void executor_run(struct tg_executor *ex)
{
    pthread_setname_np(pthread_self(), "executor");
    pin(ex->options.cpu);
    sleep_precisely();
    uint64_t spin_ns = ex->options.spin_us * 1000ull, idle_since = 0, told_ns = 0;
    while (!ex->gone) {
        uint64_t now = ex->options.host->now_ns(), wake = UINT64_MAX;
        beat_when_due(ex, now);
        if (tg_executor_turn(ex, now, &wake)) {
            idle_since = 0;
            continue;
        }
        if (may_leave(ex, now, &told_ns))
            return;
        if (idle_since == 0)
            idle_since = now;
        if (now - idle_since < spin_ns || wake <= now)
            relax();
        else
            sleep_for_news(ex);
    }
}

static void *executor_main(void *argument)
{
    executor_run(argument);
    return NULL;
}

int tg_executor_start(struct tg_executor *ex)
{
    TG_ASSERT(ex->threaded && !ex->started);
    int rc = pthread_create(&ex->thread, NULL, executor_main, ex);
    ex->started = rc == 0;
    return -rc;
}

void tg_executor_stop(struct tg_executor *ex)
{
    if (!ex->started)
        return;
    atomic_store_explicit(&ex->stop, 1, memory_order_release);
    tg_doorbell_wake(ex->options.doorbell);
    pthread_join(ex->thread, NULL);
    ex->started = false;
}

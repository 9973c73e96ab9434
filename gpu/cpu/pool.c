/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compute threads around one queue of tickets. A ticket names a stream and a part of the job on it; the
 * submitter appends tickets, threads take them by advancing `head`. The queue holds as many tickets as can be
 * in flight at all (streams x parts), so it is never full and a slot is written again only after its ticket's
 * job has ended.
 *
 * A thread without work spins for a moment if there is a core to spare, then sleeps on the futex word
 * `wakes`.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "part.h"
#include "pool.h"

/* About the cost of putting a thread to sleep and waking it again. */
#define SPIN_NS 20000
#define SPIN_ROUND 64 /* looks at the queue between two looks at the clock */

struct stream {
    /* line 0: the submitter's; threads read it between the ticket and the end of their part */
    alignas(TG_CACHE_SEPARATION) struct tg_job *job;
    uint32_t part_rows;
    /* line 1: threads write */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t left; /* parts that have not ended */
    _Atomic int error;
    _Atomic uint64_t ready_ns;
};

struct tg_cpu_pool {
    /* line 0: fixed after create */
    struct tg_doorbell *doorbell;
    struct stream *streams;
    _Atomic uint64_t *tickets;
    pthread_t *threads;
    uint64_t mask; /* tickets in the queue - 1 */
    uint64_t spin_ns;
    uint32_t thread_count; /* running; threads do not read it */
    /* line 1: the submitter writes */
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t tail;
    /* line 2: threads write */
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t head;
    /* line 3: going to sleep and being woken */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t sleepers;
    _Atomic uint32_t wakes; /* futex word */
    _Atomic bool stop;
};

static uint64_t ticket_of(uint32_t stream, uint32_t part)
{
    return (uint64_t)stream << 32 | part;
}

static void futex(_Atomic uint32_t *word, int op, uint32_t value)
{
    syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t clock_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the submitter ------------------------------------------------------------------------------------- */

/* P6 is seq_cst beside P1, as P5 beside P2: either we see the sleeper, or it sees the tickets. */
static void wake_threads(struct tg_cpu_pool *p, uint32_t parts)
{
    uint32_t sleepers = atomic_load_explicit(&p->sleepers, memory_order_seq_cst); /* P6 pairs with P5 */

    if (TG_LIKELY(sleepers == 0))
        return;
    atomic_fetch_add_explicit(&p->wakes, 1, memory_order_release); /* P7 pairs with P8 */
    futex(&p->wakes, FUTEX_WAKE, TG_MIN(parts, sleepers));
}

void tg_cpu_pool_submit(struct tg_cpu_pool *p, struct tg_job *job, uint32_t part_rows)
{
    struct stream *s = &p->streams[job->stream];
    uint64_t tail = atomic_load_explicit(&p->tail, memory_order_relaxed); /* own cursor */
    uint32_t parts = (job->batch.count - 1) / part_rows + 1;

    s->job = job;
    s->part_rows = part_rows;
    atomic_store_explicit(&s->error, 0, memory_order_relaxed); /* these and the tickets: published by P1 */
    atomic_store_explicit(&s->ready_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&s->left, parts, memory_order_relaxed);
    for (uint32_t i = 0; i < parts; i++)
        atomic_store_explicit(&p->tickets[(tail + i) & p->mask], ticket_of(job->stream, i),
                              memory_order_relaxed);
    atomic_store_explicit(&p->tail, tail + parts, memory_order_seq_cst); /* P1 pairs with P2 */
    wake_threads(p, parts);
}

bool tg_cpu_pool_ended(struct tg_cpu_pool *p, uint32_t stream, int *error, uint64_t *ready_ns)
{
    struct stream *s = &p->streams[stream];

    if (atomic_load_explicit(&s->left, memory_order_seq_cst) != 0) /* P10 pairs with P9 */
        return false;
    *error = atomic_load_explicit(&s->error, memory_order_relaxed); /* ordered by P10 */
    *ready_ns = atomic_load_explicit(&s->ready_ns, memory_order_relaxed);
    return true;
}

/* ---- a thread: run a part ----------------------------------------------------------------------------- */

static void note_ready(struct stream *s, uint64_t ready_ns)
{
    uint64_t latest = atomic_load_explicit(&s->ready_ns, memory_order_relaxed);

    while (latest < ready_ns &&
           !atomic_compare_exchange_weak_explicit(&s->ready_ns, &latest, ready_ns,
                                                  memory_order_relaxed, /* published by P9 */
                                                  memory_order_relaxed))
        ;
}

static void note_error(struct stream *s, int error)
{
    int none = 0;

    atomic_compare_exchange_strong_explicit(&s->error, &none, error,
                                            memory_order_relaxed, /* published by P9 */
                                            memory_order_relaxed);
}

/*
 * Once `left` is 0 the stream belongs to the submitter again and must not be touched. P9 and P11 are seq_cst
 * for the sleeper's handshake: the executor says that it sleeps, then polls (P10); either it sees our end, or
 * we see that it sleeps.
 */
static void end_part(struct tg_cpu_pool *p, struct stream *s)
{
    if (atomic_fetch_sub_explicit(&s->left, 1, memory_order_seq_cst) != 1) /* P9 pairs with P10 */
        return;
    if (p->doorbell &&
        atomic_load_explicit(&p->doorbell->asleep, memory_order_seq_cst)) /* P11: tg_doorbell_arm() */
        tg_doorbell_wake(p->doorbell);
}

static void run_part(struct tg_cpu_pool *p, uint64_t ticket)
{
    struct stream *s = &p->streams[ticket >> 32];
    uint32_t first = (uint32_t)ticket * s->part_rows;
    uint32_t count = TG_MIN(s->part_rows, s->job->batch.count - first);

    /* Work for a job that has failed already would be thrown away. */
    if (atomic_load_explicit(&s->error, memory_order_relaxed) == 0) {
        uint64_t ready_ns;
        int rc = tg_cpu_part_run(s->job, first, count, &ready_ns);
        if (rc < 0)
            note_error(s, rc);
        note_ready(s, ready_ns);
    }
    end_part(p, s);
}

/* ---- a thread: find a part ---------------------------------------------------------------------------- */

static bool stopping(struct tg_cpu_pool *p)
{
    return atomic_load_explicit(&p->stop, memory_order_relaxed); /* nothing is read through it */
}

/*
 * P3 and P4 keep `head` from looking newer than `tail`. The slot is read before the ticket is ours: if
 * meanwhile somebody took it, the exchange fails; if not, nobody can have written it again.
 */
static bool take(struct tg_cpu_pool *p, uint64_t *ticket)
{
    uint64_t head = atomic_load_explicit(&p->head, memory_order_acquire); /* P4 pairs with P3 */

    while (head != atomic_load_explicit(&p->tail, memory_order_seq_cst)) { /* P2 pairs with P1 */
        *ticket = atomic_load_explicit(&p->tickets[head & p->mask], memory_order_relaxed); /* ordered by P2 */
        if (atomic_compare_exchange_weak_explicit(&p->head, &head, head + 1, memory_order_acq_rel, /* P3 */
                                                  memory_order_acquire))                           /* P4 */
            return true;
    }
    return false;
}

static bool spin(struct tg_cpu_pool *p, uint64_t *ticket)
{
    if (p->spin_ns == 0)
        return false;
    uint64_t end_ns = clock_ns() + p->spin_ns;
    do {
        for (int i = 0; i < SPIN_ROUND; i++) {
            if (take(p, ticket))
                return true;
            relax();
        }
    } while (clock_ns() < end_ns && !stopping(p));
    return false;
}

/* P8 comes first: a wake-up sent from here on changes the word and the futex call returns at once. */
static bool sleep_or_take(struct tg_cpu_pool *p, uint64_t *ticket)
{
    uint32_t wakes = atomic_load_explicit(&p->wakes, memory_order_acquire); /* P8 pairs with P7 */

    atomic_fetch_add_explicit(&p->sleepers, 1, memory_order_seq_cst); /* P5 pairs with P6 */
    bool taken = take(p, ticket);
    if (!taken && !stopping(p))
        futex(&p->wakes, FUTEX_WAIT, wakes);
    atomic_fetch_sub_explicit(&p->sleepers, 1, memory_order_relaxed); /* too high a count costs one wake-up */
    return taken;
}

static void *compute_thread(void *arg)
{
    struct tg_cpu_pool *p = arg;
    uint64_t ticket;

    while (!stopping(p))
        if (take(p, &ticket) || spin(p, &ticket) || sleep_or_take(p, &ticket))
            run_part(p, ticket);
    return NULL;
}

/* ---- create and destroy -------------------------------------------------------------------------------- */

static void *zeroed(size_t count, size_t bytes)
{
    size_t total = (count * bytes + TG_CACHE_SEPARATION - 1) / TG_CACHE_SEPARATION * TG_CACHE_SEPARATION;
    void *memory = aligned_alloc(TG_CACHE_SEPARATION, total);

    return memory ? memset(memory, 0, total) : NULL;
}

static uint64_t power_of_two(uint64_t n)
{
    uint64_t p = 1;

    while (p < n)
        p *= 2;
    return p;
}

/* Spinning on a core that the executor or another thread needs makes everyone slower. */
static bool core_to_spare(uint32_t threads)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 && (uint32_t)CPU_COUNT(&set) > threads;
}

static struct tg_cpu_pool *allocate(const struct tg_cpu_pool_options *o)
{
    struct tg_cpu_pool *p = zeroed(1, sizeof(*p));
    uint64_t tickets = power_of_two((uint64_t)o->streams * o->threads * TG_CPU_PARTS_PER_THREAD);

    if (!p)
        return NULL;
    p->doorbell = o->doorbell;
    p->mask = tickets - 1;
    p->spin_ns = core_to_spare(o->threads) ? SPIN_NS : 0;
    p->streams = zeroed(o->streams, sizeof(*p->streams));
    p->tickets = zeroed(tickets, sizeof(*p->tickets));
    p->threads = zeroed(o->threads, sizeof(*p->threads));
    return p;
}

/* Signals are for the threads that expect them. */
static int start_thread(struct tg_cpu_pool *p)
{
    char name[16];
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&p->threads[p->thread_count], NULL, compute_thread, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return -rc;
    snprintf(name, sizeof(name), "tg-cpu-%u", p->thread_count);
    pthread_setname_np(p->threads[p->thread_count++], name);
    return 0;
}

int tg_cpu_pool_create(const struct tg_cpu_pool_options *o, struct tg_cpu_pool **pool)
{
    struct tg_cpu_pool *p = allocate(o);
    int rc = p && p->streams && p->tickets && p->threads ? 0 : -ENOMEM;

    for (uint32_t i = 0; i < o->threads && rc == 0; i++)
        rc = start_thread(p);
    if (rc != 0)
        tg_cpu_pool_destroy(p);
    else
        *pool = p;
    return rc;
}

static void stop_threads(struct tg_cpu_pool *p)
{
    atomic_store_explicit(&p->stop, true, memory_order_relaxed);   /* published by P7 */
    atomic_fetch_add_explicit(&p->wakes, 1, memory_order_release); /* P7 pairs with P8 */
    futex(&p->wakes, FUTEX_WAKE, INT_MAX);
    for (uint32_t i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
}

void tg_cpu_pool_destroy(struct tg_cpu_pool *p)
{
    if (!p)
        return;
    stop_threads(p);
    free(p->threads);
    free(p->tickets);
    free(p->streams);
    free(p);
}

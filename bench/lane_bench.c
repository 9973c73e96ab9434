/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hand-off costs: the lane's whole cycle (claim, write, publish, take, answer, complete, reap, retire)
 * beside ck_ring carrying the same bytes both ways, on one core and on two; the hop of one item; and the
 * doorbell. lane_contest.h says what exactly each contestant moves. Figures are for people to read: nothing
 * is asserted.
 *
 * bench-lane [--items N] [--rounds N] [--cpus A,B] [--json]
 */
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "bench/lane_contest.h"
#include "tg/doorbell.h"

#define ROUNDS_MAX 101

static struct {
    uint64_t items;
    uint32_t rounds;
    int cpus[2]; /* -1: there is no such CPU */
    bool json;
} options = {12800, 101, {-1, -1}, false};

static volatile uint64_t sink; /* keeps sums from being optimised away */
static bool json_begun;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void pin(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
        perror("bench-lane: cannot pin");
}

/* ---- report ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The best round is what the code costs, the median what a shared machine makes of it. */
static void report(const char *what, const char *where, uint32_t bulk, double *samples, uint32_t n)
{
    qsort(samples, n, sizeof(*samples), compare);
    if (!options.json) {
        printf("%-34s %-10s %5u %10.1f %10.1f\n", what, where, bulk, samples[0], samples[n / 2]);
        return;
    }
    printf("%s  {\"what\": \"%s\", \"where\": \"%s\", \"bulk\": %u, \"best_ns\": %.2f, \"median_ns\": %.2f}",
           json_begun ? ",\n" : "[\n", what, where, bulk, samples[0], samples[n / 2]);
    json_begun = true;
}

/* ---- one core ---- */

static inline __attribute__((always_inline)) double one_core(const struct contest *c, uint32_t bulk)
{
    void *self = c->create();
    uint64_t sum = 0, begin = now_ns();
    for (uint64_t i = 0; i < options.items; i += bulk) {
        c->send(self, bulk, i);
        c->serve(self, &sum);
        c->collect(self, &sum);
    }
    double ns = (double)(now_ns() - begin) / (double)options.items;
    sink = sum;
    c->destroy(self);
    return ns;
}

/* ---- two cores ---- */

struct server {
    void *self;
    uint64_t items;
    void (*run)(struct server *server);
    pthread_barrier_t *start;
};

static inline __attribute__((always_inline)) void serve_all(const struct contest *c, struct server *server)
{
    uint64_t sum = 0;
    for (uint64_t served = 0; served < server->items;) {
        uint32_t n = c->serve(server->self, &sum);
        served += n;
        if (n == 0)
            __builtin_ia32_pause();
    }
    sink = sum;
}

/* Collect when half of the ring is in flight: often enough never to wait, seldom enough not to poll for
 * single items. */
static inline __attribute__((always_inline)) uint64_t send_all(const struct contest *c, void *self,
                                                               uint32_t bulk, uint64_t items)
{
    uint64_t sum = 0, sent = 0, collected = 0;
    while (collected < items) {
        if (sent < items && sent - collected <= CONTEST_ROWS / 2 - bulk) {
            c->send(self, bulk, sent);
            sent += bulk;
        } else {
            collected += c->collect(self, &sum);
        }
    }
    return sum;
}

static void *server_main(void *arg)
{
    struct server *server = arg;
    pin(options.cpus[1]);
    pthread_barrier_wait(server->start);
    server->run(server);
    return NULL;
}

/* One item at a time: half of the round trip is what a lone item waits. */
static inline __attribute__((always_inline)) uint64_t ping_all(const struct contest *c, void *self,
                                                               uint64_t items)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < items; i++) {
        c->send(self, 1, i);
        while (c->collect(self, &sum) == 0)
            continue;
    }
    return sum;
}

/* ns per item of a worker here and an executor on the other core. */
static inline __attribute__((always_inline)) double
two_cores(const struct contest *c, uint32_t bulk, uint64_t items, bool ping, void (*run)(struct server *))
{
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, 2);
    struct server server = {.self = c->create(), .items = items, .run = run, .start = &start};
    pthread_t thread;
    TG_ASSERT(pthread_create(&thread, NULL, server_main, &server) == 0);
    pthread_barrier_wait(&start);
    uint64_t begin = now_ns();
    sink = ping ? ping_all(c, server.self, items) : send_all(c, server.self, bulk, items);
    double ns = (double)(now_ns() - begin) / (double)items;
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&start);
    c->destroy(server.self);
    return ns;
}

/* ---- one set of loops per contestant, so that the compiler can inline its four steps into them ---- */

enum loop { ONE_CORE, TWO_CORES, HOP };

#define CONTEST_LOOPS(contest)                                                                               \
    static void contest##_serve_all(struct server *server)                                                   \
    {                                                                                                        \
        serve_all(&contest, server);                                                                         \
    }                                                                                                        \
    static __attribute__((noinline)) double contest##_loop(enum loop loop, uint32_t bulk)                    \
    {                                                                                                        \
        switch (loop) {                                                                                      \
        case ONE_CORE:                                                                                       \
            return one_core(&contest, bulk);                                                                 \
        case TWO_CORES:                                                                                      \
            return two_cores(&contest, bulk, options.items, false, contest##_serve_all);                     \
        case HOP:                                                                                            \
            return two_cores(&contest, 1, TG_MAX(options.items / 8, 1), true, contest##_serve_all) / 2;      \
        }                                                                                                    \
        return 0;                                                                                            \
    }

CONTEST_LOOPS(lane_one_way)
CONTEST_LOOPS(lane_descriptor)
CONTEST_LOOPS(lane_payload)
#ifdef HAVE_CK
CONTEST_LOOPS(ck_one_way)
CONTEST_LOOPS(ck_descriptor)
CONTEST_LOOPS(ck_payload)
#endif

static const struct {
    const char *name;
    double (*loop)(enum loop loop, uint32_t bulk);
} contestants[] = {
    {"lane, 64 B one way", lane_one_way_loop},
#ifdef HAVE_CK
    {"ck_ring, 64 B one way", ck_one_way_loop},
#endif
    {"lane, descriptor and answer", lane_descriptor_loop},
#ifdef HAVE_CK
    {"ck_ring, descriptor and answer", ck_descriptor_loop},
#endif
    {"lane, 64 B payload both ways", lane_payload_loop},
#ifdef HAVE_CK
    {"ck_ring, 64 B payload both ways", ck_payload_loop},
#endif
};

/* Rounds of all contestants are interleaved: what disturbs the machine disturbs them alike. */
static void compete(enum loop loop, const char *where, uint32_t bulk)
{
    double samples[TG_ARRAY_SIZE(contestants)][ROUNDS_MAX];
    for (uint32_t round = 0; round < options.rounds; round++)
        for (size_t i = 0; i < TG_ARRAY_SIZE(contestants); i++)
            samples[i][round] = contestants[i].loop(loop, bulk);
    for (size_t i = 0; i < TG_ARRAY_SIZE(contestants); i++)
        report(contestants[i].name, where, bulk, samples[i], options.rounds);
}

/* ---- doorbell ---- */

static struct tg_doorbell *bell_create(int event_fd)
{
    void *memory = aligned_alloc(TG_CACHE_SEPARATION, tg_doorbell_bytes(1));
    TG_ASSERT(memory != NULL);
    return tg_doorbell_init(memory, 1, event_fd);
}

/* The producer's and the consumer's half of one ring while nobody sleeps. */
static double ring_awake(void)
{
    struct tg_doorbell *db = bell_create(-1);
    uint64_t sum = 0, begin = now_ns();
    for (uint64_t i = 0; i < options.items; i++) {
        tg_doorbell_ring(db, 0, (uint32_t)i & 63);
        sum += tg_doorbell_take(db, 0, 0);
    }
    double ns = (double)(now_ns() - begin) / (double)options.items;
    sink = sum;
    free(db);
    return ns;
}

/* What a turn without news costs the consumer, for one producer. */
static double take_nothing(void)
{
    struct tg_doorbell *db = bell_create(-1);
    uint64_t sum = 0, begin = now_ns();
    for (uint64_t i = 0; i < options.items; i++)
        for (uint32_t word = 0; word < TG_DOORBELL_WORDS; word++)
            sum += tg_doorbell_take(db, 0, word);
    double ns = (double)(now_ns() - begin) / (double)options.items;
    sink = sum;
    free(db);
    return ns;
}

struct sleeper {
    struct tg_doorbell *db;
    uint32_t sleeps;
    _Atomic uint64_t woken_ns; /* when the last sleep ended, 0: asleep or on the way */
};

static void sleep_once(struct tg_doorbell *db, int64_t token)
{
    if (db->event_fd < 0) {
        tg_doorbell_wait(db, token, UINT64_MAX);
    } else {
        struct pollfd p = {.fd = db->event_fd, .events = POLLIN};
        uint64_t count = 0;
        TG_ASSERT(poll(&p, 1, -1) == 1 && read(p.fd, &count, sizeof(count)) == (ssize_t)sizeof(count));
    }
    tg_doorbell_disarm(db);
}

static void *sleeper_main(void *arg)
{
    struct sleeper *s = arg;
    pin(options.cpus[1]);
    for (uint32_t i = 0; i < s->sleeps; i++) {
        while (tg_doorbell_take(s->db, 0, 0) == 0) {
            int64_t token = tg_doorbell_arm(s->db);
            if (token >= 0)
                sleep_once(s->db, token);
        }
        atomic_store_explicit(&s->woken_ns, now_ns(), memory_order_release);
    }
    return NULL;
}

/* Rings a sleeper that has been asleep for a while: what the ring costs, and when the sleeper runs. */
static void ring_asleep(const char *how, int event_fd)
{
    enum { SLEEPS = 501 };
    static double cost[SLEEPS], latency[SLEEPS];
    struct sleeper s = {.db = bell_create(event_fd), .sleeps = SLEEPS};
    pthread_t thread;
    TG_ASSERT(pthread_create(&thread, NULL, sleeper_main, &s) == 0);
    for (uint32_t i = 0; i < SLEEPS; i++) {
        usleep(200);
        while (atomic_load_explicit(&s.db->asleep, memory_order_acquire) == 0)
            usleep(50);
        atomic_store_explicit(&s.woken_ns, 0, memory_order_relaxed);
        uint64_t begin = now_ns(), woken;
        tg_doorbell_ring(s.db, 0, 0);
        cost[i] = (double)(now_ns() - begin);
        while ((woken = atomic_load_explicit(&s.woken_ns, memory_order_acquire)) == 0)
            sched_yield();
        latency[i] = (double)(woken - begin);
    }
    pthread_join(thread, NULL);
    free(s.db);
    char what[64];
    snprintf(what, sizeof(what), "doorbell: ring a sleeper, %s", how);
    report(what, "two cores", 1, cost, SLEEPS);
    snprintf(what, sizeof(what), "  until it runs, %s", how);
    report(what, "two cores", 1, latency, SLEEPS);
}

static void measure_doorbells(void)
{
    double samples[ROUNDS_MAX];
    for (uint32_t round = 0; round < options.rounds; round++)
        samples[round] = ring_awake();
    report("doorbell: ring and take, awake", "one core", 1, samples, options.rounds);
    for (uint32_t round = 0; round < options.rounds; round++)
        samples[round] = take_nothing();
    report("doorbell: look, no news", "one core", 1, samples, options.rounds);
    if (options.cpus[1] < 0)
        return;
    ring_asleep("futex", -1);
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    TG_ASSERT(fd >= 0);
    ring_asleep("event fd", fd);
    close(fd);
}

/* ---- command line ---- */

static void choose_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return;
    for (int cpu = 0, n = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
        if (CPU_ISSET((size_t)cpu, &set))
            options.cpus[n++] = cpu;
}

static bool read_options(int argc, char **argv)
{
    static const struct option names[] = {{"items", required_argument, NULL, 'i'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"cpus", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {0}};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'i')
            options.items = strtoull(optarg, NULL, 0) / CONTEST_BURST * CONTEST_BURST;
        else if (c == 'r')
            options.rounds = (uint32_t)strtoul(optarg, NULL, 0);
        else if (c == 'j')
            options.json = true;
        else if (c != 'c' || sscanf(optarg, "%d,%d", &options.cpus[0], &options.cpus[1]) != 2)
            return false;
    }
    return options.items > 0 && options.rounds > 0 && options.rounds <= ROUNDS_MAX && optind == argc;
}

int main(int argc, char **argv)
{
    static const uint32_t bulks[] = {1, 8, 32};
    choose_cpus();
    if (!read_options(argc, argv)) {
        fprintf(stderr, "usage: bench-lane [--items N] [--rounds 1..%d] [--cpus A,B] [--json]\n", ROUNDS_MAX);
        return 2;
    }
    pin(options.cpus[0]);
    if (!options.json)
        printf("%-34s %-10s %5s %10s %10s   (ns per item; %u rounds of %llu items)\n", "", "", "bulk", "best",
               "median", options.rounds, (unsigned long long)options.items);
    for (size_t i = 0; i < TG_ARRAY_SIZE(bulks); i++)
        compete(ONE_CORE, "one core", bulks[i]);
    for (size_t i = 0; i < TG_ARRAY_SIZE(bulks) && options.cpus[1] >= 0; i++)
        compete(TWO_CORES, "two cores", bulks[i]);
    if (options.cpus[1] >= 0)
        compete(HOP, "hop", 1);
    measure_doorbells();
    if (options.json)
        printf("\n]\n");
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a generator thread: connect, wait for the others, run, drain. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "client.h"
#include "clock.h"
#include "flow.h"
#include "options.h"
#include "tls.h"

#define NAP_NS (50 * NS_PER_MS) /* how long a quiet thread sleeps before it looks at the clock again */
#define SWEEP_NS NS_PER_MS
#define SWEEPS_PER_ROUND 100 /* each connection is looked at ten times a second, a few at a time */
#define DRAIN_NS NS_PER_S
#define CONNECTING_MAX 64 /* listen queues are short: do not overrun them */

static bool stopped(const struct client *c)
{
    return atomic_load_explicit(&c->run->stop, memory_order_relaxed);
}

static void give_up_late(struct client *c, struct conn *conn)
{
    uint64_t limit_ns = (uint64_t)(c->o->timeout * 1e9);

    if (conn->state == CONN_OPEN && conn->in_flight &&
        c->now_ns - conn->slots[conn->oldest].sent_ns > limit_ns) {
        c->stats->timeouts += conn->in_flight;
        c->stats->lost -= conn->in_flight; /* flow_drop() is about to count them there */
        flow_drop(c, conn);
    } else if ((conn->state == CONN_CONNECTING || conn->state == CONN_GREETING) &&
               conn->deadline_ns <= c->now_ns) {
        client_on_open(c, conn, -ETIMEDOUT);
    } else if (conn->state == CONN_DOWN && conn->deadline_ns <= c->now_ns && c->reconnecting) {
        flow_connect(c, conn);
    }
}

/* Time-outs and retries. A full round at once would delay answers by as much, so it is cut into slices. */
static void sweep(struct client *c)
{
    if (c->now_ns - c->sweep_ns < SWEEP_NS)
        return;
    c->sweep_ns = c->now_ns;
    for (uint32_t n = c->conn_count / SWEEPS_PER_ROUND + 1; n; n--) {
        give_up_late(c, &c->conns[c->sweep_at]);
        if (++c->sweep_at == c->conn_count)
            c->sweep_at = 0;
    }
}

static uint64_t until(const struct client *c, uint64_t when_ns)
{
    return when_ns > c->now_ns ? TG_MIN(when_ns - c->now_ns, NAP_NS) : 1;
}

/* How long the thread may sleep: to the next due request, or to the next edge of the window. */
static uint64_t wait_ns(const struct client *c)
{
    if (c->o->spin)
        return 0;
    if (!c->sending)
        return NAP_NS;
    if (c->o->rate > 0 && c->ready_first)
        return until(c, TG_MIN(pacer_due_ns(&c->pacer), c->end_ns));
    return until(c, c->measuring ? c->end_ns : TG_MIN(c->run->measure_ns, c->end_ns));
}

static void turn(struct client *c)
{
    if (c->o->rate > 0 && c->sending) {
        c->now_ns = clock_ns();
        flow_pace(c);
    }
    flow_flush(c);
    c->io->turn(c->io_state, wait_ns(c));
    sweep(c);
}

/* Opens everything, a few at a time. The first refusal ends the run: there is nothing to measure. */
static void connect_all(struct client *c)
{
    uint32_t started = 0;

    c->now_ns = clock_ns();
    while (c->open_count < c->conn_count && !c->error && !stopped(c)) {
        while (started < c->conn_count && started - c->open_count < CONNECTING_MAX)
            flow_connect(c, &c->conns[started++]);
        turn(c);
    }
}

static void touch_idle(struct client *c)
{
    uint64_t limit_ns = clock_ns() + (uint64_t)(c->o->timeout * 1e9);

    for (uint32_t i = c->active_count; i < c->conn_count; i++) {
        c->now_ns = clock_ns();
        flow_touch(c, &c->conns[i]);
        while (c->outstanding >= CONNECTING_MAX && c->now_ns < limit_ns)
            turn(c);
    }
    while (c->outstanding && c->now_ns < limit_ns)
        turn(c);
}

static void open_window(struct client *c)
{
    stats_reset(c->stats);
    c->stats->cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID);
    c->measuring = true;
}

static void close_window(struct client *c)
{
    c->stats->cpu_ns = clock_read(CLOCK_THREAD_CPUTIME_ID) - c->stats->cpu_ns;
    c->measuring = false;
    /* An open loop still owes what fell due inside the window. */
    c->sending = c->o->rate > 0;
}

static void start_pacer(struct client *c)
{
    double interval_ns = c->o->rate > 0 ? 1e9 * c->o->threads / c->o->rate : 1e9;

    c->pacer = (struct pacer){
        .interval_ns = interval_ns,
        .offset_ns = interval_ns * c->index / c->o->threads,
        .start_ns = c->run->start_ns,
        .random = UINT64_C(0x9e3779b97f4a7c15) * (c->index + 1),
        .poisson = c->o->poisson,
    };
}

static void start_sending(struct client *c)
{
    c->end_ns = c->run->end_ns;
    c->now_ns = clock_ns();
    c->sending = c->reconnecting = true;
    start_pacer(c);
    for (uint32_t i = 0; i < c->active_count; i++)
        flow_go_on(c, &c->conns[i]);
}

/* Before the window opens nothing counts, so an early stop has nothing to show. */
static void run_window(struct client *c)
{
    while (c->now_ns < c->end_ns) {
        turn(c);
        if (stopped(c))
            c->end_ns = TG_MIN(c->end_ns, c->now_ns);
        if (!c->measuring && c->now_ns >= c->run->measure_ns && c->now_ns < c->end_ns)
            open_window(c);
        atomic_store_explicit(&c->progress, c->measuring ? c->stats->responses : 0, memory_order_relaxed);
    }
}

/* What was due but never went out did wait: leaving it out would flatter a server that cannot keep up. */
static void count_unsent(struct client *c)
{
    if (c->o->rate <= 0)
        return;
    for (; pacer_due_ns(&c->pacer) < c->end_ns; pacer_advance(&c->pacer)) {
        if (pacer_due_ns(&c->pacer) < c->run->measure_ns)
            continue;
        c->stats->unsent++;
        histogram_record(&c->stats->latency, c->now_ns - pacer_due_ns(&c->pacer));
    }
}

static bool owes(const struct client *c)
{
    return c->outstanding || (c->sending && pacer_due_ns(&c->pacer) < c->end_ns);
}

static void drain(struct client *c)
{
    uint64_t limit_ns = c->now_ns + TG_MIN(DRAIN_NS, (uint64_t)(c->o->timeout * 1e9));

    c->reconnecting = false;
    while (owes(c) && c->now_ns < limit_ns)
        turn(c);
    c->stats->unanswered += c->outstanding;
    count_unsent(c);
}

static int pin(const struct client *c)
{
    cpu_set_t set;

    if (c->o->cpu_count == 0)
        return 0;
    CPU_ZERO(&set);
    CPU_SET((size_t)c->o->cpus[c->index], &set);
    return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

/* Answers go into a buffer in one piece where they can: a burst is as deep as the pipeline. */
static uint32_t buffer_bytes(const struct options *o)
{
    uint32_t bytes = 2048;

    while (bytes < o->pipeline * 512 && bytes < 65536)
        bytes *= 2;
    return bytes;
}

static int prepare(struct client *c)
{
    int rc = pin(c);

    if (rc)
        return rc;
    c->tls = c->o->tls ? tls_create(c->o) : NULL;
    if (c->o->tls && !c->tls)
        return -ENOMEM;
    c->io_state = c->io->create(c, c->conn_count, buffer_bytes(c->o));
    return c->io_state ? 0 : -errno;
}

/* Every thread passes both barriers, also one that failed: the others wait there. */
void *client_main(void *arg)
{
    struct client *c = arg;

    c->error = prepare(c);
    if (!c->error)
        connect_all(c);
    if (!c->error && c->o->touch_idle)
        touch_idle(c);
    pthread_barrier_wait(&c->run->connected);
    pthread_barrier_wait(&c->run->started);
    if (c->error || stopped(c))
        return NULL;
    start_sending(c);
    run_window(c);
    if (!c->measuring)
        return NULL;
    close_window(c);
    drain(c);
    return NULL;
}

static uint32_t share(uint32_t total, uint32_t threads, uint32_t index)
{
    return total / threads + (index < total % threads);
}

static void lay_out(struct client *c)
{
    size_t half = (size_t)c->o->pipeline * c->run->requests->bytes_max;

    for (uint32_t i = 0; i < c->conn_count; i++) {
        struct conn *conn = &c->conns[i];

        conn->fd = -1;
        conn->active = i < c->active_count;
        conn->out = c->out_bytes + 2 * half * i;
        conn->slots = c->slots + (size_t)c->o->pipeline * i;
        conn->response.head_only = c->run->requests->head_only;
        conn->response.keep_body = c->o->verify;
    }
}

int client_create(struct client *c, struct run *run, uint32_t index)
{
    const struct options *o = run->options;

    memset(c, 0, sizeof(*c));
    *c = (struct client){.run = run, .o = o, .io = run->io, .index = index};
    c->conn_count = share(o->connections, o->threads, index);
    c->active_count = TG_MIN(share(o->active, o->threads, index), c->conn_count);
    c->ready_last = &c->ready_first;
    request_number_init(c->number, index);
    c->stats = malloc(sizeof(*c->stats));
    c->conns = calloc(c->conn_count, sizeof(*c->conns));
    c->out_bytes = malloc(2 * (size_t)o->pipeline * run->requests->bytes_max * c->conn_count);
    c->slots = calloc((size_t)o->pipeline * c->conn_count, sizeof(*c->slots));
    if (!c->stats || !c->conns || !c->out_bytes || !c->slots)
        return -ENOMEM;
    stats_reset(c->stats);
    lay_out(c);
    return 0;
}

void client_destroy(struct client *c)
{
    if (c->io_state)
        c->io->destroy(c->io_state);
    for (uint32_t i = 0; c->conns && i < c->conn_count; i++) {
        if (c->conns[i].fd >= 0)
            close(c->conns[i].fd);
        response_finish(&c->conns[i].response);
        tls_forget(&c->conns[i]);
    }
    tls_destroy(c->tls);
    free(c->stats);
    free(c->conns);
    free(c->out_bytes);
    free(c->slots);
}

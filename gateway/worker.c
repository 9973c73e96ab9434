/* SPDX-License-Identifier: Apache-2.0 */
/* A worker's thread: take what the network has, let the executor see it, take what is done, answer, sleep. */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/net/tls.h"
#include "gateway.h"

#define RECEIVE_BUFFERS 256
#define RECEIVE_BUFFER_BYTES (16u << 10)
#define BUFFER_CLASS_BYTES (32u << 20) /* per size class and worker; address space until used */
#define BUFFERS_MIN 4
#define SPARE_TASKS 4096 /* beyond one per connection: pipelined requests */
#define SCRATCH_BYTES (8u << 20)
#define SEALED_ANSWER_BYTES (4u << 20) /* base64 and all, it still fits the scratch */
#define MAIL_SLOTS 1024                /* receipts and spans on their way to the control thread */
#define ROUNDS_PER_TURN 4 /* exchanges with the executor before the network is looked at again */
#define LOW_LATENCY_SPIN_NS (50 * NS_PER_MS)
#define BUSY_GAP_NS (100 * NS_PER_US) /* adaptive: expecting the next event sooner than this, spin */

/* ---- one turn ------------------------------------------------------------------------------------------- */

static void on_timer(void *context, struct timer *t)
{
    struct worker *w = context;
    if (t->kind == TIMER_TASK)
        task_timer_fired(&w->tasks, t);
    else if (t->kind == TIMER_CONN)
        http_timer_fired(&w->http, t);
    else
        tls_timer_fired(w->net, t);
}

static void set_now(struct worker *w)
{
    uint64_t now = clock_now_ns();
    w->tasks.now_ns = now;
    w->http.now_ns = now;
}

/* Requests are stamped while they are delivered: after a sleep by the time they came, not by when it began. */
static void on_woke(void *context)
{
    set_now(context);
}

static void take_settings(struct worker *w)
{
    const struct settings *s = atomic_load_explicit(&w->gateway->settings, memory_order_acquire);
    w->http.settings = &s->http;
    w->iicp.settings = &s->iicp;
}

/* Tasks to the executor, results back. Returns true if something moved, so that another round may find more. */
static bool exchange(struct worker *w, uint64_t *wake_ns)
{
    tasks_retry(&w->tasks);
    tasks_publish(&w->tasks);
    bool moved = w->executor && tg_executor_turn(w->executor, w->tasks.now_ns, wake_ns);
    return tasks_reap(&w->tasks) || moved;
}

/* Everything between two looks at the network. Returns true if it stopped with more to do. */
static bool work(struct worker *w, uint64_t *wake_ns)
{
    bool more = true;
    timer_wheel_advance(&w->wheel, w->tasks.now_ns, on_timer, w);
    for (uint32_t round = 0; more && round < ROUNDS_PER_TURN; round++) {
        *wake_ns = UINT64_MAX;
        more = exchange(w, wake_ns);
    }
    http_flush(&w->http); /* may go on reading a paused connection, and find tasks there */
    return more || tasks_unpublished(&w->tasks);
}

/* How long nothing may happen before sleeping pays, by the power mode and what the past suggests. */
static uint64_t spin_budget(const struct worker *w, const struct settings *s)
{
    switch (s->power) {
    case CONFIG_POWER_SAVE:
        return 0;
    case CONFIG_POWER_LOW_LATENCY:
        return LOW_LATENCY_SPIN_NS;
    default:
        return w->gap_ns < BUSY_GAP_NS ? s->spin_ns : 0;
    }
}

/* Wait for the network, the executor or a timer. */
static uint32_t sleep_until(struct worker *w, uint64_t wake_ns)
{
    uint32_t events = 0;
    int64_t token = tg_doorbell_arm(w->doorbell);
    if (token < 0)
        return w->net->ops->turn(w->net, 0);
    uint64_t now = w->tasks.now_ns;
    if (tasks_have_room(&w->tasks)) /* a slot came free before anybody could know that we sleep */
        wake_ns = now;
    else
        metrics_add(&w->metrics, METRIC_SLEEPS, 1);
    events = w->net->ops->turn(w->net, wake_ns == UINT64_MAX ? UINT64_MAX : wake_ns > now ? wake_ns - now : 0);
    tg_doorbell_disarm(w->doorbell);
    return events;
}

/* Look at the network: at once while things move, spinning while the next event is near, else asleep. */
static uint32_t look(struct worker *w, bool moved, uint64_t wake_ns)
{
    if (moved) {
        w->idle_ns = 0;
        return w->net->ops->turn(w->net, 0);
    }
    uint64_t now = w->tasks.now_ns;
    if (w->idle_ns == 0)
        w->idle_ns = now;
    const struct settings *s = atomic_load_explicit(&w->gateway->settings, memory_order_acquire);
    bool spin = now - w->idle_ns < spin_budget(w, s) && now < wake_ns;
    return spin ? w->net->ops->turn(w->net, 0) : sleep_until(w, wake_ns);
}

/* A moving average over the silences between events, for the spin decision. */
static void note_event(struct worker *w)
{
    if (w->idle_ns == 0)
        return;
    uint64_t gap = TG_MIN(w->tasks.now_ns - w->idle_ns, NS_PER_MS);
    w->gap_ns = w->gap_ns - w->gap_ns / 8 + gap / 8;
    w->idle_ns = 0;
}

/* Not shut down: one that a service manager passed goes on without us. */
static void close_listeners(struct worker *w)
{
    while (w->listener_count > 0)
        close(w->listeners[--w->listener_count]);
}

static bool leaving(struct worker *w)
{
    uint32_t order = atomic_load_explicit(&w->gateway->order, memory_order_acquire);
    if (order != ORDER_SERVE && !w->draining) {
        w->draining = true;
        w->net->ops->accept_stop(w->net);
        close_listeners(w); /* refused at once rather than left to wait for our end */
        http_drain(&w->http);
    }
    if (order == ORDER_STOP)
        http_close_all(&w->http);
    return w->draining && http_conns_open(&w->http) == 0;
}

static void serve(struct worker *w)
{
    bool moved = true;
    uint64_t executor_wake_ns = UINT64_MAX; /* when an inline executor wants its next turn */
    while (!leaving(w)) {
        uint32_t events = look(w, moved, TG_MIN(timer_wheel_next_ns(&w->wheel), executor_wake_ns));
        set_now(w);
        if (events > 0)
            note_event(w);
        take_settings(w);
        moved = work(w, &executor_wake_ns);
        metrics_add(&w->metrics, METRIC_TURNS, 1);
    }
    w->net->ops->turn(w->net, 0); /* with nobody connected the kernel has not yet heard that we accept no more */
}

/* ---- the thread ------------------------------------------------------------------------------------------ */

static void pin(int cpu)
{
    if (cpu < 0)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET((unsigned)cpu, &set);
    pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Where nobody listens for TLS there is no filter to pay for. */
static int create_net(struct worker *w, const char *wanted, const struct net_options *o)
{
    struct tls_options t = {
        .wanted = wanted,
        .net = *o,
        .context = w->tls,
        .wheel = &w->wheel,
        .timer_kind = TIMER_TLS,
        .metrics = &w->metrics,
    };
    return w->tls ? tls_create(&t, &w->net, w->note, sizeof(w->note))
                  : net_create(wanted, o, &w->net, w->note, sizeof(w->note));
}

/* The loop must be made by the thread that uses it: io_uring binds to its one submitter. */
static int open_loop(struct worker *w)
{
    static const char *const wanted[] = {"auto", "io_uring", "epoll"};
    struct net_options o = {
        .handlers = &http_net_handlers,
        .owner = &w->http,
        .wake_fd = w->wake_fd,
        .woke = on_woke,
        .woke_context = w,
        .conns_max = w->http.conn_count,
        .buffers = RECEIVE_BUFFERS,
        .buffer_bytes = RECEIVE_BUFFER_BYTES,
        .gate = &w->gate,
    };
    int rc = create_net(w, wanted[w->gateway->config.server_io], &o);
    if (rc < 0) {
        snprintf(w->note, sizeof(w->note), "cannot open the network loop: %s", strerror(-rc));
        return rc;
    }
    w->http.net = w->net;
    snprintf(w->io, sizeof(w->io), "%s", w->net->ops->name);
    for (uint32_t i = 0; rc == 0 && i < w->listener_count; i++)
        rc = w->listener_tls[i] ? tls_listen(w->net, w->listeners[i]) : w->net->ops->listen(w->net, w->listeners[i]);
    if (rc < 0)
        snprintf(w->note, sizeof(w->note), "cannot accept connections: %s", strerror(-rc));
    return rc;
}

static void announce(struct worker *w, enum worker_state state)
{
    atomic_store_explicit(&w->state, state, memory_order_release);
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    char name[16];
    snprintf(name, sizeof(name), "worker-%u", w->index);
    pthread_setname_np(pthread_self(), name);
    pin(w->cpu);
    set_now(w);
    timer_wheel_init(&w->wheel, w->tasks.now_ns);
    take_settings(w);
    if (open_loop(w) < 0) {
        announce(w, WORKER_FAILED);
        return NULL;
    }
    announce(w, WORKER_SERVING);
    serve(w);
    announce(w, WORKER_DONE);
    return NULL;
}

int worker_start(struct worker *w)
{
    int rc = -pthread_create(&w->thread, NULL, worker_main, w);
    if (rc < 0)
        return rc;
    w->started = true;
    uint32_t state;
    while ((state = atomic_load_explicit(&w->state, memory_order_acquire)) == WORKER_STARTING)
        usleep(200);
    return state == WORKER_FAILED ? -EIO : 0;
}

void worker_wake(struct worker *w)
{
    uint64_t one = 1;
    if (write(w->wake_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error("cannot wake worker %u: %s", w->index, strerror(errno));
}

/* ---- preparation ------------------------------------------------------------------------------------------ */

/* A sealed payload, or an answer to be sealed, in the clear. */
static size_t sealed_bytes(const struct gateway *g)
{
    return TG_MAX(g->config.limits_body_bytes, (uint64_t)SEALED_ANSWER_BYTES);
}

static size_t tenants_room(const struct gateway *g)
{
    uint32_t names = g->config.telemetry_tenants;
    return names ? sizeof(struct tenants) + TG_CACHE_SEPARATION + tenants_bytes(names, g->instance_count) : 0;
}

/* docs/ARCHITECTURE.md, memory: every user of a worker's arena, one line each. */
static size_t arena_bytes(const struct worker *w, uint32_t conns, uint32_t tasks_max)
{
    const struct gateway *g = w->gateway;
    size_t body = g->config.limits_body_bytes, head = g->config.limits_head_bytes;
    return (size_t)conns * (HTTP_CONN_BYTES + sizeof(uint32_t))                     /* connections */
           + (size_t)tasks_max * (sizeof(struct task) + 16)                         /* task slots */
           + buffer_pool_bytes(body + head + (64u << 10), BUFFER_CLASS_BYTES, BUFFERS_MIN) /* requests, replies */
           + SCRATCH_BYTES                                                          /* an answer being written */
           + (size_t)conns * sizeof(struct gate_conn)                               /* who they are */
           + http_coder_bytes(body)                                                 /* gzip, both ways */
           + 2 * TG_JSON_NODES_MAX(body) * sizeof(struct tg_json_node)                /* JSON tapes */
           + sealed_bytes(g) + JSON_CANONICAL_ROOM(TG_JSON_NODES_MAX(body)) * sizeof(uint32_t) /* opened, sealed */
           + (g->node.report ? mailbox_bytes(MAIL_SLOTS, sizeof(struct iicp_event)) : 0) /* events for control */
           + (g->instance_count + 1) * TG_PRIORITIES * sizeof(struct task_metrics)
           + layout_executors(g) * g->instance_count * TG_PRIORITIES * sizeof(struct task_lanes)
           + g->instance_count * sizeof(struct task_crowd)                          /* waiting for rows */
           + sizeof(struct spread) + spread_bytes(layout_executors(g), g->instance_count) /* which device */
           + tenants_room(g)                                                        /* who sent tasks */
           + (1u << 20);                                                            /* alignment */
}

/* What lies between this worker and one executor: its part of g->lanes is in the order of bits. */
static void init_link(struct worker *w, uint32_t number)
{
    const struct gateway *g = w->gateway;
    struct layout_lanes lanes = layout_lanes_of(g, number);
    struct task_link *link = &w->tasks.links[number];
    link->by_bit = lanes.first + (size_t)w->index * lanes.per_worker;
    link->bit_words = (lanes.per_worker + 63) / 64;
    link->doorbell = number > 0 ? g->devices.list[number - 1].doorbell : NULL; /* the cpu's may be one of several */
    for (uint32_t i = 0; i < lanes.per_worker; i++) {
        struct tg_lane *lane = link->by_bit[i];
        uint32_t place = number * g->instance_count + lane->runner;
        w->tasks.lanes[place * TG_PRIORITIES + lane->priority].by_class[lane->size_class] = lane;
    }
}

static int init_lanes(struct worker *w)
{
    struct gateway *g = w->gateway;
    struct tasks *ts = &w->tasks;
    size_t places = (size_t)layout_executors(g) * g->instance_count * TG_PRIORITIES;
    ts->lanes = tg_arena_alloc(&w->arena, places * sizeof(*ts->lanes), 64);
    ts->crowds = tg_arena_alloc(&w->arena, g->instance_count * sizeof(*ts->crowds), 64);
    ts->link_count = layout_executors(g);
    for (uint32_t n = 0; ts->lanes && n < ts->link_count; n++)
        init_link(w, n);
    return ts->lanes && ts->crowds ? 0 : -ENOMEM;
}

/* With one device there is nothing to choose, and nothing to be counted for it. */
static int init_spread(struct worker *w)
{
    struct gateway *g = w->gateway;
    struct tg_pace *pace[TG_EXECUTORS_MAX] = {NULL};
    struct spread_options o = {g->loads, w->index, g->worker_count, layout_executors(g), g->instance_count, pace};
    if (g->devices.count < 2)
        return 0;
    for (uint32_t i = 0; i < g->devices.count; i++)
        pace[i + 1] = g->devices.list[i].pace;
    w->tasks.spread = tg_arena_alloc(&w->arena, sizeof(*w->tasks.spread), TG_CACHE_SEPARATION);
    return w->tasks.spread ? spread_init(w->tasks.spread, &w->arena, &o) : -ENOMEM;
}

static int init_metrics(struct worker *w)
{
    uint32_t slots = w->gateway->instance_count + 1;
    w->metrics.intent_slots = slots;
    w->metrics.tasks = tg_arena_alloc(&w->arena, slots * sizeof(*w->metrics.tasks), TG_CACHE_SEPARATION);
    return w->metrics.tasks ? 0 : -ENOMEM;
}

static int init_tenants(struct worker *w)
{
    const struct gateway *g = w->gateway;
    if (g->config.telemetry_tenants == 0)
        return 0;
    w->tasks.tenants = tg_arena_alloc(&w->arena, sizeof(*w->tasks.tenants), TG_CACHE_SEPARATION);
    return w->tasks.tenants ? tenants_init(w->tasks.tenants, &w->arena, g->config.telemetry_tenants, g->instance_count)
                            : -ENOMEM;
}

static int init_room(struct worker *w)
{
    struct gateway *g = w->gateway;
    uint32_t nodes = (uint32_t)TG_JSON_NODES_MAX(g->config.limits_body_bytes), members = JSON_CANONICAL_ROOM(nodes);
    w->room = (struct iicp_room){
        .crypto = crypto_create(),
        .text = tg_arena_alloc(&w->arena, sealed_bytes(g), 64),
        .text_bytes = sealed_bytes(g),
        .doc = {.nodes = tg_arena_alloc(&w->arena, nodes * sizeof(struct tg_json_node), 64), .capacity = nodes},
        .members = {tg_arena_alloc(&w->arena, members * sizeof(uint32_t), 64), members},
    };
    w->iicp.room = &w->room;
    if (g->node.report)
        w->iicp.events = mailbox_init(&w->arena, MAIL_SLOTS, sizeof(struct iicp_event), control_event_fd(g->control));
    bool ready = w->room.crypto && w->room.text && w->room.doc.nodes && w->room.members.members;
    return ready && (!g->node.report || w->iicp.events) ? 0 : -ENOMEM;
}

static int init_iicp(struct worker *w)
{
    struct gateway *g = w->gateway;
    uint32_t nodes = (uint32_t)TG_JSON_NODES_MAX(g->config.limits_body_bytes);
    w->iicp = (struct iicp){
        .tasks = &w->tasks,
        .node = &g->node,
        .nonces = &g->nonces,
        .ids = g->config.iicp_idempotency ? &g->ids : NULL,
        .origins = &g->origins,
        .shared = &g->iicp_shared,
        .doc = {.nodes = tg_arena_alloc(&w->arena, nodes * sizeof(struct tg_json_node), 64), .capacity = nodes},
    };
    random_seed(&w->iicp.random);
    return w->iicp.doc.nodes ? init_room(w) : -ENOMEM;
}

static void resume(void *context, struct task *t)
{
    struct worker *w = context;
    iicp_task_resume(&w->iicp, t);
}

static void forget(void *context, struct task *t)
{
    struct worker *w = context;
    iicp_task_forget(&w->iicp, t);
}

static void wire(struct worker *w)
{
    struct gateway *g = w->gateway;
    w->tasks.wheel = &w->wheel;
    w->tasks.buffers = &w->buffers;
    w->tasks.admission = &g->admission;
    w->tasks.metrics = &w->metrics;
    w->tasks.context = w;
    w->tasks.resume = resume;
    w->tasks.forget = forget;
    w->tasks.worker = w->index;
    w->tasks.instances = g->instances;
    w->tasks.instance_count = g->instance_count;
    w->tasks.doorbell = w->doorbell;
    w->gate.peers = &g->peers;
    w->gate.metrics = &w->metrics;
    w->gate.buffers = &w->buffers;
    w->gate.proxy = g->config.server_proxy_protocol;
    w->gate.trusted = g->proxy_trusted;
    w->gate.trusted_count = g->proxy_trusted_count;
    w->http.wheel = &w->wheel;
    w->http.buffers = &w->buffers;
    w->http.tasks = &w->tasks;
    w->http.metrics = &w->metrics;
    w->http.routes = gateway_routes;
    w->http.error_reply = &iicp_task_reply;
    w->http.context = w;
}

int worker_init(struct worker *w, struct gateway *g, uint32_t index)
{
    uint32_t conns = (g->config.limits_connections + g->worker_count - 1) / g->worker_count;
    uint32_t tasks_max = conns + SPARE_TASKS;
    size_t body_max = g->config.limits_body_bytes + g->config.limits_head_bytes + (64u << 10);
    w->gateway = g;
    w->index = index;
    w->cpu = topology_worker_cpu(g, index);
    w->gap_ns = NS_PER_MS;
    w->wake_fd = eventfd(0, EFD_CLOEXEC);
    if (w->wake_fd < 0)
        return -errno;
    wire(w);
    int rc = tg_arena_init(&w->arena, arena_bytes(w, conns, tasks_max), TG_ARENA_PRIVATE);
    if (rc == 0) {
        topology_worker_memory(g, index, w->arena.base, w->arena.size);
        rc = buffer_pool_init(&w->buffers, &w->arena, body_max, BUFFER_CLASS_BYTES, BUFFERS_MIN);
    }
    if (rc == 0)
        rc = tg_pool_init(&w->tasks.pool, &w->arena, sizeof(struct task), tasks_max);
    if (rc == 0)
        rc = http_init(&w->http, &w->arena, conns, SCRATCH_BYTES, g->config.limits_body_bytes);
    if (rc == 0)
        rc = gate_init(&w->gate, &w->arena, conns);
    if (rc == 0)
        rc = init_lanes(w);
    if (rc == 0)
        rc = init_spread(w);
    if (rc == 0)
        rc = init_metrics(w);
    if (rc == 0)
        rc = init_tenants(w);
    if (rc == 0)
        rc = init_iicp(w);
    if (rc == 0)
        tg_arena_seal(&w->arena);
    return rc;
}

void worker_join(struct worker *w)
{
    if (w->started)
        pthread_join(w->thread, NULL);
    w->started = false;
}

void worker_finish(struct worker *w)
{
    if (w->net)
        w->net->ops->destroy(w->net);
    crypto_destroy(w->room.crypto);
    close_listeners(w);
    if (w->wake_fd >= 0)
        close(w->wake_fd);
    tg_arena_finish(&w->arena);
}

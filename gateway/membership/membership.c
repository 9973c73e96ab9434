/* SPDX-License-Identifier: Apache-2.0 */
/* Life as a member: the parts of the control loop, and what passes between them and the workers. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/task/ready.h"
#include "gateway/gateway.h"
#include "membership_parts.h"

/* ---- from workers -------------------------------------------------------------------------------------------- */

static void deliver(struct membership *m, const struct iicp_event *e)
{
    if ((e->want & IICP_WANT_RECEIPT) && m->directory)
        directory_task_finished(m->directory, e);
    if ((e->want & IICP_WANT_SPAN) && m->spans)
        spans_add(m->spans, e);
}

static void empty_mailbox(struct gateway *g, struct mailbox *box)
{
    struct iicp_event e;
    while (mailbox_receive(box, &e))
        deliver(&g->membership, &e);
}

/* The mail, until every box is empty and says that it will ring. */
static uint64_t read_mail(void *self, uint64_t now_ns)
{
    struct gateway *g = self;
    (void)now_ns;
    for (uint32_t i = 0; i < g->worker_count; i++) {
        struct mailbox *box = g->workers[i].iicp.events;
        do
            empty_mailbox(g, box);
        while (!mailbox_arm(box));
    }
    return UINT64_MAX;
}

/* ---- to workers ---------------------------------------------------------------------------------------------- */

static void publish_keys(void *context, const struct iicp_keys *keys)
{
    struct gateway *g = context;
    atomic_store_explicit(&g->iicp_shared.keys, keys, memory_order_release); /* I1 pairs with the workers' loads */
}

/* A raised limit rings nobody by itself: workers with tasks that wait are woken to look. */
static void set_max_concurrent(void *context, uint32_t effective)
{
    struct gateway *g = context;
    uint32_t before = atomic_exchange_explicit(&g->admission.max_concurrent, effective, memory_order_relaxed);
    for (uint32_t i = 0; effective > before && i < g->worker_count; i++)
        if (g->workers[i].started)
            worker_wake(&g->workers[i]);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed); /* a counter of one writer */
}

static void add_tasks(const struct metrics *m, struct tally_counts *sum)
{
    for (uint32_t slot = 0; slot < m->intent_slots; slot++)
        for (uint32_t p = 0; p < TG_PRIORITIES; p++) {
            const struct task_metrics *t = &m->tasks[slot][p];
            sum->success += load(&t->outcomes[OUTCOME_SUCCESS]);
            sum->failed += load(&t->outcomes[OUTCOME_ERROR]) + load(&t->outcomes[OUTCOME_TIMEOUT]);
            sum->latency_us += load(&t->latency_sum_us);
        }
}

static void observe(void *context, struct heartbeat_sample *out)
{
    struct gateway *g = context;
    out->active = admission_active(&g->admission);
    out->leaving = atomic_load_explicit(&g->admission.not_ready, memory_order_relaxed);
    for (uint32_t i = 0; i < g->worker_count; i++)
        add_tasks(g->metrics[i], &out->tasks);
}

static bool key_doubted(void *context)
{
    struct gateway *g = context;
    return atomic_exchange_explicit(&g->iicp_shared.key_doubted, false, memory_order_relaxed); /* a hint, by workers */
}

/* The usual way out, with another word at its end. */
static void exit_process(void *context, int code)
{
    struct gateway *g = context;
    g->membership.exit_code = code;
    kill(getpid(), SIGTERM);
}

/* ---- the parts ------------------------------------------------------------------------------------------------- */

/* What the directory's part has seen of the backend, to the workers. */
static uint64_t watch_backend(void *self, uint64_t now_ns)
{
    struct gateway *g = self;
    struct iicp_backend backend = directory_backend(g->membership.directory);
    bool draining = backend.state == IICP_BACKEND_DRAINING;
    (void)now_ns;
    atomic_store_explicit(&g->iicp_shared.backend, iicp_backend_pack(backend), memory_order_relaxed); /* one word says all */
    ready_change(&g->admission, draining ? READY_BACKEND_DRAINING : 0, READY_BACKEND_DRAINING);
    return UINT64_MAX;
}

/* With a share for each device, so that what is offered is what is left. */
static uint32_t base_now(const struct gateway *g)
{
    return devices_share(g, g->config.admission_max_concurrent);
}

static uint64_t watch_devices(void *self, uint64_t now_ns)
{
    struct gateway *g = self;
    uint32_t base = base_now(g);
    (void)now_ns;
    if (base == g->membership.base_offered)
        return UINT64_MAX;
    g->membership.base_offered = base;
    log_info("devices: %u of %u serve, %u tasks at once are offered",
             atomic_load_explicit(&g->devices.up, memory_order_relaxed), g->devices.count, base);
    directory_set_base(g->membership.directory, base);
    return UINT64_MAX;
}

/* Its end comes with the control loop's, after the workers': they read its snapshots of keys. */
static void add_directory(struct gateway *g, const struct directory_options *o)
{
    static const struct directory_hooks functions = {
        NULL, publish_keys, set_max_concurrent, observe, exit_process, key_doubted};
    struct membership *m = &g->membership;
    struct directory_hooks hooks = functions;
    hooks.context = g;
    m->directory = directory_create(control_host(g->control), m->crypto, o, &hooks);
    if (!m->directory) {
        log_error("directory: out of memory");
        return;
    }
    directory_set_capacity(m->directory, base_now(g), &m->windows, m->zone);
    m->zone = NULL; /* the directory's now */
    struct control_part part = directory_part(m->directory), watch = {.name = "backend", .turn = watch_backend, .self = g};
    struct control_part devices = {.name = "devices", .turn = watch_devices, .self = g};
    control_add(g->control, &part);
    control_add(g->control, &watch);
    if (g->devices.count > 1)
        control_add(g->control, &devices);
}

static void end_spans(void *self)
{
    spans_destroy(self);
}

static void add_spans(struct gateway *g)
{
    struct membership *m = &g->membership;
    struct spans_options o = {
        .host = control_host(g->control),
        .endpoint = g->config.trace_endpoint,
        .node_id = m->directory ? directory_node_id(m->directory) : g->node.id, /* it changes in place */
        .intents = m->intents,
        .intent_count = g->instance_count,
        .per_second = g->config.trace_per_second,
        .timeout_ms = g->config.directory_timeout_ms,
    };
    m->spans = spans_create(&o);
    if (!m->spans) {
        log_error("trace.endpoint is too long, or out of memory: no spans are exported");
        return;
    }
    struct control_part part = {.name = "spans", .turn = spans_turn, .finish = end_spans, .self = m->spans};
    control_add(g->control, &part);
}

/* Directories take a changed price from signed heartbeats alone, not from another registration. */
static void warn_of_price(const struct config *c)
{
    if (c->directory_url[0] && c->pricing_enabled && !c->pricing_sign)
        log_warn("pricing.sign is off: a directory that knows this node keeps the price that it has, whatever is changed here");
}

void membership_start(struct gateway *g)
{
    struct directory_options o;
    struct control_part mail = {.name = "mail", .turn = read_mail, .self = g};
    membership_describe(g, &o);
    warn_of_price(&g->config);
    if (g->node.report)
        control_add(g->control, &mail); /* first: what it brings is then seen by the others in the same round */
    add_directory(g, &o);
    if (g->node.report & IICP_WANT_SPAN)
        add_spans(g);
}

void membership_reload(struct gateway *g)
{
    struct membership *m = &g->membership;
    struct iicp_windows windows;
    struct zone *zone;
    if (!m->directory) {
        set_max_concurrent(g, base_now(g));
    } else if (membership_read_windows(&g->config, &windows, &zone) < 0) {
        log_error("reload: the availability windows stay as they were");
        directory_set_base(m->directory, base_now(g));
    } else {
        directory_set_capacity(m->directory, base_now(g), &windows, zone);
    }
}

void membership_close(struct gateway *g)
{
    struct membership *m = &g->membership;
    zone_destroy(m->zone);
    crypto_destroy(m->crypto);
    crypto_wipe(&m->cx, sizeof(m->cx));
    crypto_wipe(m->hmac_key, sizeof(m->hmac_key));
    if (m->locked)
        close(m->lock_fd);
    free(m->capabilities);
    free(m->models);
    free(m->from_backend);
    free(m->intents);
}

/* ---- health ------------------------------------------------------------------------------------------------------ */

/* So soon after the start it is no trouble not to be a member yet. */
#define JOIN_NS (3 * NS_PER_S)

bool membership_directory_away(const struct gateway *g)
{
    const struct directory *d = g->membership.directory;
    uint64_t now_ns = clock_now_ns();
    return d && now_ns > g->started_ns + JOIN_NS && directory_in_trouble(d, now_ns);
}

bool membership_backend_away(const struct gateway *g)
{
    const struct directory *d = g->membership.directory;
    return d && directory_backend(d).state == IICP_BACKEND_DRAINING;
}

/* ---- metrics ----------------------------------------------------------------------------------------------------- */

void membership_export(const struct gateway *g, struct metrics_text *t)
{
    const struct membership *m = &g->membership;
    if (m->directory)
        directory_metrics_export(directory_metrics(m->directory), t);
    if (!m->spans)
        return;
    struct spans_stats s = spans_stats(m->spans);
    metrics_printf(t, "# HELP taskgate_spans_exported_total Spans that a collector took.\n"
                      "# TYPE taskgate_spans_exported_total counter\ntaskgate_spans_exported_total %llu\n"
                      "# HELP taskgate_spans_dropped_total Spans given up.\n"
                      "# TYPE taskgate_spans_dropped_total counter\ntaskgate_spans_dropped_total %llu\n",
                   (unsigned long long)s.exported, (unsigned long long)s.dropped);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Putting the gateway together, and taking it apart in reverse order. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/net/tls.h"
#include "gateway/task/ready.h"
#include "gpu/runner.h"
#include "gateway.h"
#include "gateway/membership/membership_parts.h"

#define WINDOW_BYTES(entries) ((size_t)(entries) * 24 + (1u << 16)) /* more than window_init() will ask for */

/* ---- settings ------------------------------------------------------------------------------------------- */

static struct settings *settings_of(const struct config *c)
{
    struct settings *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    s->http = (struct http_settings){
        .limits = {c->limits_head_bytes, c->limits_target_bytes, c->limits_headers},
        .body_bytes_max = c->limits_body_bytes,
        .pipeline_max = c->limits_pipeline,
        .requests_max = c->limits_requests_per_connection,
        .header_ns = c->timeout_header_ms * NS_PER_MS,
        .body_ns = c->timeout_body_ms * NS_PER_MS,
        .idle_ns = c->timeout_idle_ms * NS_PER_MS,
        .idle_full_ns = c->timeout_idle_full_ms * NS_PER_MS,
        .write_ns = c->timeout_write_ms * NS_PER_MS,
        .gzip_bytes_min = c->http_gzip_min_bytes,
    };
    s->iicp = (struct iicp_settings){c->task_timeout_ms, c->task_timeout_max_ms, c->iicp_allow_tool_execution,
                                     (enum iicp_auth_mode)c->auth_mode};
    s->spin_ns = c->executor_spin_us * NS_PER_US;
    s->power = c->executor_power;
    s->metrics_enabled = c->metrics_enabled;
    return s;
}

/* What a reload can change, made effective; how many tasks are taken also depends on the hour (membership/membership.c). */
static int settings_publish(struct gateway *g)
{
    const struct config *c = &g->config;
    struct settings *s = settings_of(c);
    if (!s)
        return -ENOMEM;
    s->older = atomic_load_explicit(&g->settings, memory_order_relaxed);
    atomic_store_explicit(&g->settings, s, memory_order_release); /* G1 pairs with the workers' loads */
    atomic_store_explicit(&g->admission.base_concurrent, c->admission_max_concurrent, memory_order_relaxed);
    if (!g->membership.directory) /* which offers what the hour leaves of it, once it is there */
        atomic_store_explicit(&g->admission.max_concurrent, devices_share(g, c->admission_max_concurrent),
                              memory_order_relaxed);
    atomic_store_explicit(&g->admission.wait_ms, c->admission_wait_ms, memory_order_relaxed);
    atomic_store_explicit(&g->admission.retry_after_s, c->admission_retry_after_s, memory_order_relaxed);
    atomic_store_explicit(&g->peers.limit, c->limits_connections_per_peer, memory_order_relaxed);
    atomic_store_explicit(&g->origins.limit, c->iicp_task_rate_limit, memory_order_relaxed);
    log_configure((enum tg_log_level)c->log_level, (enum log_format)c->log_format);
    return 0;
}

static void settings_free(struct settings *s)
{
    while (s) {
        struct settings *older = s->older;
        free(s);
        s = older;
    }
}

/* ---- runners -------------------------------------------------------------------------------------------- */

static int instance_create(struct gateway *g, const struct config_runner *r, struct tg_problems *problems)
{
    struct tg_setting settings[64];
    char at[64][192], runner_at[192];
    uint32_t n = 0;
    const char *path = g->config.path ? g->config.path : "built-in";
    for (; n < r->option_count && n < TG_ARRAY_SIZE(settings); n++) {
        const struct config_option *o = &r->options[n];
        if (o->line > 0)
            snprintf(at[n], sizeof(at[n]), "%s:%d", path, o->line);
        else
            snprintf(at[n], sizeof(at[n]), "%s", o->source == CONFIG_FROM_FLAG ? "command line" : "built-in");
        settings[n] = (struct tg_setting){.key = o->key, .value = o->value, .at = at[n]};
    }
    snprintf(runner_at, sizeof(runner_at), r->line > 0 ? "%s:%d" : "%s", path, r->line);
    struct tg_instance_options o = {
        .name = r->name, .at = runner_at, .settings = settings, .setting_count = n};
    return tg_instance_create(&g->host, &o, &g->instances[g->instance_count], problems);
}

static bool intent_taken(const struct gateway *g, const struct tg_instance *in)
{
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (strcmp(g->instances[i]->intent, in->intent) == 0)
            return true;
    return false;
}

static int runners_create(struct gateway *g)
{
    struct tg_problems *problems = calloc(1, sizeof(*problems));
    g->instances = calloc(g->config.runner_count + 1, sizeof(*g->instances));
    int rc = problems && g->instances ? 0 : -ENOMEM;
    for (size_t i = 0; rc != -ENOMEM && i < g->config.runner_count; i++) {
        int one = instance_create(g, &g->config.runners[i], problems);
        if (one == 0 && intent_taken(g, g->instances[g->instance_count])) {
            struct tg_instance *twin = g->instances[g->instance_count];
            tg_problem_add(problems, NULL, "runner.%s: another runner serves %s already; set `intent`", twin->name,
                           twin->intent);
            tg_instance_destroy(twin);
            g->instances[g->instance_count] = NULL;
            one = -EINVAL;
        } else if (one == 0) {
            g->instance_count++;
        }
        rc = one < 0 ? one : rc;
    }
    if (rc == 0 && g->instance_count == 0) {
        tg_problem_add(problems, NULL, "no [runner.NAME] table: there is nothing to serve");
        rc = -EINVAL;
    }
    if (problems && problems->count > 0)
        fprintf(stderr, "%s", problems->text);
    free(problems);
    return rc;
}

/* ---- workers --------------------------------------------------------------------------------------------- */

static int workers_create(struct gateway *g)
{
    g->workers = aligned_alloc(TG_CACHE_SEPARATION, g->worker_count * sizeof(*g->workers));
    g->metrics = calloc(g->worker_count, sizeof(*g->metrics));
    if (!g->workers || !g->metrics)
        return -ENOMEM;
    memset(g->workers, 0, g->worker_count * sizeof(*g->workers));
    for (uint32_t i = 0; i < g->worker_count; i++)
        g->workers[i].wake_fd = -1;
    g->admission.worker_count = g->worker_count;
    for (uint32_t i = 0; i < g->worker_count; i++) {
        struct worker *w = &g->workers[i];
        int rc = worker_init(w, g, i);
        if (rc < 0) {
            log_error("cannot prepare worker %u: %s", i, strerror(-rc));
            return rc;
        }
        w->doorbell = executors_doorbell(g, layout_executors(g), w->wake_fd);
        if (!w->doorbell)
            return -ENOMEM;
        w->tasks.doorbell = w->doorbell;
        w->tls = g->tls ? tls_store_context(g->tls, i) : NULL;
        g->admission.workers[i] = w->doorbell;
        g->metrics[i] = &w->metrics;
    }
    return 0;
}

static int workers_start(struct gateway *g)
{
    for (uint32_t i = 0; i < g->worker_count; i++) {
        int rc = worker_start(&g->workers[i]);
        if (rc < 0) {
            log_error("worker %u: %s", i, g->workers[i].note[0] ? g->workers[i].note : strerror(-rc));
            return rc;
        }
    }
    if (g->workers[0].note[0])
        log_warn("%s: serving on %s", g->workers[0].note, g->workers[0].io);
    return 0;
}

/* ---- the process ------------------------------------------------------------------------------------------ */

/* A descriptor per connection, and some for ourselves. */
static void raise_descriptor_limit(uint32_t connections)
{
    struct rlimit r;
    rlim_t wanted = (rlim_t)connections + 256;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= wanted)
        return;
    r.rlim_cur = TG_MIN(wanted, r.rlim_max);
    if (r.rlim_max < wanted) {
        struct rlimit more = {wanted, wanted};
        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
        log_warn("only %lu descriptors are allowed, limits.connections = %u cannot be reached",
                 (unsigned long)r.rlim_max, connections);
    }
    setrlimit(RLIMIT_NOFILE, &r);
}

/* After everything privileged is open. */
int gateway_drop_privileges(const char *user)
{
    if (!user[0])
        return 0;
    const struct passwd *p = getpwnam(user);
    if (!p) {
        log_error("process.user: there is no user \"%s\"", user);
        return -ENOENT;
    }
    if (initgroups(user, p->pw_gid) < 0 || setgid(p->pw_gid) < 0 || setuid(p->pw_uid) < 0) {
        int rc = -errno;
        log_error("process.user: cannot become \"%s\": %s", user, strerror(-rc));
        return rc;
    }
    return 0;
}

static void describe_node(struct gateway *g)
{
    char host[64] = "node";
    gethostname(host, sizeof(host) - 1);
    snprintf(g->node.id, sizeof(g->node.id), "%s", g->config.node_id[0] ? g->config.node_id : host);
    snprintf(g->node.region, sizeof(g->node.region), "%s", g->config.node_region);
    snprintf(g->node.model, sizeof(g->node.model), "%s", g->config.node_model);
    g->node.instances = g->instances;
    g->node.instance_count = g->instance_count;
}

static int windows_create(struct gateway *g)
{
    const struct config *c = &g->config;
    int rc = tg_arena_init(&g->tables, WINDOW_BYTES(c->iicp_replay_entries) * 2 +
                           WINDOW_BYTES(c->iicp_idempotency_entries) * 2 + peers_bytes(c->limits_connections) +
                           (1u << 20), TG_ARENA_PRIVATE);
    if (rc == 0)
        rc = window_init(&g->nonces, &g->tables, c->iicp_replay_entries, c->iicp_replay_window_s);
    if (rc == 0 && c->iicp_idempotency)
        rc = window_init(&g->ids, &g->tables, c->iicp_idempotency_entries, c->iicp_replay_window_s);
    if (rc == 0)
        rc = rate_init(&g->origins, &g->tables, c->iicp_task_rate_limit);
    if (rc == 0)
        rc = peers_init(&g->peers, &g->tables, c->limits_connections);
    return rc;
}

/* The loader has checked the form. */
static void trust_proxies(struct gateway *g)
{
    const struct config_listen *list = &g->config.server_proxy_trusted;
    for (uint32_t i = 0; i < list->count; i++) {
        struct tg_str text = {list->address[i], strlen(list->address[i])};
        if (!address_prefix_parse(text, &g->proxy_trusted[g->proxy_trusted_count]))
            g->proxy_trusted_count++;
    }
    if (g->config.server_proxy_protocol && list->count == 0)
        log_warn("server.proxy_protocol is on and server.proxy_trusted is empty: every TCP connection is turned away");
}

static const char *where_executors_are(const struct gateway *g)
{
    if (g->devices.count == 0)
        return g->inline_executors ? "inline" : "in its own thread";
    if (g->devices.count == 1)
        return g->devices.process ? "in its own process" : "in its own thread";
    return g->devices.process ? "in a process for each device" : "in a thread for each device";
}

static void log_start(const struct gateway *g)
{
    log_info("taskgate %s: %u worker%s on %s, executor %s, device %s, %u runner%s", TASKGATE_VERSION, g->worker_count,
             g->worker_count == 1 ? "" : "s", g->workers[0].io,
             where_executors_are(g),
             g->device, g->instance_count, g->instance_count == 1 ? "" : "s");
    log_info("memory reserved, touched as it is used: lanes %zu MiB, each worker %zu MiB, tables %zu MiB",
             g->shared.used >> 20, g->workers[0].arena.used >> 20, g->tables.used >> 20);
}

/* ---- what is configured ----------------------------------------------------------------------------------- */

/* Is it the configuration that is wrong, and not the world? Then a start fails as --check-config does. */
static int of_config(struct gateway *g, int rc)
{
    g->misconfigured = rc < 0 && rc != -ENOMEM;
    return rc;
}

/* What needs no thread, no port and no state folder to be judged. */
static int check_rest(struct gateway *g)
{
    int rc = certificates_open(g);
    if (rc == 0)
        rc = listeners_check(g);
    return rc == 0 ? membership_check(g) : rc;
}

/* How many threads, and where they sit. @described: every GPU of the machine counts, and no driver was asked for them. */
static int plan(struct gateway *g, const char *machine, bool described)
{
    int rc = topology_open(g, machine);
    if (rc < 0)
        return rc;
    if (described)
        gpu_describe(g, &g->topology->machine);
    layout_choose(g);
    return topology_place(g);
}

/* A GPU that is not there is no mistake of the configuration's. */
static int choose_devices(struct gateway *g)
{
    int rc = gpu_check(g);
    if (rc == 0)
        rc = gpu_choose(g);
    return rc == -EINVAL ? of_config(g, rc) : rc;
}

static int build(struct gateway *g)
{
    int rc = settings_publish(g);
    atomic_store_explicit(&g->admission.max_concurrent, g->config.admission_max_concurrent, memory_order_relaxed);
    if (rc == 0)
        rc = of_config(g, runners_create(g));
    if (rc < 0)
        return rc;
    raise_descriptor_limit(g->config.limits_connections);
    describe_node(g);
    trust_proxies(g);
    rc = choose_devices(g);
    if (rc == 0)
        rc = of_config(g, plan(g, NULL, false));
    if (rc == 0)
        rc = of_config(g, check_rest(g));
    if (rc == 0)
        topology_settle(g);
    if (rc == 0)
        rc = membership_open(g);
    if (rc == 0)
        rc = layout_lanes(g);
    if (rc == 0)
        rc = windows_create(g);
    if (rc == 0)
        rc = workers_create(g);
    if (rc == 0)
        rc = executors_create(g);
    if (rc == 0)
        rc = listeners_open(g);
    if (rc == 0)
        rc = gateway_drop_privileges(g->config.process_user);
    if (rc == 0)
        rc = membership_secure(g);
    if (rc == 0)
        tg_arena_seal(&g->shared);
    return rc;
}

static const struct tg_host host = {TG_RUNNER_ABI, sizeof(struct tg_host), log_write, clock_now_ns};

static void take_config(struct gateway *g, struct config *config)
{
    *g = (struct gateway){.config = *config, .host = host, .started_ns = clock_now_ns()};
    *config = (struct config){0};
    ready_change(&g->admission, READY_STARTING, 0);
}

int gateway_check(struct gateway *g, struct config *config)
{
    take_config(g, config);
    int rc = of_config(g, runners_create(g));
    if (rc == 0)
        rc = of_config(g, gpu_check(g));
    if (rc == 0)
        rc = of_config(g, plan(g, NULL, false));
    if (rc == 0)
        rc = of_config(g, check_rest(g));
    gateway_stop(g);
    return rc;
}

int gateway_plan(struct gateway *g, struct config *config, const char *machine)
{
    take_config(g, config);
    int rc = runners_create(g);
    if (rc == 0 && !machine)
        rc = choose_devices(g);
    return rc == 0 ? plan(g, machine, machine != NULL) : rc;
}

int gateway_plan_by_bus(struct gateway *g, struct config *config)
{
    take_config(g, config);
    int rc = runners_create(g);
    return rc == 0 ? plan(g, NULL, true) : rc;
}

int gateway_describe(struct gateway *g, struct config *config, struct directory_options *out)
{
    take_config(g, config);
    describe_node(g);
    int rc = of_config(g, runners_create(g));
    describe_node(g); /* now with its runners */
    if (rc == 0)
        rc = of_config(g, membership_check(g));
    if (rc == 0)
        rc = membership_open(g);
    if (rc == 0)
        rc = membership_secure(g);
    if (rc == 0)
        membership_describe(g, out);
    return rc;
}

int gateway_start(struct gateway *g, struct config *config, struct control *control)
{
    take_config(g, config);
    g->control = control;
    int rc = build(g);
    for (uint32_t i = 0; rc == 0 && !g->inline_executors && i < g->executor_count; i++)
        rc = tg_executor_start(g->executors[i]);
    if (rc == 0)
        rc = devices_listen(g);
    if (rc == 0)
        membership_start(g);
    if (rc == 0)
        usage_open(g);
    if (rc == 0)
        rc = workers_start(g);
    if (rc < 0) {
        gateway_stop(g);
        return rc;
    }
    ready_change(&g->admission, 0, READY_STARTING);
    log_start(g);
    parts_add(g);
    return 0;
}

static void give_order(struct gateway *g, enum gateway_order order)
{
    atomic_store_explicit(&g->order, order, memory_order_release);
    for (uint32_t i = 0; i < g->worker_count && g->workers; i++)
        if (g->workers[i].started)
            worker_wake(&g->workers[i]);
}

static bool workers_done(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->worker_count; i++)
        if (atomic_load_explicit(&g->workers[i].state, memory_order_acquire) == WORKER_SERVING)
            return false;
    return true;
}

void gateway_say_not_ready(struct gateway *g)
{
    ready_change(&g->admission, READY_DRAINING, 0);
}

void gateway_refuse_work(struct gateway *g)
{
    gateway_say_not_ready(g);
    atomic_store_explicit(&g->admission.draining, 1, memory_order_relaxed);
    give_order(g, ORDER_DRAIN);
}

bool gateway_drained(const struct gateway *g)
{
    return workers_done(g);
}

bool gateway_gave_up(const struct gateway *g)
{
    return atomic_load_explicit(&g->devices.gave_up, memory_order_relaxed); /* asked after the signal it sends */
}

void gateway_join(struct gateway *g)
{
    give_order(g, ORDER_STOP);
    for (uint32_t i = 0; g->workers && i < g->worker_count; i++)
        worker_join(&g->workers[i]);
    devices_stop(g);
}

void gateway_stop(struct gateway *g)
{
    gateway_join(g);
    usage_close(g);
    for (uint32_t i = 0; g->executors && i < g->executor_count; i++)
        tg_executor_destroy(g->executors[i]);
    for (uint32_t i = 0; g->workers && i < g->worker_count; i++)
        worker_finish(&g->workers[i]);
    membership_close(g);
    listeners_remove_files(g);
    tls_store_close(g->tls);
    free(g->executors);
    free(g->workers);
    free(g->metrics);
    tg_arena_finish(&g->shared);
    tg_arena_finish(&g->tables);
    free(g->lanes);
    for (uint32_t i = 0; i < g->instance_count; i++)
        tg_instance_destroy(g->instances[i]);
    free(g->instances);
    topology_close(g);
    settings_free(atomic_load_explicit(&g->settings, memory_order_relaxed));
    config_finish(&g->first);
    config_finish(&g->config);
}

static void log_change(void *arg, const struct config_change *change)
{
    (void)arg;
    if (change->reloadable)
        log_info("reload: %s = %s (was %s)", change->key, change->next, change->now);
    else
        log_warn("reload: %s = %s needs a restart; still %s", change->key, change->next, change->now);
}

void gateway_reload(struct gateway *g, struct config *next)
{
    if (config_diff(&g->config, next, log_change, NULL) == 0)
        log_info("reload: nothing has changed");
    if (config_keep(next, &g->config) < 0) {
        log_error("reload: out of memory, nothing was changed");
        return;
    }
    struct config old = g->config;
    g->config = *next;
    *next = g->reloaded ? old : (struct config){0}; /* the caller finishes it */
    if (!g->reloaded)
        g->first = old;
    g->reloaded = true;
    if (settings_publish(g) < 0)
        log_error("reload: out of memory, the old settings stay in force");
    certificates_reload(g);
    membership_reload(g);
    for (uint32_t i = 0; i < g->worker_count; i++)
        worker_wake(&g->workers[i]);
}

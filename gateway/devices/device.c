/* SPDX-License-Identifier: Apache-2.0 */
/* Devices from their start to their end, and what the news of their keepers mean for tasks and readiness. */
#include "device.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "gateway/base/log.h"
#include "gateway/base/thread.h"
#include "gateway/net/tls.h"
#include "gateway/gateway.h"

#define LOOK_MS 250 /* between two looks at devices of which nobody tells */

uint32_t device_reasons(const struct device *d)
{
    return atomic_load_explicit(&d->reasons, memory_order_relaxed);
}

uint32_t devices_missing(const struct gateway *g)
{
    const struct machine *m = &g->topology->machine;
    uint32_t missing = g->devices.missing;
    bool on_bus = false;
    for (uint32_t i = 0; i < m->device_count; i++)
        on_bus |= m->devices[i].kind == MACHINE_GPU;
    return missing == READY_NO_DRIVER && !on_bus ? 0 : missing;
}

/* ---- starting -------------------------------------------------------------------------------------------------- */

struct device *device_add(struct gateway *g, const char *backend, const char *spec, const char *visible)
{
    struct devices *all = &g->devices;
    if (all->count == TG_DEVICES_MAX)
        return NULL;
    struct device *d = &all->list[all->count];
    d->gateway = g;
    d->number = all->count + 1;
    d->backend = backend;
    snprintf(d->name, sizeof(d->name), "%s%u", backend, all->count);
    snprintf(d->spec, sizeof(d->spec), "%s", spec);
    snprintf(d->visible, sizeof(d->visible), "%s", visible);
    all->count++;
    return d;
}

/*
 * First thing in a keeper. It and its executors have no business with listeners, keys, root's rights or the other
 * keepers; and of all GPUs its executor is to see one.
 */
static int enter(void *context)
{
    const struct device *d = context;
    struct gateway *g = d->gateway;
    for (uint32_t i = 0; i < g->devices.count; i++)
        if (g->devices.list[i].keeper)
            close(tg_keeper_fd(g->devices.list[i].keeper));
    if (d->visible[0] && setenv("CUDA_VISIBLE_DEVICES", d->visible, 1) < 0)
        return -ENOMEM;
    topology_own_memory(g, d->number);
    listen_inherit_drop();
    tls_store_close(g->tls);
    return gateway_drop_privileges(g->config.process_user);
}

static int start_process(struct gateway *g, struct device *d, const struct tg_executor_options *o)
{
    const struct config *c = &g->config;
    struct tg_keeper_options k = {
        .executor = *o,
        .enter = enter,
        .context = d,
        .hang_ms = c->executor_hang_ms,
        .start_ms = c->executor_start_ms,
        .deaths_max = c->executor_deaths_max,
        .deaths_window_ms = c->executor_deaths_window_ms,
        .retry_ms = c->executor_retry_ms,
    };
    return tg_keeper_start(&k, &g->shared, &d->keeper);
}

static void start_one(struct gateway *g, struct device *d)
{
    struct tg_doorbell *workers[ADMISSION_WORKERS_MAX];
    struct tg_executor_options o = executors_options(g, d->number, workers);
    struct tg_error why = {0};
    o.backend = d->backend;
    o.backend_spec = d->spec[0] ? d->spec : NULL;
    o.threads = layout_compute_threads(g);
    o.doorbell = d->doorbell;
    o.pace = d->pace;
    bool process = g->devices.process;
    int rc = process ? start_process(g, d, &o) : tg_executor_create(&o, &d->executor, &why);
    if (rc == 0)
        return;
    log_error("device %s cannot be opened: %s", d->name, why.message[0] ? why.message : strerror(-rc));
    atomic_store_explicit(&d->reasons, process ? READY_KEEPER_LOST : READY_DEVICE_WITHDRAWN,
                          memory_order_relaxed);
}

int devices_make_room(struct gateway *g)
{
    for (uint32_t i = 0; i < g->devices.count; i++) {
        struct device *d = &g->devices.list[i];
        d->doorbell = executors_doorbell(g, g->worker_count, -1);
        d->pace = tg_arena_alloc(&g->shared, g->instance_count * sizeof(*d->pace), TG_CACHE_SEPARATION);
        if (!d->doorbell || !d->pace)
            return -ENOMEM;
    }
    return 0;
}

/* ---- news ------------------------------------------------------------------------------------------------------ */

/* Why nobody serves this instance, or 0. */
static uint32_t unserved(const struct gateway *g, const struct tg_instance *in, uint32_t out, uint32_t waiting)
{
    uint32_t devices = tg_instance_devices(in), left = devices & ~out, reasons = 0;
    if (devices == 0 || (left & ~waiting) || (left == 0 && in->executors & 1))
        return 0;
    for (uint32_t bits = left ? left : devices; bits; bits &= bits - 1)
        reasons |= device_reasons(&g->devices.list[__builtin_ctz(bits) - 1]);
    return reasons;
}

/* The control thread takes the signal as it takes the operator's: it drains, and the exit status says why. */
static void give_up_if_told(struct gateway *g)
{
    if (g->config.executor_when_withdrawn != CONFIG_WITHDRAWN_EXIT ||
        atomic_load_explicit(&g->devices.gave_up, memory_order_relaxed)) /* a second signal would cut the drain short */
        return;
    log_error("giving up, as executor.when_withdrawn says: a runner has no device left");
    atomic_store_explicit(&g->devices.gave_up, 1, memory_order_relaxed); /* read after the signal, and after joining */
    kill(getpid(), SIGTERM);
}

static bool has_none_left(const struct tg_instance *in, uint32_t out)
{
    return tg_instance_devices(in) && !(tg_instance_devices(in) & ~out);
}

static bool any_has_none_left(const struct gateway *g, uint32_t out)
{
    bool any = false;
    for (uint32_t i = 0; i < g->instance_count; i++)
        any |= has_none_left(g->instances[i], out);
    return any;
}

/* Until the first of those withdrawn is tried again; 0: none is. */
static uint32_t retry_ms(const struct gateway *g)
{
    uint32_t least = UINT32_MAX;
    for (uint32_t i = 0; i < g->devices.count; i++)
        if (g->devices.list[i].retry_ms > 0)
            least = TG_MIN(least, g->devices.list[i].retry_ms);
    return least == UINT32_MAX ? 0 : least;
}

static void wake_control(const struct gateway *g)
{
    uint64_t one = 1;
    if (write(control_event_fd(g->control), &one, sizeof(one)) < 0 && errno != EAGAIN)
        log_error("cannot wake the control thread: %s", strerror(errno));
}

/* Once for as long as it holds, with what comes of it for each. */
static void tell_none_left(struct gateway *g)
{
    uint32_t out = atomic_load_explicit(&g->admission.devices_out, memory_order_relaxed);
    bool told = g->devices.none_left_told;
    for (uint32_t i = 0; i < g->instance_count && !told; i++) {
        const struct tg_instance *in = g->instances[i];
        if (has_none_left(in, out))
            log_warn("runner.%s: no device is left: %s", in->name,
                     in->executors & 1 ? "the cpu stands in" : "its tasks are refused");
    }
    g->devices.none_left_told = any_has_none_left(g, out);
}

/* From the state of each device to what workers, balancers and directories are to know. */
static void add_up(struct gateway *g)
{
    uint32_t out = 0, waiting = 0, reasons = 0;
    for (uint32_t i = 0; i < g->devices.count; i++) {
        uint32_t why = device_reasons(&g->devices.list[i]), bit = 1u << g->devices.list[i].number;
        out |= why & READY_REFUSES ? bit : 0;
        waiting |= why ? bit : 0;
    }
    for (uint32_t i = 0; i < g->instance_count; i++)
        reasons |= unserved(g, g->instances[i], out, waiting);
    atomic_store_explicit(&g->admission.device_retry_ms, retry_ms(g), memory_order_relaxed);
    atomic_store_explicit(&g->admission.devices_waiting, waiting, memory_order_relaxed);
    atomic_store_explicit(&g->admission.devices_out, out, memory_order_relaxed);
    atomic_store_explicit(&g->devices.up, g->devices.count - (uint32_t)__builtin_popcount(out), memory_order_relaxed);
    ready_change(&g->admission, reasons, DEVICE_REASONS);
}

static uint32_t reasons_in(const struct tg_keeper_news *news)
{
    switch (news->state) {
    case TG_KEEPER_UP:
        return 0;
    case TG_KEEPER_WITHDRAWN:
        return READY_DEVICE_WITHDRAWN | (ready_named(news->reason) & DEVICE_REASONS);
    default:
        return READY_DEVICE_RESTARTING | (ready_named(news->reason) & DEVICE_REASONS);
    }
}

static void say(const struct device *d, const struct tg_keeper_news *news)
{
    if (news->state == TG_KEEPER_UP)
        log_warn("device %s: %s", d->name, news->text);
    else if (news->state == TG_KEEPER_WITHDRAWN)
        log_error("device_withdrawn: %s: given up for now, the executor process died: %s; next try in %u ms",
                  d->name, news->text, news->retry_ms);
    else
        log_error("device_restarting: %s: the executor process died: %s", d->name, news->text);
}

/* Changes of @d alone; add_up() makes the sum. */
static void take(struct device *d, const struct tg_keeper_news *news)
{
    d->retry_ms = news->retry_ms;
    atomic_store_explicit(&d->reasons, reasons_in(news), memory_order_relaxed);
}

static bool leaving(const struct gateway *g)
{
    return atomic_load_explicit(&g->devices.leaving, memory_order_acquire);
}

static void lose_keeper(struct device *d)
{
    d->retry_ms = 0;
    atomic_store_explicit(&d->reasons, READY_KEEPER_LOST, memory_order_relaxed);
}

static void say_lost(const struct device *d)
{
    log_error("keeper_lost: %s: the keeper of the executor process is gone; nothing is sent there until a restart",
              d->name);
}

/* Nobody else takes from its lanes any more. */
static void refuse_rows(struct gateway *g, const struct device *d)
{
    struct tg_doorbell *workers[ADMISSION_WORKERS_MAX];
    struct tg_executor_options o = executors_options(g, d->number, workers);
    tg_keeper_refuse(d->keeper, &o);
}

/* What follows from the sum. */
static void act_on(struct gateway *g)
{
    tell_none_left(g);
    wake_control(g);
    if (any_has_none_left(g, atomic_load_explicit(&g->admission.devices_out, memory_order_relaxed)))
        give_up_if_told(g);
}

/* Tasks first go elsewhere, then it is said that they do. Returns false once there will be no more news. */
static bool hear(struct gateway *g, struct device *d)
{
    struct tg_keeper_news news;
    bool heard = tg_keeper_wait(d->keeper, &news) == 0, told = !leaving(g); /* on the way out, for nobody */
    if (heard)
        take(d, &news);
    else
        lose_keeper(d);
    if (told)
        add_up(g);
    if (heard)
        say(d, &news);
    else if (told)
        say_lost(d);
    if (told)
        act_on(g);
    return heard;
}

/* A device in a thread is opened again by its executor, which also logs it. */
static void look_at_thread(struct gateway *g, struct device *d)
{
    uint32_t reasons = tg_executor_lost(d->executor) ? READY_DEVICE_LOST : 0;
    if (reasons == device_reasons(d) || leaving(g))
        return;
    atomic_store_explicit(&d->reasons, reasons, memory_order_relaxed);
    add_up(g);
    tell_none_left(g);
    wake_control(g);
}

/* One device's turn. What is sent to one without a keeper, or was on its way there, is answered here. */
static void attend(struct gateway *g, struct device *d, struct pollfd *p)
{
    if (p->fd >= 0 && p->revents && !hear(g, d))
        p->fd = -1;
    if (p->fd < 0 && d->keeper)
        refuse_rows(g, d);
    else if (d->executor)
        look_at_thread(g, d);
}

static uint32_t count_open(const struct pollfd *p, uint32_t n)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < n; i++)
        open += p[i].fd >= 0;
    return open;
}

static void *listen_main(void *argument)
{
    struct gateway *g = argument;
    struct pollfd p[TG_DEVICES_MAX];
    uint32_t n = g->devices.count, open;
    pthread_setname_np(pthread_self(), "device");
    for (uint32_t i = 0; i < n; i++) {
        const struct tg_keeper *k = g->devices.list[i].keeper;
        p[i] = (struct pollfd){.fd = k ? tg_keeper_fd(k) : -1, .events = POLLIN};
    }
    while ((open = count_open(p, n)) > 0 || !leaving(g)) {
        if (poll(p, n, open == n ? -1 : LOOK_MS) < 0 && errno != EINTR)
            break;
        for (uint32_t i = 0; i < n; i++)
            attend(g, &g->devices.list[i], &p[i]);
    }
    return NULL;
}

int devices_listen(struct gateway *g)
{
    struct devices *all = &g->devices;
    for (uint32_t i = 0; i < all->count; i++)
        if (all->list[i].executor) {
            int rc = tg_executor_start(all->list[i].executor);
            if (rc < 0)
                return rc;
        }
    if (all->count == 0)
        return 0;
    int rc = -pthread_create(&all->listener, NULL, listen_main, g);
    all->listening = rc == 0;
    return rc;
}

/* ---- the first news of all ------------------------------------------------------------------------------------- */

/* A device may take a minute to open, or hang: who wants the gateway to end is not kept waiting. */
static bool has_news(const struct device *d)
{
    struct pollfd p = {.fd = tg_keeper_fd(d->keeper), .events = POLLIN};
    while (poll(&p, 1, LOOK_MS) == 0)
        if (thread_told_to_end())
            return false;
    return true;
}

/* Is it up? One that is not will be tried again by its keeper. */
static bool await_one(struct device *d)
{
    struct tg_keeper_news news;
    if (device_reasons(d))
        return false;
    if (!d->keeper)
        return true;
    if (!has_news(d)) {
        log_warn("device %s: not waited for, since the gateway is to end", d->name);
        atomic_store_explicit(&d->reasons, READY_DEVICE_RESTARTING, memory_order_relaxed);
        return false;
    }
    if (tg_keeper_wait(d->keeper, &news) < 0) {
        log_error("device %s: the keeper of the executor process ended at once", d->name);
        atomic_store_explicit(&d->reasons, READY_KEEPER_LOST, memory_order_relaxed);
        return false;
    }
    take(d, &news);
    if (news.state != TG_KEEPER_UP)
        log_error("device %s cannot be opened: %s", d->name, news.text);
    return news.state == TG_KEEPER_UP;
}

int devices_start(struct gateway *g)
{
    struct devices *all = &g->devices;
    uint32_t up = 0;
    for (uint32_t i = 0; i < all->count; i++)
        start_one(g, &all->list[i]);
    for (uint32_t i = 0; i < all->count; i++)
        up += await_one(&all->list[i]);
    if (all->count > 0 && up == 0 && !gpu_may_do_without(g))
        return -ENODEV;
    add_up(g);
    tell_none_left(g);
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------------------------- */

void devices_stop(struct gateway *g)
{
    struct devices *all = &g->devices;
    atomic_store_explicit(&all->leaving, 1, memory_order_release);
    for (uint32_t i = 0; i < all->count; i++)
        if (all->list[i].keeper)
            tg_keeper_tell_to_stop(all->list[i].keeper);
    for (uint32_t i = 0; i < all->count; i++)
        if (all->list[i].keeper)
            tg_keeper_stop(all->list[i].keeper);
    if (all->listening)
        pthread_join(all->listener, NULL);
    all->listening = false;
    for (uint32_t i = 0; i < all->count; i++) {
        tg_keeper_destroy(all->list[i].keeper);
        tg_executor_destroy(all->list[i].executor);
    }
    all->count = 0;
}

/* ---- what it is ------------------------------------------------------------------------------------------------ */

uint32_t devices_share(const struct gateway *g, uint32_t all)
{
    uint32_t count = g->devices.count, up = atomic_load_explicit(&g->devices.up, memory_order_relaxed);
    if (count == 0)
        return all;
    return (uint32_t)TG_MAX((uint64_t)all * TG_MAX(up, 1u) / count, 1u);
}

void device_describe(const struct device *d, struct tg_executor_info *info)
{
    *info = (struct tg_executor_info){.backend = d->backend};
    if (d->keeper)
        tg_keeper_describe(d->keeper, info);
    else if (d->executor)
        tg_executor_describe(d->executor, info);
}

void device_stats(const struct device *d, struct tg_executor_stats *stats)
{
    *stats = (struct tg_executor_stats){0};
    if (d->keeper)
        tg_keeper_stats(d->keeper, stats);
    else if (d->executor)
        tg_executor_stats(d->executor, stats);
}

struct tg_keeper_counts device_counts(const struct device *d)
{
    struct tg_keeper_counts n = {0};
    if (d->keeper)
        tg_keeper_counts(d->keeper, &n);
    return n;
}

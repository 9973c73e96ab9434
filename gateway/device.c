/* SPDX-License-Identifier: Apache-2.0 */
/* What the news of a device's keeper mean for the gateway: readiness, refusals, the log, and giving up. */
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include "gateway/base/log.h"
#include "gateway/net/tls.h"
#include "gateway/task/ready.h"
#include "gateway.h"

#define DEVICE_REASONS                                                                                         \
    ((uint32_t)(READY_DEVICE_RESTARTING | READY_DEVICE_WITHDRAWN | READY_DEVICE_LOST | READY_KEEPER_LOST |      \
                READY_NO_DRIVER | READY_DRIVER_TOO_OLD | READY_NO_DEVICE))

/* The keeper and its executors have no business with listeners, keys or root's rights. */
static int enter(void *context)
{
    struct gateway *g = context;
    listen_inherit_drop();
    tls_store_close(g->tls);
    return gateway_drop_privileges(g->config.process_user);
}

int device_start(struct gateway *g, const struct tg_executor_options *o, struct tg_error *why)
{
    const struct config *c = &g->config;
    struct tg_keeper_options k = {
        .executor = *o,
        .enter = enter,
        .context = g,
        .hang_ms = c->executor_hang_ms,
        .start_ms = c->executor_start_ms,
        .deaths_max = c->executor_deaths_max,
        .deaths_window_ms = c->executor_deaths_window_ms,
        .retry_ms = c->executor_retry_ms,
    };
    return tg_keeper_start(&k, &g->shared, &g->process.keeper, why);
}

/* ---- news ---------------------------------------------------------------------------------------------- */

/* The control thread takes the signal as it takes the operator's: it drains, and the exit status says why. */
static void give_up_if_told(struct gateway *g)
{
    if (g->config.executor_when_withdrawn != CONFIG_WITHDRAWN_EXIT)
        return;
    log_error("giving up the device, as executor.when_withdrawn says");
    atomic_store_explicit(&g->process.gave_up, 1, memory_order_relaxed); /* read after the signal, and after joining */
    kill(getpid(), SIGTERM);
}

static uint32_t reasons_of(const struct tg_keeper_news *news)
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

static void say(const struct tg_keeper_news *news)
{
    if (news->state == TG_KEEPER_UP)
        log_warn("device: %s", news->text);
    else if (news->state == TG_KEEPER_WITHDRAWN)
        log_error("device_withdrawn: the executor process died too often, last: %s; next try in %u ms", news->text,
                  news->retry_ms);
    else
        log_error("device_restarting: the executor process died: %s", news->text);
}

static void take(struct gateway *g, const struct tg_keeper_news *news)
{
    atomic_store_explicit(&g->admission.device_retry_ms, news->retry_ms, memory_order_relaxed);
    ready_change(&g->admission, reasons_of(news), DEVICE_REASONS);
    say(news);
    if (news->state == TG_KEEPER_WITHDRAWN)
        give_up_if_told(g);
}

static void *listen_main(void *argument)
{
    struct gateway *g = argument;
    struct tg_keeper_news news;
    pthread_setname_np(pthread_self(), "device");
    while (tg_keeper_wait(g->process.keeper, &news) == 0)
        take(g, &news);
    if (atomic_load_explicit(&g->process.leaving, memory_order_acquire))
        return NULL;
    ready_change(&g->admission, READY_KEEPER_LOST, DEVICE_REASONS);
    log_error("keeper_lost: the keeper of the executor process is gone; tasks are refused until a restart");
    give_up_if_told(g);
    return NULL;
}

int device_listen(struct gateway *g)
{
    if (!g->process.keeper)
        return 0;
    int rc = -pthread_create(&g->process.listener, NULL, listen_main, g);
    g->process.listening = rc == 0;
    return rc;
}

void device_stop(struct gateway *g)
{
    if (!g->process.keeper)
        return;
    atomic_store_explicit(&g->process.leaving, 1, memory_order_release);
    tg_keeper_stop(g->process.keeper);
    if (g->process.listening)
        pthread_join(g->process.listener, NULL);
    tg_keeper_destroy(g->process.keeper);
    g->process.keeper = NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: reload, drain, stop. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/control/notify.h"
#include "gateway.h"
#include "serve.h"

enum { EXIT_CLEAN = 0, EXIT_NO_START = 1, EXIT_CUT = 3, EXIT_GAVE_UP = 4 };

#define DRAIN_LOOK_MS 10
#define CERTIFICATE_LOOK_S 2

static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, set, NULL); /* inherited by every thread: only this one takes them */
    signal(SIGPIPE, SIG_IGN);
}

static void reload(struct gateway *g, const struct serve_source *source)
{
    struct config next = {0};
    struct config_report report = {0};
    notify_reloading();
    int rc = config_load(&next, source->argc, source->argv, source->envp, &report);
    if (rc == 0) {
        gateway_reload(g, &next);
    } else {
        log_error("reload: the configuration has errors, nothing was changed");
        for (size_t i = 0; i < report.count; i++)
            log_error("reload: %s", report.lines[i]);
    }
    config_report_finish(&report);
    config_finish(&next);
    notify_ready();
}

/* Sleep up to @ms, or until another TERM or INT says that it takes too long. True if one came. */
static bool pause_or_signal(const sigset_t *set, uint32_t ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    int sig = sigtimedwait(set, NULL, &t);
    return sig == SIGTERM || sig == SIGINT;
}

static bool drain(struct gateway *g, const sigset_t *set)
{
    uint64_t until = clock_now_ns() + g->config.shutdown_drain_ms * NS_PER_MS;
    gateway_refuse_work(g);
    while (!gateway_drained(g)) {
        if (pause_or_signal(set, DRAIN_LOOK_MS)) {
            log_warn("second signal: cutting what is left");
            return false;
        }
        if (clock_now_ns() >= until) {
            log_warn("not drained within %u ms: cutting what is left", g->config.shutdown_drain_ms);
            return false;
        }
    }
    return true;
}

/* The next one, with a look at the certificates every now and then. */
static int next_signal(struct gateway *g, const sigset_t *set)
{
    static const struct timespec look = {.tv_sec = CERTIFICATE_LOOK_S};
    int sig;
    while ((sig = g->tls ? sigtimedwait(set, NULL, &look) : sigwaitinfo(set, NULL)) < 0)
        if (errno == EAGAIN)
            certificates_look(g);
    return sig;
}

int serve_main(struct config *config, const struct serve_source *source)
{
    sigset_t set;
    struct gateway gateway;
    block_signals(&set);
    if (gateway_start(&gateway, config) < 0)
        return EXIT_NO_START;
    notify_ready();
    int sig;
    while ((sig = next_signal(&gateway, &set)) == SIGHUP)
        reload(&gateway, source);
    log_info("%s: draining", sig == SIGINT ? "interrupted" : "asked to stop");
    notify_stopping();
    gateway_say_not_ready(&gateway);
    bool hurry = gateway.config.shutdown_grace_ms > 0 && pause_or_signal(&set, gateway.config.shutdown_grace_ms);
    bool drained = !hurry && drain(&gateway, &set);
    gateway_stop(&gateway);
    log_info("stopped%s", drained ? "" : ", some connections were cut");
    return gateway_gave_up(&gateway) ? EXIT_GAVE_UP : drained ? EXIT_CLEAN : EXIT_CUT;
}

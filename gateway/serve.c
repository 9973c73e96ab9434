/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a serving process, as a part of the control loop: serve and reload, grace, drain, over. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/control/control.h"
#include "gateway/control/notify.h"
#include "gateway.h"
#include "serve.h"

enum { EXIT_CLEAN = 0, EXIT_NO_START = 1, EXIT_CUT = 3, EXIT_GAVE_UP = 4, EXIT_CONFIG = 78 };

#define DRAIN_LOOK_MS 10
#define CERTIFICATE_LOOK_MS 2000
#define FAREWELL_MS 5000 /* for the parts to take leave, while connections drain */

enum serve_state {
    SERVE_SERVING,
    SERVE_GRACE, /* health says not ready, work is still taken */
    SERVE_DRAINING,
    SERVE_OVER,
};

struct serve {
    struct gateway gateway;
    struct control *control;
    const struct serve_source *source;
    enum serve_state state;
    uint64_t until_ns;    /* end of grace, or of the drain */
    uint64_t farewell_ns; /* nobody waits for parts after this */
    uint64_t certificates_ns;
    bool drained;
};

/* ---- serving ----------------------------------------------------------------------------------------------- */

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

static uint64_t look_at_certificates(struct serve *s, uint64_t now)
{
    if (!s->gateway.tls)
        return UINT64_MAX;
    if (now >= s->certificates_ns) {
        certificates_look(&s->gateway);
        s->certificates_ns = now + CERTIFICATE_LOOK_MS * NS_PER_MS;
    }
    return s->certificates_ns;
}

/* ---- the way out ------------------------------------------------------------------------------------------- */

static void end(struct serve *s, bool drained)
{
    s->drained = drained;
    s->state = SERVE_OVER;
}

static void start_drain(struct serve *s, uint64_t now)
{
    s->state = SERVE_DRAINING;
    s->until_ns = now + s->gateway.config.shutdown_drain_ms * NS_PER_MS;
    gateway_refuse_work(&s->gateway);
}

static void start_leaving(struct serve *s, int sig)
{
    uint64_t now = clock_now_ns();
    log_info("%s: draining", sig == SIGINT ? "interrupted" : "asked to stop");
    notify_stopping();
    gateway_say_not_ready(&s->gateway);
    s->farewell_ns = now + FAREWELL_MS * NS_PER_MS;
    s->until_ns = now + s->gateway.config.shutdown_grace_ms * NS_PER_MS;
    s->state = SERVE_GRACE;
    control_leave(s->control); /* directories should send nobody any more, grace or not */
}

/* Parts that cannot take leave (a directory that is away) hold nobody up for long, and are no cut connection. */
static bool farewell_over(const struct serve *s, uint64_t now)
{
    char names[256];
    if (control_left(s->control))
        return true;
    if (now < s->farewell_ns)
        return false;
    control_still_here(s->control, names, sizeof(names));
    log_warn("not waiting any longer for: %s", names);
    return true;
}

static uint64_t drain(struct serve *s, uint64_t now)
{
    bool drained = gateway_drained(&s->gateway);
    if (drained && farewell_over(s, now)) {
        end(s, true);
    } else if (!drained && now >= s->until_ns) {
        log_warn("not drained within %u ms: cutting what is left", s->gateway.config.shutdown_drain_ms);
        end(s, false);
    }
    return now + DRAIN_LOOK_MS * NS_PER_MS;
}

/* ---- the loop ---------------------------------------------------------------------------------------------- */

static uint64_t turn(void *self, uint64_t now)
{
    struct serve *s = self;
    if (s->state == SERVE_GRACE && now >= s->until_ns)
        start_drain(s, now);
    switch (s->state) {
    case SERVE_SERVING:
        return look_at_certificates(s, now);
    case SERVE_GRACE:
        return s->until_ns;
    case SERVE_DRAINING:
        return drain(s, now);
    default:
        return 0;
    }
}

static void on_signal(void *context, int sig)
{
    struct serve *s = context;
    if (s->state == SERVE_SERVING) {
        if (sig == SIGHUP)
            reload(&s->gateway, s->source);
        else
            start_leaving(s, sig);
    } else if (s->state != SERVE_OVER && sig != SIGHUP) {
        log_warn("second signal: cutting what is left");
        end(s, false);
    }
}

/* Inherited by every thread: only the control loop takes them. */
static void block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Keys and payloads lie in this memory. Executor processes inherit it. */
static void forbid_core_dumps(void)
{
    if (setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) < 0)
        log_warn("core dumps cannot be forbidden: %s", strerror(errno));
}

/* Whatever is run from here on, by a plugin say, gets no more rights than this process has. */
static void forbid_new_privileges(void)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        log_warn("programs that gain privileges cannot be forbidden: %s", strerror(errno));
}

static int start(struct serve *s, struct config *config)
{
    struct control_options o = {"taskgate/" TASKGATE_VERSION, on_signal, s};
    struct control_part life = {.name = "life", .turn = turn, .self = s};
    int rc = control_create(&o, &s->control);
    if (rc < 0) {
        log_error("cannot prepare the control loop: %s", strerror(-rc));
        return rc;
    }
    control_add(s->control, &life);
    rc = gateway_start(&s->gateway, config, s->control);
    if (rc < 0)
        control_destroy(s->control);
    return rc;
}

int serve_main(struct config *config, const struct serve_source *source)
{
    struct serve s = {.source = source};
    block_signals();
    forbid_core_dumps();
    forbid_new_privileges();
    if (start(&s, config) < 0)
        return s.gateway.misconfigured ? EXIT_CONFIG : EXIT_NO_START;
    notify_ready();
    while (s.state != SERVE_OVER)
        control_turn(s.control);
    int asked = gateway_gave_up(&s.gateway) ? EXIT_GAVE_UP : s.gateway.membership.exit_code;
    gateway_join(&s.gateway);
    control_destroy(s.control);
    gateway_stop(&s.gateway);
    log_info("stopped%s", s.drained ? "" : ", some connections were cut");
    return asked ? asked : s.drained ? EXIT_CLEAN : EXIT_CUT;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One round after another: parts whose time has come, then client_turn(), then what woke it. */
#include "control.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>
#include "gateway/base/clock.h"
#include "gateway/base/random.h"

enum { FD_SIGNALS, FD_MAIL, FD_COUNT };

struct member {
    struct control_part part;
    uint64_t due_ns;
};

struct control {
    struct client *client;
    struct client_fd fds[FD_COUNT];
    struct control_host host;
    struct control_options options;
    struct member members[CONTROL_PARTS_MAX];
    uint32_t member_count;
    bool leaving;
};

/* ---- the host table -------------------------------------------------------------------------------------- */

static uint64_t host_now_ns(void *context)
{
    (void)context;
    return clock_now_ns();
}

static int64_t host_unix_ms(void *context)
{
    struct timespec t;
    (void)context;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t host_submit(void *context, const struct client_request *rq, client_done *done, void *done_context)
{
    struct control *c = context;
    return c->client ? client_submit(c->client, rq, done, done_context) : 0;
}

static void host_cancel(void *context, uint64_t id)
{
    struct control *c = context;
    if (c->client)
        client_cancel(c->client, id);
}

static void host_random(void *context, void *out, size_t n)
{
    (void)context;
    random_bytes(out, n);
}

const struct control_host *control_host(const struct control *c)
{
    return &c->host;
}

/* ---- life ------------------------------------------------------------------------------------------------ */

static int open_fds(struct control *c)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    c->fds[FD_SIGNALS].fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    c->fds[FD_MAIL].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c->fds[FD_SIGNALS].fd < 0 || c->fds[FD_MAIL].fd < 0 ? -errno : 0;
}

int control_create(const struct control_options *o, struct control **out)
{
    struct control *c = calloc(1, sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->options = *o;
    c->host = (struct control_host){c, host_now_ns, host_unix_ms, host_submit, host_cancel, host_random};
    c->fds[FD_SIGNALS].fd = c->fds[FD_MAIL].fd = -1;
    int rc = open_fds(c);
    c->client = rc == 0 ? client_create(o->user_agent) : NULL;
    if (rc == 0 && !c->client)
        rc = -ENOMEM;
    if (rc < 0)
        control_destroy(c);
    else
        *out = c;
    return rc;
}

void control_destroy(struct control *c)
{
    if (!c)
        return;
    client_destroy(c->client); /* its callbacks want the parts alive */
    c->client = NULL;
    for (uint32_t i = c->member_count; i > 0; i--)
        if (c->members[i - 1].part.finish)
            c->members[i - 1].part.finish(c->members[i - 1].part.self);
    for (uint32_t i = 0; i < FD_COUNT; i++)
        if (c->fds[i].fd >= 0)
            close(c->fds[i].fd);
    free(c);
}

int control_event_fd(const struct control *c)
{
    return c->fds[FD_MAIL].fd;
}

int control_add(struct control *c, const struct control_part *part)
{
    if (c->member_count == CONTROL_PARTS_MAX)
        return -ENOSPC;
    c->members[c->member_count++] = (struct member){.part = *part};
    return 0;
}

/* ---- the round ------------------------------------------------------------------------------------------- */

/* What happened may concern any part: there are few, and a turn with nothing due costs nothing. */
static void everybody_is_due(struct control *c)
{
    for (uint32_t i = 0; i < c->member_count; i++)
        c->members[i].due_ns = 0;
}

static uint64_t run_parts(struct control *c)
{
    uint64_t next = UINT64_MAX, now = clock_now_ns();
    for (uint32_t i = 0; i < c->member_count; i++) {
        struct member *m = &c->members[i];
        if (m->due_ns <= now)
            m->due_ns = m->part.turn ? m->part.turn(m->part.self, now) : UINT64_MAX;
        next = TG_MIN(next, m->due_ns);
    }
    return next;
}

static void take_signals(struct control *c)
{
    struct signalfd_siginfo info;
    while (read(c->fds[FD_SIGNALS].fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        c->options.on_signal(c->options.context, (int)info.ssi_signo);
}

static void take_rings(struct control *c)
{
    uint64_t rings;
    (void)!read(c->fds[FD_MAIL].fd, &rings, sizeof(rings));
}

/* Rounded up, so that nobody is woken just before the time. */
static uint32_t sleep_ms(uint64_t until_ns)
{
    uint64_t now = clock_now_ns();
    if (until_ns <= now)
        return 0;
    return (uint32_t)TG_MIN((until_ns - now - 1) / NS_PER_MS + 1, (uint64_t)INT32_MAX);
}

void control_turn(struct control *c)
{
    uint64_t next = run_parts(c);
    uint32_t delivered = client_turn(c->client, sleep_ms(next), c->fds, FD_COUNT);
    if (c->fds[FD_SIGNALS].ready)
        take_signals(c);
    if (c->fds[FD_MAIL].ready)
        take_rings(c);
    if (delivered > 0 || c->fds[FD_SIGNALS].ready || c->fds[FD_MAIL].ready)
        everybody_is_due(c);
}

/* ---- the way out ----------------------------------------------------------------------------------------- */

void control_leave(struct control *c)
{
    if (c->leaving)
        return;
    c->leaving = true;
    for (uint32_t i = 0; i < c->member_count; i++)
        if (c->members[i].part.leave)
            c->members[i].part.leave(c->members[i].part.self);
    everybody_is_due(c);
}

static bool has_left(const struct member *m)
{
    return !m->part.left || m->part.left(m->part.self);
}

bool control_left(const struct control *c)
{
    for (uint32_t i = 0; c->leaving && i < c->member_count; i++)
        if (!has_left(&c->members[i]))
            return false;
    return c->leaving;
}

void control_still_here(const struct control *c, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < c->member_count && len < cap; i++)
        if (!has_left(&c->members[i]))
            len += (size_t)snprintf(out + len, cap - len, "%s%s", len ? ", " : "", c->members[i].part.name);
}

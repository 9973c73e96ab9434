/* SPDX-License-Identifier: Apache-2.0 */
/* The requests under way, from submission to callback: resolved, checked, moved by libcurl, delivered. */
#include "client.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include "client_transfer.h"
#include "gateway/base/clock.h"

#define CONNECTIONS_MAX 256   /* open at once; more requests wait, their time runs */
#define CONNECTIONS_KEPT 32   /* idle ones, to be used again */
#define REQUESTS_MAX 4096     /* under way at once */

struct client {
    CURLM *multi;
    struct resolver *resolver;
    char *user_agent;
    const char *ca_file; /* NULL: the system's */
    struct transfer *first, *last; /* in order of submission */
    uint64_t last_id;
    uint32_t active;
    bool closing;
};

/* ---- life ------------------------------------------------------------------------------------------------ */

static void wake(void *context)
{
    struct client *c = context;
    curl_multi_wakeup(c->multi);
}

static bool open_parts(struct client *c, const char *user_agent)
{
    c->user_agent = strdup(user_agent);
    c->multi = curl_multi_init();
    c->resolver = c->multi ? resolver_create(wake, c) : NULL;
    if (!c->user_agent || !c->resolver)
        return false;
    c->ca_file = getenv("SSL_CERT_FILE"); /* as for OpenSSL's own programs */
    return curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)CONNECTIONS_MAX) == CURLM_OK &&
           curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT) == CURLM_OK;
}

struct client *client_create(const char *user_agent)
{
    struct client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets that may be closed */
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(c);
        return NULL;
    }
    if (open_parts(c, user_agent))
        return c;
    client_destroy(c);
    return NULL;
}

static void forget(struct client *c, struct transfer *t)
{
    *(t->before ? &t->before->next : &c->first) = t->next;
    *(t->next ? &t->next->before : &c->last) = t->before;
    c->active--;
}

static void append(struct client *c, struct transfer *t)
{
    t->before = c->last;
    *(c->last ? &c->last->next : &c->first) = t;
    c->last = t;
    c->active++;
}

static void deliver(struct client *c, struct transfer *t)
{
    forget(c, t); /* first: the callback may submit, or cancel this very one */
    t->done(t->context, &t->response);
    transfer_destroy(t);
}

void client_destroy(struct client *c)
{
    if (!c)
        return;
    c->closing = true;
    for (struct transfer *t; (t = c->first);) {
        transfer_stop(t, c->multi);
        transfer_end(t, -ECANCELED, "the client ends");
        deliver(c, t);
    }
    resolver_destroy(c->resolver);
    curl_multi_cleanup(c->multi);
    free(c->user_agent);
    free(c);
    curl_global_cleanup();
}

/* ---- requests -------------------------------------------------------------------------------------------- */

uint64_t client_submit(struct client *c, const struct client_request *rq, client_done *done, void *context)
{
    struct transfer *t = c->closing || c->active >= REQUESTS_MAX ? NULL : transfer_create(rq);
    if (!t)
        return 0;
    t->id = ++c->last_id;
    t->deadline_ns = clock_now_ns() + rq->timeout_ms * NS_PER_MS;
    t->done = done;
    t->context = context;
    append(c, t);
    return t->id;
}

static struct transfer *find(const struct client *c, uint64_t id)
{
    struct transfer *t = c->first;
    while (t && t->id != id)
        t = t->next;
    return t;
}

void client_cancel(struct client *c, uint64_t id)
{
    struct transfer *t = find(c, id);
    if (!t)
        return;
    transfer_stop(t, c->multi);
    forget(c, t);
    transfer_destroy(t);
}

uint32_t client_active(const struct client *c)
{
    return c->active;
}

/* ---- steps ----------------------------------------------------------------------------------------------- */

static uint64_t left_ms(const struct transfer *t, uint64_t now)
{
    return now >= t->deadline_ns ? 0 : (t->deadline_ns - now + NS_PER_MS - 1) / NS_PER_MS;
}

static void move(struct client *c, struct transfer *t, const struct resolve_answer *pin)
{
    int rc = transfer_start(t, c->multi, c->user_agent, c->ca_file, pin, left_ms(t, clock_now_ns()));
    if (rc < 0)
        transfer_end(t, rc, "out of memory");
}

/* A line break within a header would be a header of somebody else's making. */
static bool headers_ok(const struct transfer *t)
{
    for (const struct curl_slist *h = t->headers; h; h = h->next)
        if (strpbrk(h->data, "\r\n"))
            return false;
    return true;
}

static bool is_literal(const struct transfer *t)
{
    struct address a;
    return t->target.ipv6 || address_parse(t->target.host, false, &a);
}

static void resolve(struct client *c, struct transfer *t)
{
    int rc = resolver_submit(c->resolver, t->id, t->target.host);
    if (rc < 0)
        transfer_end(t, rc, "the resolver cannot be started");
    else
        t->state = TRANSFER_RESOLVING;
}

static void start(struct client *c, struct transfer *t)
{
    const char *wrong = outbound_url_parse((struct tg_str){t->url, strlen(t->url)}, &t->target);
    if (wrong) {
        transfer_end(t, -EINVAL, "the address is no URL to call");
        return;
    }
    if (!headers_ok(t))
        transfer_end(t, -EINVAL, "a header has a line break");
    else if (t->reach == CLIENT_PUBLIC && outbound_host_private(t->target.host))
        transfer_end(t, -EPERM, "the host is not public");
    else if (is_literal(t) || transfer_by_proxy(t))
        move(c, t, NULL);
    else
        resolve(c, t);
}

static void start_new(struct client *c)
{
    for (struct transfer *t = c->first; t; t = t->next)
        if (t->state == TRANSFER_STARTING)
            start(c, t);
}

static void take_answers(struct client *c)
{
    struct resolve_answer a;
    while (resolver_take(c->resolver, &a)) {
        struct transfer *t = find(c, a.id);
        if (!t || t->state != TRANSFER_RESOLVING)
            continue; /* cancelled, or out of time */
        if (a.why)
            transfer_end(t, -EHOSTUNREACH, a.why);
        else if (t->reach == CLIENT_PUBLIC && !a.all_public)
            transfer_end(t, -EPERM, "the name has an address that is not public");
        else
            move(c, t, &a);
    }
}

/* libcurl minds the time of what it has. */
static void expire(struct client *c, uint64_t now)
{
    for (struct transfer *t = c->first; t; t = t->next)
        if ((t->state == TRANSFER_STARTING || t->state == TRANSFER_RESOLVING) && now >= t->deadline_ns)
            transfer_end(t, -ETIMEDOUT, "the name was not resolved in time");
}

static void collect(struct client *c)
{
    int running, more;
    curl_multi_perform(c->multi, &running);
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &more));) {
        struct transfer *t = NULL;
        CURLcode result = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        curl_multi_remove_handle(c->multi, m->easy_handle); /* from here on m is gone */
        transfer_finish(t, result);
    }
}

static struct transfer *first_ended(const struct client *c)
{
    struct transfer *t = c->first;
    while (t && t->state != TRANSFER_ENDED)
        t = t->next;
    return t;
}

/* Returns the number of callbacks called. */
static uint32_t work(struct client *c)
{
    uint32_t called = 0;
    start_new(c);
    take_answers(c);
    collect(c);
    start_new(c); /* redirects */
    expire(c, clock_now_ns());
    for (struct transfer *t; (t = first_ended(c)); called++)
        deliver(c, t);
    return called;
}

/* ---- the turn -------------------------------------------------------------------------------------------- */

/* Until the first name that is out of time, or something that waits to be started. */
static uint32_t nap_ms(const struct client *c, uint32_t timeout_ms)
{
    uint64_t now = clock_now_ns(), nap = timeout_ms;
    for (const struct transfer *t = c->first; t; t = t->next)
        if (t->state == TRANSFER_STARTING)
            return 0;
        else if (t->state == TRANSFER_RESOLVING)
            nap = TG_MIN(nap, left_ms(t, now));
    return (uint32_t)TG_MIN(nap, (uint64_t)INT32_MAX);
}

static void doze(struct client *c, uint32_t ms, struct client_fd *fds, uint32_t fd_count)
{
    struct curl_waitfd extra[CLIENT_FDS_MAX];
    TG_ASSERT(fd_count <= CLIENT_FDS_MAX);
    for (uint32_t i = 0; i < fd_count; i++)
        extra[i] = (struct curl_waitfd){.fd = fds[i].fd, .events = CURL_WAIT_POLLIN};
    CURLMcode rc = curl_multi_poll(c->multi, extra, fd_count, (int)ms, NULL);
    for (uint32_t i = 0; i < fd_count; i++)
        fds[i].ready = rc == CURLM_OK && extra[i].revents != 0;
}

uint32_t client_turn(struct client *c, uint32_t timeout_ms, struct client_fd *fds, uint32_t fd_count)
{
    uint32_t called = work(c);
    doze(c, called ? 0 : nap_ms(c, timeout_ms), fds, fd_count);
    return called + work(c);
}

/* ---- commands -------------------------------------------------------------------------------------------- */

struct call {
    client_done *done;
    void *context;
    bool over;
};

static void call_done(void *context, const struct client_response *r)
{
    struct call *call = context;
    call->done(call->context, r);
    call->over = true;
}

void client_call(struct client *c, const struct client_request *rq, client_done *done, void *context)
{
    struct call call = {done, context, false};
    static const struct client_response none = {.error = -ENOMEM, .why = "out of memory"};
    if (!client_submit(c, rq, call_done, &call))
        done(context, &none);
    else
        while (!call.over)
            client_turn(c, 1000, NULL, 0);
}

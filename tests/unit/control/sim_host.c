/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated world. A turn that asks to be called at once again and again is a bug: it is counted. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "sim_host.h"

#define NS_PER_MS_ 1000000ull
#define SPINS_MAX 1000

static uint64_t sim_now(void *context)
{
    return ((struct sim *)context)->now_ns;
}

static int64_t sim_unix_ms(void *context)
{
    const struct sim *s = context;
    return (int64_t)(s->now_ns / NS_PER_MS_) + s->wall_offset_ms;
}

static void sim_random(void *context, void *out, size_t n)
{
    struct sim *s = context;
    for (size_t i = 0; i < n; i++) {
        s->dice = s->dice * 6364136223846793005ull + 1442695040888963407ull;
        ((unsigned char *)out)[i] = (unsigned char)(s->dice >> 56);
    }
}

static void copy_ask(struct sim_ask *ask, const struct client_request *rq)
{
    (void)snprintf(ask->method, sizeof(ask->method), "%s", rq->method);
    (void)snprintf(ask->url, sizeof(ask->url), "%s", rq->url);
    (void)snprintf(ask->body, sizeof(ask->body), "%.*s", (int)rq->body.len, rq->body.ptr ? rq->body.ptr : "");
    for (const char *const *h = rq->headers; h && *h; h++)
        if (strncmp(*h, "Authorization: ", 15) == 0)
            (void)snprintf(ask->authorization, sizeof(ask->authorization), "%s", *h + 15);
}

static uint64_t sim_submit(void *context, const struct client_request *rq, client_done *done,
                           void *done_context)
{
    struct sim *s = context;
    struct sim_ask ask = {0};
    struct sim_request *r = s->requests;
    while (r->id && r + 1 < s->requests + SIM_REQUESTS_MAX)
        r++;
    cr_assert_eq(r->id, 0, "too many requests at once");
    copy_ask(&ask, rq);
    *r = (struct sim_request){.id = ++s->last_id,
                              .done = done,
                              .done_context = done_context,
                              .reply = {.status = 200, .latency_ms = 5}};
    s->answer(s->answer_context, &ask, &r->reply);
    r->due_ns = s->now_ns + r->reply.latency_ms * NS_PER_MS_;
    return r->id;
}

static void sim_cancel(void *context, uint64_t id)
{
    struct sim *s = context;
    for (unsigned i = 0; i < SIM_REQUESTS_MAX; i++)
        if (s->requests[i].id == id)
            s->requests[i].id = 0;
}

void sim_init(struct sim *s, sim_answer *answer, void *context)
{
    *s = (struct sim){.now_ns = 1000 * 1000 * NS_PER_MS_,
                      .wall_offset_ms = 1795190400000,
                      .dice = 7,
                      .answer = answer,
                      .answer_context = context};
    s->host = (struct control_host){s, sim_now, sim_unix_ms, sim_submit, sim_cancel, sim_random};
}

static void deliver(struct sim_request *r)
{
    struct sim_reply reply = r->reply;
    r->id = 0;
    r->done(r->done_context, &(struct client_response){.error = reply.error,
                                                       .why = "simulated",
                                                       .status = reply.error ? 0 : reply.status,
                                                       .retry_after_s = reply.retry_after_s,
                                                       .body = {reply.body, strlen(reply.body)}});
}

static struct sim_request *earliest(struct sim *s)
{
    struct sim_request *first = NULL;
    for (unsigned i = 0; i < SIM_REQUESTS_MAX; i++)
        if (s->requests[i].id && (!first || s->requests[i].due_ns < first->due_ns))
            first = &s->requests[i];
    return first;
}

uint32_t sim_in_flight(const struct sim *s)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < SIM_REQUESTS_MAX; i++)
        n += s->requests[i].id != 0;
    return n;
}

void sim_run(struct sim *s, uint64_t (*turn)(void *self, uint64_t now_ns), void *self, uint64_t ns)
{
    uint64_t end = s->now_ns + ns, spins = 0;
    for (;;) {
        uint64_t next = turn(self, s->now_ns);
        struct sim_request *r = earliest(s);
        bool reply_first = r && r->due_ns <= next;
        uint64_t when = reply_first ? r->due_ns : next;
        if (when > end)
            break;
        spins = when > s->now_ns || reply_first ? 0 : spins + 1;
        cr_assert_lt(spins, SPINS_MAX, "a part wants to be called at once for ever");
        s->now_ns = when > s->now_ns ? when : s->now_ns;
        if (reply_first)
            deliver(r);
    }
    s->now_ns = end;
}

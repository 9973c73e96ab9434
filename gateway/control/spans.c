/* SPDX-License-Identifier: Apache-2.0 */
/* A queue of spans, a batch of them at a time on its way to the collector. */
#include <stdio.h>
#include <stdlib.h>
#include "gateway/base/clock.h"
#include "gateway/base/hex.h"
#include "gateway/base/log.h"
#include "spans.h"
#include "tg/json.h"

#define QUEUE_SPANS 4096 /* a power of two */
#define BATCH_SPANS 256
#define BATCH_BYTES (BATCH_SPANS * 2560 + 4096) /* every byte of the longest ids escaped */
#define LINGER_NS NS_PER_S               /* a batch that is not full waits this long for company */
#define RETRY_NS_MIN NS_PER_S
#define RETRY_NS_MAX (60 * NS_PER_S)
#define URL_MAX 1100
#define ANSWER_BYTES_MAX (64u << 10)

struct span {
    struct iicp_event event;
    uint8_t id[8];
};

struct spans {
    struct spans_options o;
    char url[URL_MAX];
    struct span queue[QUEUE_SPANS];
    uint32_t head, tail;    /* taken and added so far */
    uint32_t in_call;       /* from head on: what the running call carries */
    uint64_t call;          /* 0: none is running */
    uint64_t oldest_ns;     /* when the queue stopped being empty */
    uint64_t not_before_ns; /* after a failure */
    uint64_t retry_ns;
    uint64_t second, in_second; /* for the rate */
    bool told;                  /* that the collector is away */
    struct {
        _Atomic uint64_t exported, dropped, failed_calls; /* one writer; scrapes read relaxed, each stands for itself */
    } stats;
    char body[BATCH_BYTES];
};

struct spans *spans_create(const struct spans_options *o)
{
    struct spans *s = calloc(1, sizeof(*s));
    if (!s)
        return NULL;
    size_t len = strlen(o->endpoint);
    while (len > 0 && o->endpoint[len - 1] == '/')
        len--;
    s->o = *o;
    s->retry_ns = RETRY_NS_MIN;
    int n = snprintf(s->url, sizeof(s->url), "%.*s/v1/traces", (int)len, o->endpoint);
    if (n < 0 || (size_t)n >= sizeof(s->url)) {
        free(s);
        return NULL;
    }
    return s;
}

void spans_destroy(struct spans *s)
{
    if (!s)
        return;
    if (s->call)
        s->o.host->cancel(s->o.host->context, s->call);
    free(s);
}

struct spans_stats spans_stats(const struct spans *s)
{
    return (struct spans_stats){
        .exported = atomic_load_explicit(&s->stats.exported, memory_order_relaxed),
        .dropped = atomic_load_explicit(&s->stats.dropped, memory_order_relaxed),
        .failed_calls = atomic_load_explicit(&s->stats.failed_calls, memory_order_relaxed),
    };
}

/* ---- in ----------------------------------------------------------------------------------------------- */

static bool within_rate(struct spans *s, uint64_t now_ns)
{
    if (now_ns / NS_PER_S != s->second) {
        s->second = now_ns / NS_PER_S;
        s->in_second = 0;
    }
    return s->in_second++ < s->o.per_second;
}

void spans_add(struct spans *s, const struct iicp_event *e)
{
    uint64_t now_ns = s->o.host->now_ns(s->o.host->context);
    if (!within_rate(s, now_ns) || s->tail - s->head == QUEUE_SPANS) {
        metrics_bump(&s->stats.dropped, 1);
        return;
    }
    if (s->tail == s->head)
        s->oldest_ns = now_ns;
    struct span *span = &s->queue[s->tail++ % QUEUE_SPANS];
    span->event = *e;
    s->o.host->random(s->o.host->context, span->id, sizeof(span->id));
    span->id[7] |= 1; /* an id of zeros would be none */
}

/* ---- text --------------------------------------------------------------------------------------------- */

static void write_attribute(struct tg_json_writer *w, struct tg_str key, struct tg_str value)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "key");
    tg_json_write_string(w, key);
    TG_JSON_KEY(w, "value");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "stringValue");
    tg_json_write_string(w, value);
    tg_json_write_end_object(w);
    tg_json_write_end_object(w);
}

static void write_time(struct tg_json_writer *w, uint64_t unix_ns)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)unix_ns);
    tg_json_write_string(w, (struct tg_str){text, (size_t)n}); /* 64-bit numbers are strings in this protocol */
}

static struct tg_str intent_of(const struct spans *s, const struct iicp_event *e)
{
    if (e->intent_slot >= s->o.intent_count)
        return TG_STR("other");
    return (struct tg_str){s->o.intents[e->intent_slot], strlen(s->o.intents[e->intent_slot])};
}

static void write_ids(struct tg_json_writer *w, const struct span *span)
{
    char id[16];
    hex_write(id, span->id, sizeof(span->id));
    TG_JSON_KEY(w, "traceId");
    tg_json_write_string(w, (struct tg_str){span->event.trace_id, sizeof(span->event.trace_id)});
    TG_JSON_KEY(w, "spanId");
    tg_json_write_string(w, (struct tg_str){id, sizeof(id)});
    if (span->event.parent_span[0] == 0)
        return;
    TG_JSON_KEY(w, "parentSpanId");
    tg_json_write_string(w, (struct tg_str){span->event.parent_span, sizeof(span->event.parent_span)});
}

enum { KIND_SERVER = 2, CODE_OK = 1, CODE_ERROR = 2 };

static void write_span(const struct spans *s, struct tg_json_writer *w, const struct span *span)
{
    const struct iicp_event *e = &span->event;
    tg_json_write_begin_object(w);
    write_ids(w, span);
    TG_JSON_KEY(w, "name");
    tg_json_write_string(w, TG_STR("iicp.task.execute"));
    TG_JSON_KEY(w, "kind");
    tg_json_write_u64(w, KIND_SERVER);
    TG_JSON_KEY(w, "startTimeUnixNano");
    write_time(w, e->start_unix_ns);
    TG_JSON_KEY(w, "endTimeUnixNano");
    write_time(w, e->end_unix_ns);
    TG_JSON_KEY(w, "attributes");
    tg_json_write_begin_array(w);
    write_attribute(w, TG_STR("iicp.task_id"), (struct tg_str){e->id, e->id_len});
    write_attribute(w, TG_STR("iicp.intent"), intent_of(s, e));
    tg_json_write_end_array(w);
    TG_JSON_KEY(w, "status");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "code");
    tg_json_write_u64(w, e->outcome == OUTCOME_SUCCESS ? CODE_OK : CODE_ERROR);
    tg_json_write_end_object(w);
    tg_json_write_end_object(w);
}

static void write_resource(const struct spans *s, struct tg_json_writer *w)
{
    TG_JSON_KEY(w, "resource");
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "attributes");
    tg_json_write_begin_array(w);
    write_attribute(w, TG_STR("service.name"), TG_STR("taskgate"));
    write_attribute(w, TG_STR("service.version"), TG_STR(TASKGATE_VERSION));
    write_attribute(w, TG_STR("service.instance.id"), (struct tg_str){s->o.node_id, strlen(s->o.node_id)});
    tg_json_write_end_array(w);
    tg_json_write_end_object(w);
}

static struct tg_str write_batch(struct spans *s, uint32_t count)
{
    struct tg_json_writer w;
    tg_json_writer_init(&w, s->body, sizeof(s->body));
    tg_json_write_raw(&w, TG_STR("{\"resourceSpans\":["));
    tg_json_write_begin_object(&w);
    write_resource(s, &w);
    TG_JSON_KEY(&w, "scopeSpans");
    tg_json_write_verbatim(&w, TG_STR("[{\"scope\":{\"name\":\"taskgate\"},\"spans\":["));
    for (uint32_t i = 0; i < count; i++)
        write_span(s, &w, &s->queue[(s->head + i) % QUEUE_SPANS]);
    tg_json_write_verbatim(&w, TG_STR("]}]}]}"));
    TG_ASSERT(!w.overflow);
    return (struct tg_str){s->body, w.len};
}

/* ---- out ---------------------------------------------------------------------------------------------- */

static void forget_batch(struct spans *s)
{
    s->head += s->in_call;
    s->oldest_ns = s->o.host->now_ns(s->o.host->context);
}

static void sent(struct spans *s)
{
    metrics_bump(&s->stats.exported, s->in_call);
    forget_batch(s);
    s->retry_ns = RETRY_NS_MIN;
    if (s->told)
        log_info("trace collector: taking spans again");
    s->told = false;
}

/* What can pass by itself is tried again, later and later; the rest would be refused for ever. */
static bool may_pass(const struct client_response *r)
{
    return r->error < 0 || r->status == 429 || r->status == 502 || r->status == 503 || r->status == 504;
}

static void not_sent(struct spans *s, const struct client_response *r)
{
    uint64_t now_ns = s->o.host->now_ns(s->o.host->context);
    metrics_bump(&s->stats.failed_calls, 1);
    if (!s->told && r->error < 0)
        log_warn("trace collector: %s", r->why);
    else if (!s->told)
        log_warn("trace collector: answered %u", r->status);
    s->told = true;
    if (!may_pass(r)) {
        metrics_bump(&s->stats.dropped, s->in_call);
        forget_batch(s);
    }
    s->not_before_ns = now_ns + TG_MAX(s->retry_ns, r->retry_after_s * NS_PER_S);
    s->retry_ns = TG_MIN(s->retry_ns * 2, RETRY_NS_MAX);
}

static void on_answer(void *context, const struct client_response *r)
{
    struct spans *s = context;
    s->call = 0;
    if (r->error == 0 && r->status >= 200 && r->status < 300)
        sent(s);
    else
        not_sent(s, r);
    s->in_call = 0;
}

static void send_batch(struct spans *s, uint64_t now_ns)
{
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    uint32_t count = TG_MIN(s->tail - s->head, (uint32_t)BATCH_SPANS);
    struct client_request rq = {
        .method = "POST",
        .url = s->url,
        .headers = headers,
        .body = write_batch(s, count),
        .timeout_ms = s->o.timeout_ms,
        .body_bytes_max = ANSWER_BYTES_MAX,
    };
    s->in_call = count;
    s->call = s->o.host->submit(s->o.host->context, &rq, on_answer, s);
    if (s->call == 0) {
        s->in_call = 0;
        s->not_before_ns = now_ns + s->retry_ns;
    }
}

uint64_t spans_turn(void *self, uint64_t now_ns)
{
    struct spans *s = self;
    uint32_t waiting = s->tail - s->head;
    if (s->call || waiting == 0)
        return UINT64_MAX;
    uint64_t due = waiting >= BATCH_SPANS ? now_ns : s->oldest_ns + LINGER_NS;
    due = TG_MAX(due, s->not_before_ns);
    if (due > now_ns)
        return due;
    send_batch(s, now_ns);
    return s->call ? UINT64_MAX : s->not_before_ns;
}

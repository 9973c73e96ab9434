/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of /metrics and of trace ids. */
#include <stdlib.h>
#include "conformance.h"

#define NO_BODY ((struct tg_str){NULL, 0})

static bool get_page(struct conformance *c, struct answer *a)
{
    conformance_ask(c, "GET", "/metrics", NULL, NO_BODY, a);
    return a->error == 0 && a->status == 200;
}

static struct finding no_page(struct answer *a)
{
    struct finding f = a->status == 503 ? skip("metrics are disabled there") : conformance_answered(a, 200);
    answer_finish(a);
    return f;
}

struct finding conformance_metrics_page(struct conformance *c)
{
    struct answer a;
    if (!get_page(c, &a))
        return no_page(&a);
    bool typed = strncmp(a.content_type, "text/plain", 10) == 0 && strstr(a.content_type, "version=0.0.4");
    struct finding f = typed ? pass() : fail("Content-Type is \"%s\"", a.content_type);
    answer_finish(&a);
    return f;
}

/* ---- counters ---------------------------------------------------------------------------------------- */

static bool has_labels(const char *line, const char *const *labels)
{
    size_t len = strcspn(line, "\n");
    for (; *labels; labels++)
        if (!memmem(line, len, *labels, strlen(*labels)))
            return false;
    return true;
}

/* The sum over all series of a name; -1 if there is none, or one lacks a label. */
static double sum_of(const char *page, const char *name, const char *const *labels)
{
    double sum = -1;
    for (const char *line = page; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, name, strlen(name)) != 0 || line[strlen(name)] != '{')
            continue;
        const char *end = strchr(line, '}');
        if (!end || !has_labels(line, labels))
            return -1;
        sum = TG_MAX(sum, 0) + strtod(end + 1, NULL);
    }
    return sum;
}

static double count_tasks(struct conformance *c)
{
    static const char *const labels[] = {"status=\"", "intent=\"", "qos=\"", NULL};
    struct answer a;
    double sum = get_page(c, &a) ? sum_of(a.body, "iicp_tasks_total", labels) : -1;
    answer_finish(&a);
    return sum;
}

static struct finding page_or_why(struct conformance *c)
{
    struct answer a;
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    if (!get_page(c, &a))
        return no_page(&a);
    answer_finish(&a);
    return f;
}

struct finding conformance_metrics_counts(struct conformance *c)
{
    struct answer a;
    struct finding f = page_or_why(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    double before = count_tasks(c);
    conformance_task(c, (struct envelope){.qos = "batch"}, NULL, &a);
    f = conformance_answered(&a, 200);
    answer_finish(&a);
    double after = count_tasks(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    if (after < 0)
        return fail("there is no iicp_tasks_total with the labels status, intent and qos");
    return after > TG_MAX(before, 0) ? pass()
                                     : fail("iicp_tasks_total does not count: %g, then %g", before, after);
}

struct finding conformance_metrics_buckets(struct conformance *c)
{
    struct answer a;
    struct finding f = page_or_why(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    if (!get_page(c, &a))
        return no_page(&a);
    if (!strstr(a.body, "# TYPE iicp_task_latency_ms histogram"))
        f = fail("there is no histogram iicp_task_latency_ms");
    else if (!strstr(a.body, "le=\"5000\"") || !strstr(a.body, "le=\"+Inf\""))
        f = fail("iicp_task_latency_ms has no bucket of 5000, or none of +Inf");
    else if (!strstr(a.body, "iicp_task_latency_ms_sum") || !strstr(a.body, "iicp_task_latency_ms_count"))
        f = fail("iicp_task_latency_ms has no sum or no count");
    answer_finish(&a);
    return f;
}

/* ---- trace ids --------------------------------------------------------------------------------------- */

static bool is_trace_id(struct tg_str id)
{
    bool zero = true;
    for (size_t i = 0; i < id.len; i++) {
        if (!((id.ptr[i] >= '0' && id.ptr[i] <= '9') || (id.ptr[i] >= 'a' && id.ptr[i] <= 'f')))
            return false;
        zero = zero && id.ptr[i] == '0';
    }
    return id.len == 32 && !zero;
}

/* @wanted NULL: any, but not @shunned. */
static struct finding trace(struct conformance *c, const char *header, const char *wanted,
                            const char *shunned)
{
    struct answer a;
    struct finding f = conformance_can_ask(c);
    if (f.verdict != VERDICT_PASS)
        return f;
    conformance_task(c, (struct envelope){.qos = NULL}, header, &a);
    f = conformance_answered(&a, 200);
    struct tg_str id = answer_header(&a, "X-IICP-Trace-Id");
    if (f.verdict == VERDICT_PASS && !is_trace_id(id))
        f = fail("X-IICP-Trace-Id is not 32 hexadecimal digits");
    else if (f.verdict == VERDICT_PASS && wanted && !tg_str_eq(id, (struct tg_str){wanted, strlen(wanted)}))
        f = fail("X-IICP-Trace-Id is not the trace id that was sent");
    else if (f.verdict == VERDICT_PASS && shunned && tg_str_eq(id, (struct tg_str){shunned, strlen(shunned)}))
        f = fail("X-IICP-Trace-Id is the one of an invalid traceparent");
    answer_finish(&a);
    return f;
}

struct finding conformance_trace_kept(struct conformance *c)
{
    return trace(c, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                 "4bf92f3577b34da6a3ce929d0e0e4736", NULL);
}

struct finding conformance_trace_made(struct conformance *c)
{
    return trace(c, NULL, NULL, NULL);
}

struct finding conformance_trace_ignored(struct conformance *c)
{
    return trace(c, "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", NULL,
                 "4bf92f3577b34da6a3ce929d0e0e4736");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* What each route does: the doors' requests handed to dialects, and the answers that concern the whole gateway. */
#include "gateway/base/clock.h"
#include "gateway/task/ready.h"
#include "gateway.h"

/* ---- tasks -------------------------------------------------------------------------------------------- */

static void route_task(void *context, struct task *t, const struct http_request *req)
{
    struct worker *w = context;
    struct iicp_request r = {
        .content_type = http_header_str(req->base, req->head, HTTP_H_CONTENT_TYPE),
        .origin = http_header_str(req->base, req->head, HTTP_H_ORIGIN),
        .traceparent = http_header_str(req->base, req->head, HTTP_H_TRACEPARENT),
        .authorization = http_header_str(req->base, req->head, HTTP_H_AUTHORIZATION),
        .consumer_token = http_header_str(req->base, req->head, HTTP_H_IICP_CONSUMER_TOKEN),
        .body = req->body,
    };
    iicp_task(&w->iicp, t, &r);
}

/* ---- health ------------------------------------------------------------------------------------------- */

static void write_health(void *context, struct task *t, struct tg_json_writer *out)
{
    struct worker *w = context;
    (void)t;
    iicp_write_health(&w->iicp, out);
}

static const struct task_reply health_reply = {"application/json", write_health};

static void route_health(void *context, struct task *t, const struct http_request *req)
{
    struct worker *w = context;
    (void)req;
    t->reply = &health_reply;
    task_finish(&w->tasks, t, TG_OK);
}

static void route_live(void *context, struct task *t, const struct http_request *req)
{
    struct worker *w = context;
    (void)req;
    t->reply = &live_reply;
    task_finish(&w->tasks, t, TG_OK);
}

static void route_ready(void *context, struct task *t, const struct http_request *req)
{
    struct worker *w = context;
    (void)req;
    t->reply = &ready_reply;
    task_finish(&w->tasks, t, ready_reasons(&w->gateway->admission) ? TG_NOT_READY : TG_OK);
}

/* ---- metrics ------------------------------------------------------------------------------------------ */

static void gauge(struct metrics_text *t, const char *name, const char *help, double value)
{
    metrics_printf(t, "# HELP %s %s.\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, value);
}

static void counter(struct metrics_text *t, const char *name, const char *help, uint64_t value)
{
    metrics_printf(t, "# HELP %s %s.\n# TYPE %s counter\n%s %llu\n", name, help, name, name,
                   (unsigned long long)value);
}

static void export_process(const struct gateway *g, struct metrics_text *t)
{
    struct tg_keeper_counts n;
    devices_counts(g, &n);
    counter(t, "taskgate_executor_deaths_total", "Executor processes that died or were killed", n.deaths);
    counter(t, "taskgate_executor_hangs_total", "Executor processes that were killed because they hung", n.hangs);
    counter(t, "taskgate_executor_restarts_total", "Executor processes that came up after another", n.restarts);
    counter(t, "taskgate_device_withdrawals_total", "Times a device was withdrawn after too many deaths",
            n.withdrawals);
}

static void export_executors(const struct gateway *g, struct metrics_text *t)
{
    struct tg_executor_stats sum;
    executors_stats(g, &sum);
    counter(t, "taskgate_batches_total", "Batches handed to a device", sum.batches);
    counter(t, "taskgate_rows_total", "Rows that came back from a device", sum.rows);
    counter(t, "taskgate_rows_expired_total", "Rows whose deadline passed before they could start", sum.rows_expired);
    counter(t, "taskgate_rows_failed_total", "Rows that failed on a device", sum.rows_failed);
    counter(t, "taskgate_rows_requeued_total", "Rows run once more after their executor process died", sum.rows_requeued);
    counter(t, "taskgate_rows_poisoned_total", "Rows answered because their executor process died twice",
            sum.rows_poisoned);
    counter(t, "taskgate_device_faults_total", "Batches a device refused or broke", sum.faults);
    counter(t, "taskgate_executor_sleeps_total", "Times an executor thread went to sleep", sum.sleeps);
    gauge(t, "taskgate_batches_inflight", "Batches on devices now", sum.inflight);
    gauge(t, "taskgate_batch_rows_max", "Largest batch so far", (double)sum.batch_rows_max);
}

static const char *executor_word(const struct gateway *g)
{
    if (g->devices.count > 0)
        return g->devices.process ? "process" : "thread";
    return g->inline_executors ? "inline" : "thread";
}

static void write_metrics(void *context, struct task *task, struct tg_json_writer *out)
{
    struct worker *w = context;
    const struct gateway *g = w->gateway;
    struct metrics_text t = {.buf = out->buf, .cap = out->cap};
    (void)task;
    metrics_export(&t, g->metrics, g->worker_count, g->instances, g->instance_count);
    export_executors(g, &t);
    usage_export(g, &t);
    membership_export(g, &t);
    export_process(g, &t);
    devices_export(g, &t);
    ready_export(g, &t);
    gauge(&t, "taskgate_tasks_active", "Tasks accepted and not finished", admission_active(&g->admission));
    gauge(&t, "taskgate_tasks_max", "Tasks that may be accepted and unfinished now", admission_max(&g->admission));
    gauge(&t, "taskgate_uptime_seconds", "Seconds since start", (double)(clock_now_ns() - g->started_ns) / 1e9);
    metrics_printf(&t, "# HELP taskgate_info What is running.\n# TYPE taskgate_info gauge\n"
                       "taskgate_info{version=\"%s\",io=\"%s\",executor=\"%s\"} 1\n",
                   TASKGATE_VERSION, w->io, executor_word(g));
    out->len = t.len;
    out->overflow = t.overflow;
}

static const struct task_reply metrics_reply = {"text/plain; version=0.0.4; charset=utf-8", write_metrics};

static void route_metrics(void *context, struct task *t, const struct http_request *req)
{
    struct worker *w = context;
    (void)req;
    if (!atomic_load_explicit(&w->gateway->settings, memory_order_acquire)->metrics_enabled) {
        task_finish(&w->tasks, t, TG_DISABLED);
        return;
    }
    t->reply = &metrics_reply;
    task_finish(&w->tasks, t, TG_OK);
}

const struct http_route gateway_routes[] = {
#define ROUTE(path, methods, allow, handler) {TG_STR_INIT(path), methods, allow, handler},
#include "routes.def"
#undef ROUTE
    {{NULL, 0}, 0, NULL, NULL},
};

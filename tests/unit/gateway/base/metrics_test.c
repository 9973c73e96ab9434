/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text: sums over workers, cumulative buckets, one HELP and TYPE per family. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/metrics.h"

#define WORKERS 2

static struct task_metrics tasks[WORKERS][2][TG_PRIORITIES]; /* one instance, and the others */
static struct metrics workers[WORKERS];
static struct metrics *const pointers[WORKERS] = {&workers[0], &workers[1]};
static struct tg_instance instance = {.name = "echo", .intent = "urn:iicp:intent:x.t:echo:v1"};
static struct tg_instance *const instances[] = {&instance};
static char text[32768];

static void begin(void)
{
    for (uint32_t w = 0; w < WORKERS; w++) {
        workers[w].tasks = tasks[w];
        workers[w].intent_slots = 2;
    }
}

static struct metrics_text export_into(size_t cap)
{
    struct metrics_text t = {.buf = text, .cap = cap};
    metrics_export(&t, pointers, WORKERS, instances, 1);
    return t;
}

static void expect_line(const char *line)
{
    char wanted[512];
    snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    cr_assert_not_null(strstr(text, wanted), "no line \"%s\" in:\n%s", line, text);
}

static uint32_t count(const char *needle)
{
    uint32_t n = 0;
    for (const char *at = text; (at = strstr(at, needle)); at++)
        n++;
    return n;
}

TestSuite(metrics, .init = begin);

Test(metrics, counters_are_summed_over_workers)
{
    metrics_add(&workers[0], METRIC_REQUESTS, 3);
    metrics_add(&workers[1], METRIC_REQUESTS, 4);
    cr_assert_not(export_into(sizeof(text)).overflow);
    expect_line("taskgate_http_requests_total 7");
    expect_line("taskgate_replays_refused_total 0");
}

Test(metrics, a_task_counts_in_its_bucket_and_all_above)
{
    metrics_task(&workers[0], 0, TG_INTERACTIVE, OUTCOME_SUCCESS,
                 10000); /* 10 ms: the bound belongs to the bucket */
    metrics_task(&workers[1], 0, TG_INTERACTIVE, OUTCOME_SUCCESS, 10001);
    metrics_task(&workers[1], 0, TG_INTERACTIVE, OUTCOME_TIMEOUT, 99000000);
    export_into(sizeof(text));
    expect_line("iicp_task_latency_ms_bucket{intent=\"urn:iicp:intent:x.t:echo:v1\",qos=\"interactive\",le="
                "\"10\"} 1");
    expect_line("iicp_task_latency_ms_bucket{intent=\"urn:iicp:intent:x.t:echo:v1\",qos=\"interactive\",le="
                "\"50\"} 2");
    expect_line("iicp_task_latency_ms_bucket{intent=\"urn:iicp:intent:x.t:echo:v1\",qos=\"interactive\",le="
                "\"30000\"} 2");
    expect_line("iicp_task_latency_ms_bucket{intent=\"urn:iicp:intent:x.t:echo:v1\",qos=\"interactive\",le="
                "\"+Inf\"} 3");
    expect_line(
        "iicp_task_latency_ms_sum{intent=\"urn:iicp:intent:x.t:echo:v1\",qos=\"interactive\"} 99020.001");
    expect_line("iicp_task_latency_ms_count{intent=\"urn:iicp:intent:x.t:echo:v1\",qos=\"interactive\"} 3");
}

Test(metrics, refusals_are_counted_but_are_no_latency)
{
    metrics_task(&workers[0], 1, TG_BEST_EFFORT, OUTCOME_REFUSED, 5);
    export_into(sizeof(text));
    expect_line("iicp_tasks_total{status=\"refused\",intent=\"other\",qos=\"best_effort\"} 1");
    cr_assert_eq(count("iicp_task_latency_ms_count"), 0);
}

Test(metrics, every_family_has_one_help_and_one_type_before_its_samples)
{
    metrics_task(&workers[0], 0, TG_BATCH, OUTCOME_SUCCESS, 1);
    metrics_task(&workers[0], 1, TG_BATCH, OUTCOME_ERROR, 1);
    export_into(sizeof(text));
    cr_assert_eq(count("# HELP "), METRIC_COUNT + 4);
    cr_assert_eq(count("# TYPE "), METRIC_COUNT + 4);
    cr_assert_eq(count("# TYPE iicp_tasks_total counter\n"), 1);
    cr_assert_eq(count("# TYPE iicp_task_latency_ms histogram\n"), 1);
    cr_assert(strstr(text, "# TYPE iicp_tasks_total") < strstr(text, "iicp_tasks_total{"));
    cr_assert_eq(text[strlen(text) - 1], '\n');
}

Test(metrics, open_connections_are_a_gauge)
{
    atomic_store_explicit(&workers[0].connections_open, 2, memory_order_relaxed);
    atomic_store_explicit(&workers[1].connections_open, 5, memory_order_relaxed);
    export_into(sizeof(text));
    expect_line("# TYPE taskgate_connections_open gauge");
    expect_line("taskgate_connections_open 7");
}

Test(metrics, a_small_buffer_is_never_overrun)
{
    size_t whole = export_into(sizeof(text)).len;
    for (size_t cap = 1; cap <= whole; cap += 61) {
        memset(text, 0x7e, sizeof(text));
        struct metrics_text t = export_into(cap);
        cr_assert(t.overflow && t.len < cap, "%zu of %zu bytes", cap, whole);
        cr_assert_eq(text[cap], 0x7e);
    }
    cr_assert_not(export_into(whole + 1).overflow);
}

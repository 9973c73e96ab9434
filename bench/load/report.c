/* SPDX-License-Identifier: Apache-2.0 */
/* Prints results. Times are in microseconds throughout. */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "options.h"
#include "tg/def.h"

static const struct {
    const char *name;
    double percent;
} quantiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99}};

static double us(uint64_t ns)
{
    return (double)ns / 1000;
}

static double per_request_us(const struct report *r, uint64_t ns)
{
    return r->stats->responses ? us(ns) / (double)r->stats->responses : 0;
}

static uint64_t server_ns(const struct report *r)
{
    return r->after.cpu_ns - r->before.cpu_ns;
}

static double segments_per_request(const struct report *r)
{
    uint64_t sent = r->after.tcp_segments - r->before.tcp_segments;
    return r->stats->responses ? (double)sent / (double)r->stats->responses : 0;
}

static void text_latency(const char *name, const struct histogram *h)
{
    printf("%-10s", name);
    for (size_t i = 0; i < TG_ARRAY_SIZE(quantiles); i++)
        printf(" %s %.1f", quantiles[i].name, us(histogram_percentile(h, quantiles[i].percent)));
    printf(" max %.1f mean %.1f us\n", us(h->max), histogram_mean(h) / 1000);
}

static void text_statuses(const struct stats *s)
{
    printf("status    ");
    for (int i = 0; i < STATS_STATUS_MAX; i++)
        if (s->status[i])
            printf(" %d: %" PRIu64, i, s->status[i]);
    printf("\n");
}

static void text_error(uint64_t count, const char *name, const char *what)
{
    if (count)
        printf("%-14s %" PRIu64 " (%s)\n", name, count, what);
}

static void text_server(const struct report *r)
{
    double seconds = r->seconds;

    if (r->options->pid_count == 0)
        return;
    printf("server     %.2f us processor time per request, %.1f %% of a core (%.2f ms/s), %.1f MiB resident, "
           "%.0f sleeps/s\n",
           per_request_us(r, server_ns(r)), us(server_ns(r)) / 1e4 / seconds, us(server_ns(r)) / 1000 / seconds,
           (double)r->after.rss_bytes / (1 << 20),
           (double)(r->after.voluntary_switches - r->before.voluntary_switches) / seconds);
    printf("TCP        %.2f segments sent per request, both sides and others on this machine\n",
           segments_per_request(r));
}

/* New connections were opened inside the window only if the server closed the old ones. */
static void text_tls(const struct report *r)
{
    const struct stats *s = r->stats;

    if (r->options->tls)
        printf("TLS        %s %s, %.0f handshakes/s, %.0f of them resumed\n", r->tls_version, r->tls_suite,
               (double)s->opening.count / r->seconds, (double)s->resumed / r->seconds);
    if (s->opening.count)
        text_latency("opening", &s->opening);
}

void report_text(const struct report *r)
{
    const struct options *o = r->options;
    const struct stats *s = r->stats;

    printf("%s: %u connections, %u active, %u in flight on each, %u thread%s on %s", o->target, o->connections,
           o->active, o->pipeline, o->threads, o->threads > 1 ? "s" : "", r->io);
    if (o->rate > 0)
        printf(", open loop at %.0f/s %s", o->rate, o->arrival);
    printf(r->interrupted ? ", stopped early\n" : "\n");
    printf("rate       %.0f requests/s (%" PRIu64 " in %.2f s), %.1f MB/s in, %.1f MB/s out\n",
           (double)s->responses / r->seconds, s->responses, r->seconds, (double)s->bytes_in / r->seconds / 1e6,
           (double)s->bytes_out / r->seconds / 1e6);
    text_latency("latency", &s->latency);
    if (o->rate > 0)
        text_latency("service", &s->service);
    if (s->refusal.count) {
        text_latency("accepted", &s->accepted);
        text_latency("refused", &s->refusal);
    }
    text_tls(r);
    text_statuses(s);
#define COUNTER(name, what) text_error(s->name, #name, what);
    STATS_ERRORS(COUNTER)
#undef COUNTER
    printf("client     %.2f us processor time per request, %.1f %% of its cores\n", per_request_us(r, s->cpu_ns),
           us(s->cpu_ns) / 1e4 / r->seconds / o->threads);
    text_server(r);
}

static void json_string(const char *text)
{
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            printf("\\%c", *p);
        else if (*p < 0x20)
            printf("\\u%04x", *p);
        else
            putchar(*p);
    }
    putchar('"');
}

static void json_latency(const char *name, const struct histogram *h)
{
    printf(",\"%s\":{\"count\":%" PRIu64 ",\"mean\":%.3f,\"min\":%.3f", name, h->count, histogram_mean(h) / 1000,
           h->count ? us(h->min) : 0.0);
    for (size_t i = 0; i < TG_ARRAY_SIZE(quantiles); i++)
        printf(",\"%s\":%.3f", quantiles[i].name, us(histogram_percentile(h, quantiles[i].percent)));
    printf(",\"max\":%.3f}", us(h->max));
}

static void json_counts(const struct stats *s)
{
    const char *comma = "";

    printf(",\"status\":{");
    for (int i = 0; i < STATS_STATUS_MAX; i++) {
        if (!s->status[i])
            continue;
        printf("%s\"%d\":%" PRIu64, comma, i, s->status[i]);
        comma = ",";
    }
    printf("},\"errors\":{");
    comma = "";
#define COUNTER(name, what)                                                                                  \
    printf("%s\"%s\":%" PRIu64, comma, #name, s->name);                                                      \
    comma = ",";
    STATS_ERRORS(COUNTER)
#undef COUNTER
    printf("}");
}

static void json_processes(const struct report *r)
{
    printf(",\"client\":{\"cpu_us_per_request\":%.3f,\"cpu_percent\":%.2f}",
           per_request_us(r, r->stats->cpu_ns), us(r->stats->cpu_ns) / 1e4 / r->seconds / r->options->threads);
    if (r->options->pid_count == 0)
        return;
    printf(",\"server\":{\"cpu_us_per_request\":%.3f,\"cpu_ms_per_s\":%.3f,\"rss_bytes\":%" PRIu64
           ",\"voluntary_switches\":%" PRIu64 "},\"tcp_segments_per_request\":%.3f",
           per_request_us(r, server_ns(r)), us(server_ns(r)) / 1000 / r->seconds, r->after.rss_bytes,
           r->after.voluntary_switches - r->before.voluntary_switches, segments_per_request(r));
}

static void json_tls(const struct report *r)
{
    if (r->options->tls)
        printf(",\"tls\":{\"version\":\"%s\",\"suite\":\"%s\",\"handshakes\":%" PRIu64 ",\"resumed\":%" PRIu64 "}",
               r->tls_version, r->tls_suite, r->stats->opening.count, r->stats->resumed);
}

void report_json(const struct report *r)
{
    const struct options *o = r->options;
    const struct stats *s = r->stats;

    printf("{\"target\":");
    json_string(o->target);
    printf(",\"io\":\"%s\",\"connections\":%u,\"active\":%u,\"pipeline\":%u,\"threads\":%u,\"mode\":\"%s\"", r->io,
           o->connections, o->active, o->pipeline, o->threads, o->rate > 0 ? "open" : "closed");
    printf(",\"rate_asked\":%.3f,\"arrival\":\"%s\",\"seconds\":%.6f,\"interrupted\":%s", o->rate, o->arrival,
           r->seconds, r->interrupted ? "true" : "false");
    printf(",\"requests\":%" PRIu64 ",\"requests_per_s\":%.3f,\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64,
           s->responses, (double)s->responses / r->seconds, s->bytes_in, s->bytes_out);
    json_latency("latency_us", &s->latency);
    if (o->rate > 0)
        json_latency("service_us", &s->service);
    json_latency("accepted_us", &s->accepted);
    json_latency("refused_us", &s->refusal);
    json_latency("opening_us", &s->opening);
    json_tls(r);
    json_counts(s);
    json_processes(r);
    printf("}\n");
}

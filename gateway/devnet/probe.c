/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/probe: can the directory reach this host and port? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dial.h"
#include "gateway/base/clock.h"
#include "gateway/control/outbound.h"
#include "handlers.h"
#include "rules.h"
#include "text.h"

#define HOST_MAX 253
#define PORT_LEAST 1024

struct target {
    char host[HOST_MAX + 1], url[HOST_MAX + 64];
};

/* Names and addresses, IPv6 with or without brackets; the URL is put together and judged as a whole. */
static bool read_target(struct exchange *x, struct target *t)
{
    struct rules_report r = {0};
    struct outbound_url url;
    char port[8], *end;
    if (!exchange_parameter(x, "host", t->host, sizeof(t->host)) || strpbrk(t->host, "/?#@ \\"))
        rules_wrong(&r, "host", "is required and must be a name or an address");
    exchange_parameter(x, "port", port, sizeof(port));
    unsigned long number = strtoul(port, &end, 10);
    if (port[0] < '0' || port[0] > '9' || *end || number < PORT_LEAST || number > 65535)
        rules_wrong(&r, "port", "must be a whole number from 1024 to 65535");
    bool bare = strchr(t->host, ':') && t->host[0] != '[';
    snprintf(t->url, sizeof(t->url), "http://%s%s%s:%lu/iicp/health", bare ? "[" : "", t->host,
             bare ? "]" : "", number);
    if (r.count == 0 && outbound_url_parse(text_of(t->url), &url))
        rules_wrong(&r, "host", "must be a name or an address");
    return rules_passed(x, &r);
}

static void write_result(struct exchange *x, long status, uint64_t ns, const char *why)
{
    char text[32];
    bool reachable = status >= 200 && status < 300;
    exchange_begin(x, 200);
    exchange_flag(x, "reachable", reachable);
    exchange_number(x, "latency_ms", (double)(ns / NS_PER_US) / 1000);
    snprintf(text, sizeof(text), "answered %ld", status);
    TG_JSON_KEY(&x->w, "error");
    if (reachable)
        tg_json_write_null(&x->w);
    else
        tg_json_write_string(&x->w, text_of(status ? text : why));
    exchange_end(x);
}

void devnet_probe(struct exchange *x)
{
    char why[DIAL_WHY_MAX];
    struct outbound_url url;
    struct target t;
    if (!read_target(x, &t) || outbound_url_parse(text_of(t.url), &url))
        return;
    if (!x->d->options->allow_private && !dial_host_public(url.host)) {
        exchange_error(x, 422, "IICP-E035", "the host is not on the public Internet");
        return;
    }
    uint64_t begin = clock_now_ns();
    long status = dial(t.url, true, x->d->options->liveness_ms, why);
    write_result(x, status, clock_now_ns() - begin, why);
}

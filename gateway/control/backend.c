/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at the backend, and telling what was seen. */
#include <stdio.h>
#include "backend.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

#define PROBE_TIMEOUT_MS 2000
#define REPLY_BYTES_MAX (1u << 20)

void backend_init(struct backend *b, const struct control_host *host, const struct backend_options *options)
{
    *b = (struct backend){.host = host, .options = *options};
}

static void tell(struct backend *b, struct iicp_backend next)
{
    struct iicp_backend last = backend_now(b);
    if (next.state == IICP_BACKEND_DRAINING)
        next.drain_until_s = (uint32_t)(b->host->unix_ms(b->host->context) / 1000 + next.retry_after_s);
    if (next.state != last.state || next.reason != last.reason)
        log_info("backend: " TG_STR_FMT ", " TG_STR_FMT, TG_STR_ARG(iicp_backend_state_name(next.state)),
                 TG_STR_ARG(iicp_backend_reason_name(next.reason)));
    /* Relaxed; read by backend_now(): the word refers to nothing else. */
    atomic_store_explicit(&b->word, iicp_backend_pack(next), memory_order_relaxed);
}

/* Servers of other kinds are well as long as they answer, whatever that is: not all have a list of models. */
static void answered(void *context, const struct call_reply *r)
{
    struct backend *b = context;
    bool fine = !r->error && (r->status == 200 || b->options.kind == BACKEND_OTHER);
    struct tg_str model = {b->options.model, strlen(b->options.model)};
    b->due_ns = b->host->now_ns(b->host->context) + b->options.probe_ms * NS_PER_MS;
    tell(b, fine ? backend_read(b->options.kind, model, r->doc)
                 : (struct iicp_backend){IICP_BACKEND_DEGRADED, IICP_REASON_OBSERVER, 0, 0});
}

static void probe(struct backend *b)
{
    static const char *const paths[] = {"/v1/models", "/api/ps", "/api/v1/models"};
    char url[CALL_URL_MAX];
    size_t len = strlen(b->options.url);
    while (len && b->options.url[len - 1] == '/')
        len--;
    if (len >= 3 && memcmp(b->options.url + len - 3, "/v1", 3) == 0)
        len -= 3;
    (void)snprintf(url, sizeof(url), "%.*s%s", (int)len, b->options.url, paths[b->options.kind]);
    call_start(
        &b->call, b->host,
        &(struct call_request){
            .method = "GET", .url = url, .timeout_ms = PROBE_TIMEOUT_MS, .body_bytes_max = REPLY_BYTES_MAX},
        answered, b);
}

uint64_t backend_turn(struct backend *b, uint64_t now_ns)
{
    if (!b->options.url || !b->options.url[0])
        return UINT64_MAX;
    if (!call_active(&b->call) && now_ns >= b->due_ns)
        probe(b);
    return call_active(&b->call) ? UINT64_MAX : b->due_ns;
}

void backend_stop(struct backend *b)
{
    call_cancel(&b->call);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* One registration after the other until one is accepted: three quick attempts, then as often as heartbeats.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "outbound.h"
#include "register.h"

#define BODY_BYTES_MAX (2u << 20) /* 64 capabilities with 64 models each are well below */
#define QUICK_ATTEMPTS 3
#define NEVER_FACTOR 10 /* a refusal for good is questioned at a tenth of the pace */
#define WAIT_MAX_S 3600u

void registrar_init(struct registrar *r, const struct directory_link *link, struct auth *auth,
                    struct directory_metrics *metrics, const struct registrar_options *options)
{
    *r = (struct registrar){.link = link, .auth = auth, .metrics = metrics, .options = *options};
}

void registrar_want(struct registrar *r, uint64_t when_ns)
{
    if (r->wanted)
        return;
    r->wanted = true;
    r->attempts = 0;
    r->due_ns = when_ns;
}

__attribute__((format(printf, 2, 3))) static void complain(struct registrar *r, const char *format, ...)
{
    char text[sizeof(r->said)];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (strcmp(text, r->said) == 0)
        return;
    memcpy(r->said, text, sizeof(text));
    log_warn("directory: %s", text);
}

/* ---- what must not be told to strangers ------------------------------------------------------------- */

static bool private_url(struct tg_str url)
{
    struct outbound_url u;
    return outbound_url_parse(url, &u) == NULL && outbound_host_private(u.host);
}

/* A public directory cannot reach a private endpoint, and has no business knowing it. */
static const char *objection(const struct registrar *r, const struct iicp_registration *reg)
{
    if (reg->endpoint.len == 0)
        return "endpoint: there is none, directory.public_endpoint must say how others reach this node";
    const char *wrong = iicp_registration_check(reg);
    if (wrong || r->options.allow_private)
        return wrong;
    struct tg_str directory = {r->link->url, strlen(r->link->url)};
    if (private_url(reg->endpoint) && !private_url(directory))
        return "endpoint: a loopback or private one is not registered at a public directory "
               "(directory.allow_private lifts this)";
    return NULL;
}

/* ---- answers ---------------------------------------------------------------------------------------- */

/* So that the nodes of a directory that comes back do not all knock at once. */
static uint64_t with_jitter(const struct registrar *r, uint64_t ns)
{
    uint32_t dice;
    r->link->host->random(r->link->host->context, &dice, sizeof(dice));
    return ns + ns / 10 * (dice % 1024) / 1024;
}

static uint64_t wait_ns(const struct registrar *r, enum iicp_verdict verdict, uint32_t retry_after_s)
{
    uint64_t beat = r->options.heartbeat_ms * NS_PER_MS;
    uint64_t wait = with_jitter(r, verdict == IICP_NEVER ? NEVER_FACTOR * beat : beat);
    if (verdict == IICP_LATER && r->attempts < QUICK_ATTEMPTS)
        wait = r->attempts * 2 * NS_PER_S; /* 2 s, then 4 s */
    return TG_MAX(wait, TG_MIN(retry_after_s, WAIT_MAX_S) * NS_PER_S);
}

static void again(struct registrar *r, enum iicp_verdict verdict, uint32_t retry_after_s)
{
    r->due_ns = r->link->host->now_ns(r->link->host->context) + wait_ns(r, verdict, retry_after_s);
}

static void refused(struct registrar *r, const struct call_reply *reply)
{
    struct iicp_refusal why;
    iicp_read_refusal(reply->doc, &why);
    enum iicp_verdict verdict = iicp_register_verdict(reply->status, &why);
    complain(r, "registration %s: %u %s %s%s%s", verdict == IICP_NEVER ? "refused" : "put off", reply->status,
             why.code, why.message, why.fields[0] ? ": " : "", why.fields);
    again(r, verdict, TG_MAX(why.retry_after_s, reply->retry_after_s));
}

static void accepted(struct registrar *r, const struct iicp_registered *reply)
{
    auth_adopt(r->auth, reply);
    directory_count(r->metrics, DIRECTORY_COUNTER_REGISTRATIONS);
    log_info("directory: registered as %s%s", r->auth->node_id,
             reply->recovered ? ", known from before" : "");
    r->wanted = false;
    r->accepted = true;
    r->said[0] = '\0';
}

static void answered(void *context, const struct call_reply *reply)
{
    struct registrar *r = context;
    struct iicp_registered result;
    if (reply->error) {
        complain(r, "not reached for registration: %s", reply->why);
        again(r, IICP_LATER, 0);
    } else if (iicp_register_verdict(reply->status, &(struct iicp_refusal){0}) != IICP_ACCEPTED) {
        refused(r, reply);
    } else if (!reply->doc || iicp_read_registered(reply->doc, &result) < 0) {
        complain(r, "registration answered with %u, but not with a token", reply->status);
        again(r, IICP_LATER, 0);
    } else {
        accepted(r, &result);
        crypto_wipe(&result, sizeof(result));
    }
}

/* ---- asking ----------------------------------------------------------------------------------------- */

static void submit(struct registrar *r, const struct iicp_registration *reg)
{
    struct tg_json_writer w;
    char *body = malloc(BODY_BYTES_MAX);
    if (!body) {
        again(r, IICP_LATER, 0);
        return;
    }
    tg_json_writer_init(&w, body, BODY_BYTES_MAX);
    iicp_write_registration(reg, &w);
    TG_ASSERT(!w.overflow);
    call_directory(&r->call, r->link,
                   &(struct call_request){.method = "POST", .url = "/v1/register", .body = {body, w.len}},
                   answered, r);
    crypto_wipe(body, w.len);
    free(body);
}

static void attempt(struct registrar *r)
{
    struct iicp_registration reg = {0};
    r->options.describe(r->options.context, &reg);
    reg.node_id = (struct tg_str){r->auth->node_id, strlen(r->auth->node_id)};
    reg.current_node_token = (struct tg_str){r->auth->node_token, strlen(r->auth->node_token)};
    const char *wrong = objection(r, &reg);
    r->hopeless = wrong != NULL;
    r->attempts++;
    if (wrong)
        complain(r, "not registering, %s", wrong);
    else
        submit(r, &reg);
}

uint64_t registrar_turn(struct registrar *r, uint64_t now_ns)
{
    if (r->wanted && !r->hopeless && !call_active(&r->call) && now_ns >= r->due_ns)
        attempt(r);
    return r->wanted && !r->hopeless && !call_active(&r->call) ? r->due_ns : UINT64_MAX;
}

void registrar_stop(struct registrar *r)
{
    call_cancel(&r->call);
    r->wanted = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Headers, addresses and the JSON of replies. Texts with tokens in them are wiped at once. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "call.h"

#define REPLY_BYTES_MAX 65536

static void deliver(struct call *c, const struct call_reply *r)
{
    call_done *done = c->done;
    c->id = 0;
    done(c->context, r);
}

/* @nodes has room for any body of this length; NULL: none could be had, and the body counts as no JSON. */
static bool parse(struct tg_json_doc *doc, struct tg_json_node *nodes, struct tg_str body)
{
    struct tg_json_error err;
    *doc = (struct tg_json_doc){.nodes = nodes, .capacity = (uint32_t)TG_JSON_NODES_MAX(body.len)};
    return nodes && body.len && tg_json_parse(doc, body.ptr, body.len, &err) == 0;
}

static void answered(void *context, const struct client_response *r)
{
    struct call *c = context;
    if (r->error == -ECANCELED) { /* the client is closing, and whoever asked will be closed next */
        c->id = 0;
        return;
    }
    struct call_reply reply = {.error = r->error, .why = r->error ? r->why : "an unexpected answer"};
    if (r->error) {
        deliver(c, &reply);
        return;
    }
    struct tg_json_doc doc;
    struct tg_json_node *nodes = malloc(TG_JSON_NODES_MAX(r->body.len) * sizeof(*nodes));
    reply.status = r->status;
    reply.retry_after_s = r->retry_after_s;
    reply.doc = parse(&doc, nodes, r->body) ? &doc : NULL;
    deliver(c, &reply);
    free(nodes);
}

void call_start(struct call *c, const struct control_host *host, const struct call_request *rq,
                call_done *done, void *context)
{
    char bearer[IICP_TOKEN_MAX + 32];
    const char *headers[4] = {"Accept: application/json"};
    unsigned n = 1;
    TG_ASSERT(!call_active(c));
    *c = (struct call){.host = host, .done = done, .context = context};
    if (rq->body.ptr)
        headers[n++] = "Content-Type: application/json";
    if (rq->token && rq->token[0]) {
        (void)snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", rq->token);
        headers[n++] = bearer;
    }
    c->id = host->submit(
        host->context,
        &(struct client_request){.method = rq->method,
                                 .url = rq->url,
                                 .headers = headers,
                                 .body = rq->body,
                                 .timeout_ms = rq->timeout_ms,
                                 .body_bytes_max = rq->body_bytes_max ? rq->body_bytes_max : REPLY_BYTES_MAX,
                                 .reach = CLIENT_ANY},
        answered, c);
    crypto_wipe(bearer, sizeof(bearer));
    if (!c->id)
        deliver(c, &(struct call_reply){.error = -ENOMEM, .why = "out of memory"});
}

void call_directory(struct call *c, const struct directory_link *link, const struct call_request *rq,
                    call_done *done, void *context)
{
    char url[CALL_URL_MAX];
    struct call_request whole = *rq;
    struct tg_str base = {link->url, strlen(link->url)};
    whole.url = url;
    whole.timeout_ms = link->timeout_ms;
    /* Node ids and bases are bounded: they fit. */
    TG_ASSERT(iicp_directory_url(base, rq->url, url, sizeof(url)));
    call_start(c, link->host, &whole, done, context);
}

void call_cancel(struct call *c)
{
    if (c->id)
        c->host->cancel(c->host->context, c->id);
    c->id = 0;
}

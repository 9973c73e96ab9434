/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request at a time to a directory or a backend, its reply parsed. Whoever embeds one asks call_active()
 * before it starts the next. Thread: control.
 */
#ifndef TG_CALL_H
#define TG_CALL_H

#include "gateway/dialect/iicp_directory.h"
#include "host.h"

#define CALL_URL_MAX 2048

/* What all that talk to the same directory share. */
struct directory_link {
    const struct control_host *host;
    struct crypto *crypto;
    const char *url; /* as configured */
    uint32_t timeout_ms;
};

struct call_reply {
    int error;       /* 0, or why there is no answer at all; then status is 0 */
    const char *why; /* for logs, in every case of failure */
    uint32_t status, retry_after_s;
    const struct tg_json_doc *doc; /* NULL: the body is no JSON */
};

typedef void call_done(void *context, const struct call_reply *r);

struct call {
    const struct control_host *host;
    uint64_t id; /* 0: none under way */
    call_done *done;
    void *context;
};

struct call_request {
    const char *method;
    const char *url;     /* whole; for call_directory() the path behind the base */
    const char *token;   /* NULL or empty: no Authorization */
    struct tg_str body;  /* JSON; ptr NULL: none */
    uint32_t timeout_ms; /* call_directory(): the link's */
    uint32_t body_bytes_max;
};

/** @done follows in every case, from within if the request cannot even start. */
void call_start(struct call *c, const struct control_host *host, const struct call_request *rq,
                call_done *done, void *context);
void call_directory(struct call *c, const struct directory_link *link, const struct call_request *rq,
                    call_done *done, void *context);
/** Forget it: @done will not come. */
void call_cancel(struct call *c);

static inline bool call_active(const struct call *c)
{
    return c->id != 0;
}

#endif

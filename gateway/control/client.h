/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP requests of the control thread, over one libcurl multi handle: many at once, none blocks. Names are resolved
 * on a thread of the client's own, checked, and the connection goes to the address that was checked.
 * Thread: the control thread; callbacks run in client_turn().
 */
#ifndef TG_CLIENT_H
#define TG_CLIENT_H

#include "tg/def.h"

struct client;

enum client_reach {
    CLIENT_ANY,    /* the operator named this address */
    CLIENT_PUBLIC, /* somebody else did: public addresses only, else -EPERM */
};

struct client_request {
    const char *method; /* "GET", "HEAD", "POST", "PUT", "DELETE" */
    const char *url;
    const char *const *headers; /* "Name: value", ended by NULL; never logged; NULL: none */
    struct tg_str body;         /* ptr NULL: none. Copied, like everything here */
    uint32_t timeout_ms;        /* from submission to the last byte */
    size_t body_bytes_max;      /* of the response; over it -EMSGSIZE */
    enum client_reach reach;
    uint32_t redirects_max;     /* followed only for 307 and 308 within the same origin */
};

/* Valid while the callback runs. */
struct client_response {
    int error;       /* 0, -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EHOSTUNREACH (not resolved), -EPERM (reach),
                        -EMSGSIZE, -EPROTO (not HTTP, TLS failed, redirect refused), -EINVAL (URL or header not
                        sound), -ENOMEM, -ECANCELED (client destroyed) */
    const char *why; /* for the log, never NULL on error: no secrets, nothing of the body */
    uint32_t status;
    uint32_t retry_after_s; /* Retry-After as a number of seconds, 0: absent */
    struct tg_str content_type, body;
    struct tg_str head; /* status line and headers as they came */
};

typedef void client_done(void *context, const struct client_response *r);

/** @user_agent is copied. From here on the process ignores SIGPIPE. NULL if out of memory. */
struct client *client_create(const char *user_agent);
/** Unfinished requests end with -ECANCELED before this returns. */
void client_destroy(struct client *c);

/** Returns an id > 0; @done follows from client_turn(), whatever happens. 0: out of memory, @done never comes. */
uint64_t client_submit(struct client *c, const struct client_request *rq, client_done *done, void *context);
/** Forget a request: its callback will not come. Unknown ids are ignored. */
void client_cancel(struct client *c, uint64_t id);
uint32_t client_active(const struct client *c);

#define CLIENT_FDS_MAX 8

struct client_fd {
    int fd;
    bool ready;
};

/**
 * Move data and deliver callbacks; sleep up to @timeout_ms while nothing happens, or until one of @fds (@fd_count
 * of them, CLIENT_FDS_MAX at most) is readable: its `ready` is then set. Returns how many callbacks it called.
 */
uint32_t client_turn(struct client *c, uint32_t timeout_ms, struct client_fd *fds, uint32_t fd_count);

/** One request, waited for: for commands. Same callback, from within. */
void client_call(struct client *c, const struct client_request *rq, client_done *done, void *context);

#endif

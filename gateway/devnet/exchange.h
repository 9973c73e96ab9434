/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and the answer that is being put together. Handlers fill it in; they do no I/O of their own but
 * dialling back. Thread: the one that serves the connection.
 */
#ifndef TG_DEVNET_EXCHANGE_H
#define TG_DEVNET_EXCHANGE_H

#include "gateway/http/parse.h"
#include "state.h"

struct exchange {
    struct devnet *d;
    struct crypto *crypto; /* this thread's */
    const char *peer;

    /* The request. */
    const struct http_head *head;
    const char *bytes;                       /* of the head */
    struct tg_str method, path, query, body; /* path without a leading /api */
    struct tg_str rest;                      /* of a path whose route ends in '*' */
    struct tg_json_doc doc; /* of the body; nodes[0] is an object. Routes that take none have count 0 */

    /* The answer. */
    uint16_t status;
    uint32_t retry_after_s;
    const char *content_type, *allow;
    char location[FAULT_TEXT_MAX + 1];
    struct tg_json_writer w;
    char node[NODE_ID_MAX + 1]; /* for the log */
};

static inline void exchange_lock(struct exchange *x)
{
    pthread_mutex_lock(&x->d->lock);
}

static inline void exchange_unlock(struct exchange *x)
{
    pthread_mutex_unlock(&x->d->lock);
}

static inline const struct tg_json_node *exchange_root(const struct exchange *x)
{
    return x->doc.nodes;
}

/* ---- answers ------------------------------------------------------------------------------------------- */

/** Begin an answer with an object; end it with exchange_end(). Discards what was written before. */
void exchange_begin(struct exchange *x, uint16_t status);
void exchange_end(struct exchange *x);

/** {"error":{"code","message"},"code","message"}: all shapes that clients read. */
void exchange_error(struct exchange *x, uint16_t status, const char *code, const char *message);

/* Members of the answer; texts end with NUL. */
void exchange_text(struct exchange *x, const char *key, const char *value);
void exchange_number(struct exchange *x, const char *key, double value);
void exchange_flag(struct exchange *x, const char *key, bool value);
void exchange_time(struct exchange *x, const char *key, time_t value);

/* ---- what was sent ------------------------------------------------------------------------------------- */

/** A string member of the body, unescaped. False, and @out empty: absent, no string, or too long. */
bool exchange_member(const struct exchange *x, const char *key, char *out, size_t cap);
/** A parameter of the query, decoded. False, and @out empty: absent, malformed or too long. */
bool exchange_parameter(const struct exchange *x, const char *key, char *out, size_t cap);

/**
 * The node that calls, by its bearer token. With the lock held. NULL: the answer is written, 401 or 404.
 */
struct devnet_node *exchange_caller(struct exchange *x);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the client on its way: what client.c decides about and client_transfer.c tells libcurl. */
#ifndef TG_CLIENT_TRANSFER_H
#define TG_CLIENT_TRANSFER_H

#include <curl/curl.h>

#include "client.h"
#include "outbound.h"
#include "resolve.h"

enum transfer_state {
    TRANSFER_STARTING,  /* submitted, or redirected */
    TRANSFER_RESOLVING, /* the resolver has the name */
    TRANSFER_MOVING,    /* libcurl has it */
    TRANSFER_ENDED,     /* its callback is due */
};

struct transfer {
    struct transfer *next, *before;
    enum transfer_state state;
    uint64_t id, deadline_ns;
    client_done *done;
    void *context;
    /* the request, copied */
    char method[16];
    char *url, *body;
    size_t body_bytes, body_bytes_max;
    struct outbound_url target; /* spans of url */
    struct curl_slist *headers;
    enum client_reach reach;
    uint32_t redirects_left;
    /* the response */
    CURL *easy;
    struct curl_slist *pinned;
    char *data, *head; /* head: HEAD_BYTES_MAX of room, from its first line on */
    size_t data_bytes, data_room, head_bytes, head_at;
    bool too_big, not_public;
    struct client_response response;
    char why[192];
};

/** Copy the request. NULL if out of memory. */
struct transfer *transfer_create(const struct client_request *rq);
void transfer_destroy(struct transfer *t);

/** The transfer is over, without or with an error; @why is copied. */
void transfer_end(struct transfer *t, int error, const char *why);

/** Hand it to libcurl, pinned to the answer's addresses (NULL: the host is a literal, or a proxy resolves it). */
int transfer_start(struct transfer *t, CURLM *multi, const char *user_agent, const char *ca_file,
                   const struct resolve_answer *pin, uint64_t left_ms);
/** Take it from libcurl again, if that has it. */
void transfer_stop(struct transfer *t, CURLM *multi);

/** libcurl is through: fill in the response. True if it is a redirect to be followed: t->url is the new one then. */
bool transfer_finish(struct transfer *t, CURLcode result);

/** Does the environment name a proxy for this target? It does the resolving then. */
bool transfer_by_proxy(const struct transfer *t);

#endif

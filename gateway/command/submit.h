/* SPDX-License-Identifier: Apache-2.0 */
/* `taskgate submit`, between its files: what is to be sent, to whom, and how it went. */
#ifndef TG_COMMAND_SUBMIT_H
#define TG_COMMAND_SUBMIT_H

#include "envelope.h"
#include "finder.h"
#include "options.h"

/* Exit statuses, by outcome. */
enum submit_outcome {
    SUBMIT_DONE = 0,
    SUBMIT_REFUSED = 1,     /* by the node, for good */
    SUBMIT_NO_NODE = 3,     /* none found that may be used */
    SUBMIT_NOT_REACHED = 4, /* no answer, of the directory or of any node */
    SUBMIT_BUSY = 5,        /* 429 or 503 until the budget was spent */
    SUBMIT_BACKEND = 6,     /* 502, or another fault of the node's */
    SUBMIT_TIMEOUT = 7,     /* 504 */
    SUBMIT_UNTRUSTED = 8,   /* a reply that was to be sealed is not, or does not open */
};

struct submit {
    struct options options;
    const char *intent, *file, *url, *node, *qos, *model, *region, *task_id, *cx_key, *token_file,
        *consumer_token_file;
    uint32_t timeout_ms, retry_ms;
    bool cx, json, quiet, allow_private;
    struct tg_str payload; /* checked JSON */
};

struct submit_target {
    char node_id[IICP_NODE_ID_MAX + 1], url[ASK_URL_MAX]; /* of POST /v1/task */
    bool learnt; /* from the directory: only public addresses are called */
    struct iicp_cx_peer peer;
};

struct submit_targets {
    struct submit_target list[FINDER_NODES_MAX];
    uint32_t count;
};

/** Words on stderr, unless --quiet. */
void submit_say(const struct submit *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Who may be asked, best first. SUBMIT_DONE if there is anybody. (submit_target.c) */
enum submit_outcome submit_find(const struct submit *s, const struct config *config, struct client *client,
                                struct crypto *crypto, struct submit_targets *out);

/** Send, again where that makes sense, and print the result. (submit_send.c) */
enum submit_outcome submit_send(const struct submit *s, struct client *client, struct crypto *crypto,
                                const struct submit_targets *targets);

#endif

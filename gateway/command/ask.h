/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP request of a command, waited for, and its answer kept. */
#ifndef TG_COMMAND_ASK_H
#define TG_COMMAND_ASK_H

#include "gateway/control/client.h"
#include "tg/json.h"

#define ASK_URL_MAX 2048

struct answer {
    bool over; /* set when it is complete: for those that ask several at once */
    int error; /* 0, or negative errno: no answer at all, `why` tells */
    char why[192];
    uint32_t status, retry_after_s;
    char content_type[96];
    char *head, *body; /* terminated */
    size_t head_len, body_len;
    struct tg_json_doc doc; /* nodes NULL: the body is no JSON */
    uint64_t started_ns, elapsed_ns;
};

/** Ask and wait. @a is overwritten; answer_finish() it. */
void ask(struct client *c, const struct client_request *rq, struct answer *a);
/** The same without waiting: client_turn() until `over`. */
void ask_start(struct client *c, const struct client_request *rq, struct answer *a);
void answer_finish(struct answer *a);

/** The root if it is an object, else NULL. */
const struct tg_json_node *answer_object(const struct answer *a);
/** A member of the answer, or of @object in it; NULL if there is none. */
const struct tg_json_node *answer_get(const struct answer *a, const char *key);
/** A header's value, white space around it dropped; len 0 if it is not there. */
struct tg_str answer_header(const struct answer *a, const char *name);
/** The error's code, where any client would look for it; empty if there is none. */
void answer_code(const struct answer *a, char *out, size_t cap);

/** @base, its slashes at the end dropped, and @path. False if it does not fit. */
bool ask_url(char out[static ASK_URL_MAX], const char *base, const char *path);

#endif

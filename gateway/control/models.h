/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which models the backend has, asked before each heartbeat: a set that changed means registering anew.
 * Thread: control.
 */
#ifndef TG_MODELS_H
#define TG_MODELS_H

#include "call.h"

/* Names in one buffer, sorted, each once. */
struct model_set {
    uint32_t count;
    struct tg_str names[IICP_MODELS_MAX];
    size_t used;
    char text[IICP_MODELS_MAX * 128];
};

/** Add a name unless it is empty, there already, or does not fit. */
void model_set_add(struct model_set *s, struct tg_str name);
void model_set_copy(struct model_set *to, const struct model_set *from);
bool model_set_equal(const struct model_set *a, const struct model_set *b);
/** Names in a reply of /api/tags ({"models":[{"name"}]}) or /v1/models ({"data":[{"id"}]}). */
void model_set_read(struct model_set *s, const struct tg_json_doc *doc);

struct models {
    const struct control_host *host;
    const char *url; /* of the backend; empty: nobody is asked */
    bool tags_first; /* /api/tags, else /v1/models */
    bool asking_tags;
    bool answered; /* the last question came to an end */
    struct call call;
    struct model_set latest; /* count 0: not known */
};

void models_init(struct models *m, const struct control_host *host, const char *url, bool tags_first);
/** Starts asking; false if there is nobody to ask. `answered` is set at the end, whatever it is. */
bool models_ask(struct models *m);
void models_stop(struct models *m);

#endif

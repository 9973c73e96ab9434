/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching the model server behind this node: can it serve, is it cold, must tasks wait? Looked at every few
 * seconds, told to workers and heartbeats as one word. Thread: control; backend_now() any.
 */
#ifndef TG_BACKEND_OBSERVER_H
#define TG_BACKEND_OBSERVER_H

#include <stdatomic.h>
#include "call.h"

enum backend_kind {
    BACKEND_OTHER,    /* asked whether it is there */
    BACKEND_OLLAMA,   /* GET /api/ps: which models are resident */
    BACKEND_LMSTUDIO, /* GET /api/v1/models: how each instance is */
};

struct backend_options {
    const char *url; /* empty: none to watch, and all is well */
    enum backend_kind kind;
    const char *model; /* that tasks will ask for; empty: any */
    uint32_t probe_ms;
};

struct backend {
    const struct control_host *host;
    struct backend_options options;
    struct call call;
    uint64_t due_ns;
    _Atomic uint64_t word; /* iicp_backend_pack(); relaxed, as it says everything by itself */
};

void backend_init(struct backend *b, const struct control_host *host, const struct backend_options *options);
uint64_t backend_turn(struct backend *b, uint64_t now_ns);
void backend_stop(struct backend *b);

/** Thread: any. */
static inline struct iicp_backend backend_now(const struct backend *b)
{
    return iicp_backend_unpack(atomic_load_explicit(&b->word, memory_order_relaxed));
}

/** What a reply says; pure. @doc may be NULL. */
struct iicp_backend backend_read(enum backend_kind kind, struct tg_str model, const struct tg_json_doc *doc);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of the control thread see of the world: clocks, requests, randomness. The real one is filled in by
 * control.c; tests put a simulated clock and a simulated network in its place.
 *
 * A part is a state machine: `turn` does what is due at @now_ns and returns when it wants to be called next
 * (UINT64_MAX: only after an event). It never blocks and owns no thread.
 */
#ifndef TG_CONTROL_HOST_H
#define TG_CONTROL_HOST_H

#include "client.h"

struct control_host {
    void *context;
    uint64_t (*now_ns)(void *context);  /* monotonic */
    int64_t (*unix_ms)(void *context);  /* wall clock */
    uint64_t (*submit)(void *context, const struct client_request *rq, client_done *done, void *done_context);
    void (*cancel)(void *context, uint64_t id);
    void (*random)(void *context, void *out, size_t n);
};

#endif

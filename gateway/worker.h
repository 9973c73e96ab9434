/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread, one network loop, its connections and tasks. Shares with the others only what struct
 * gateway lists as shared.
 */
#ifndef TG_WORKER_H
#define TG_WORKER_H

#include <pthread.h>
#include "gateway/dialect/iicp.h"
#include "gateway/http/http.h"
#include "gateway/net/gate.h"

struct gateway;
struct tls_context;

#define WORKER_LISTENERS_MAX 16

enum worker_state { WORKER_STARTING, WORKER_SERVING, WORKER_FAILED, WORKER_DONE };

struct worker {
    /* fixed before the thread starts */
    struct gateway *gateway;
    uint32_t index;
    int cpu; /* to pin to, -1: none */
    int wake_fd;
    int listeners[WORKER_LISTENERS_MAX];
    uint32_t listener_count;
    bool listener_tls[WORKER_LISTENERS_MAX];
    struct tls_context *tls; /* NULL: nobody listens for it */
    struct tg_arena arena;
    struct tg_doorbell *doorbell;
    struct tg_executor *executor; /* run as a turn of this worker; NULL: it has its own thread */
    /* the thread's own */
    struct timer_wheel wheel;
    struct buffer_pool buffers;
    struct tasks tasks;
    struct gate gate;
    struct http http;
    struct iicp iicp;
    struct iicp_room room; /* for sealed, reported and authenticated tasks */
    struct net *net;
    struct metrics metrics;
    uint64_t gap_ns;  /* expected silence before the next event, a moving average */
    uint64_t idle_ns; /* since when nothing happened; 0: busy */
    bool draining;
    /* shared */
    bool started; /* by the thread that starts and joins */
    pthread_t thread;
    _Atomic uint32_t state; /* enum worker_state, written by the thread */
    char io[16];            /* "io_uring" or "epoll"; valid once serving */
    char note[96];          /* why not the preferred one; or why it failed */
};

/** Reserve the worker's memory and prepare everything that needs no thread. Returns 0 or negative errno. */
int worker_init(struct worker *w, struct gateway *g, uint32_t index);
/** Wait for the thread to end, if it was started. */
void worker_join(struct worker *w);
/** Give everything back. After worker_join(). */
void worker_finish(struct worker *w);

/** Start serving; returns once the loop is up (0) or has failed (negative errno, reason in w->note). */
int worker_start(struct worker *w);

/** Make it look at the gateway's snapshots and orders again. Thread: any. */
void worker_wake(struct worker *w);

#endif

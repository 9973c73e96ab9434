/* SPDX-License-Identifier: Apache-2.0 */
/* Serving one connection after the other: each thread of the pool does just that. */
#ifndef TG_DEVNET_SERVE_H
#define TG_DEVNET_SERVE_H

#include "state.h"

#define SERVE_THREADS 64

struct serve_pool {
    struct devnet *d;
    int listen_fd;
    uint32_t count;
    pthread_t threads[SERVE_THREADS];
};

/** Threads accept at once. Returns 0, or a negative errno if not even one could be started. */
int serve_start(struct serve_pool *p, struct devnet *d, int listen_fd);
/** Ends what is being served and waits for the threads. */
void serve_stop(struct serve_pool *p);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The device in a process of its own: its keeper, and a thread that makes of the keeper's news what clients see. */
#ifndef TG_DEVICE_H
#define TG_DEVICE_H

#include <pthread.h>
#include "gpu/keeper.h"

struct gateway;

struct device {
    struct tg_keeper *keeper; /* NULL: the executor is a thread, or runs inline */
    pthread_t listener;
    bool listening;
    _Atomic uint32_t leaving, gave_up;
};

/** Start keeper and executor, before any thread. Returns 0, or negative errno with the reason in @why. */
int device_start(struct gateway *g, const struct tg_executor_options *o, struct tg_error *why);
/** From now on its news count. */
int device_listen(struct gateway *g);
/** End both processes and the thread. */
void device_stop(struct gateway *g);

#endif

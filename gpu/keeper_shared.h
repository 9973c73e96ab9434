/* SPDX-License-Identifier: Apache-2.0 */
/* What gateway, keeper and executor see of one another. */
#ifndef TG_KEEPER_SHARED_H
#define TG_KEEPER_SHARED_H

#include "executor.h"
#include "keeper.h"

struct keeper_shared {
    struct tg_executor_life life;
    /* the keeper writes; relaxed, each is a number by itself */
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t deaths;
    _Atomic uint64_t hangs, restarts, withdrawals;
};

/** The keeper's life; returns when the gateway is gone or wants it to end. @link is its end of the link. */
void keeper_run(const struct tg_keeper_options *o, struct keeper_shared *shared, int link);

/** Answer what is in the lanes: no executor lives that could. @o of this process. */
void keeper_refuse_rows(const struct tg_executor_options *o, struct keeper_shared *shared);

#endif

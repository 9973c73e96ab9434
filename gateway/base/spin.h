/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lock for sections of some tens of nanoseconds over shared tables. Whoever waits long gives its core away: the
 * holder may have been preempted.
 * Thread: any.
 */
#ifndef TG_SPIN_H
#define TG_SPIN_H

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#define SPINS_BEFORE_YIELD 64

static inline void spin_lock(_Atomic uint32_t *lock)
{
    for (uint32_t spins = 1; atomic_exchange_explicit(lock, 1, memory_order_acquire); spins++) /* K1 pairs with K2 */
        if (spins % SPINS_BEFORE_YIELD == 0)
            sched_yield();
}

static inline void spin_unlock(_Atomic uint32_t *lock)
{
    atomic_store_explicit(lock, 0, memory_order_release); /* K2 pairs with K1: the next holder sees what this one wrote */
}

#endif

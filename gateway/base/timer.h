/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of one worker: a hashed wheel of 4 ms slots. Arming, cancelling and expiry are O(1); a timer farther away
 * than one turn of the wheel is looked at once per turn. An empty wheel costs nothing and wakes nobody.
 * Thread: the worker that owns the wheel.
 */
#ifndef TG_TIMER_H
#define TG_TIMER_H

#include "tg/def.h"

#define TIMER_TICK_SHIFT 22 /* 2^22 ns = 4.2 ms */
#define TIMER_SLOTS 4096    /* one turn: 17 s */

/* Embedded in its owner; zero-initialised is disarmed. */
struct timer {
    struct timer *next, *prev;
    uint64_t expiry_tick; /* 0: disarmed */
    uint32_t kind;        /* the owner's: what this timer is part of */
};

struct timer_wheel {
    struct timer slots[TIMER_SLOTS]; /* list heads */
    uint64_t occupied[TIMER_SLOTS / 64];
    uint64_t tick; /* all slots up to here have been served */
    uint32_t armed;
};

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns);

/** (Re)arm: fires in the first timer_wheel_advance() from the tick after @when_ns on, never before @when_ns. */
void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t when_ns);
void timer_cancel(struct timer_wheel *w, struct timer *t);

static inline bool timer_is_armed(const struct timer *t)
{
    return t->expiry_tick != 0;
}

/** Earliest instant the timer may fire, for "is it already early enough?". */
static inline uint64_t timer_when_ns(const struct timer *t)
{
    return t->expiry_tick << TIMER_TICK_SHIFT;
}

/** Fire everything due. @fire may arm and cancel any timer, its own included. */
void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns, void (*fire)(void *context, struct timer *t),
                         void *context);

/** When advance() has something to do next (may be early, never late); UINT64_MAX if no timer is armed. */
uint64_t timer_wheel_next_ns(const struct timer_wheel *w);

#endif

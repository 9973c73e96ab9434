/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How one thread tells another that a lane has something for it.
 *
 * A doorbell belongs to one consumer (an executor or a worker). Each producer has a line of its own on it: one bit
 * per lane. Ringing sets the lane's bit; only if the consumer says that it sleeps does ringing cost a system call.
 * The consumer collects the bits and visits just those lanes, so an idle pair costs one load a turn however many
 * lanes there are.
 *
 * Lives in shared memory and holds no pointer, so that the consumer may be another process (futex words are not
 * process-private). docs/memory-order.md lists the edges by label.
 */
#ifndef TG_DOORBELL_H
#define TG_DOORBELL_H

#include <stdalign.h>
#include <stdatomic.h>
#include "tg/def.h"

#define TG_DOORBELL_WORDS 4
#define TG_DOORBELL_LANES (64 * TG_DOORBELL_WORDS) /* lanes per producer and consumer */

struct tg_doorbell_line {
    alignas(TG_CACHE_SEPARATION) _Atomic uint64_t bits[TG_DOORBELL_WORDS]; /* set by one producer, taken by the consumer */
};

struct tg_doorbell {
    /* line 0: fixed after init */
    int32_t event_fd; /* woken by writing here if >= 0 (a consumer that sleeps in io_uring or epoll), else by futex */
    uint32_t line_count;
    /* line 1: the sleeper's handshake */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t asleep;
    _Atomic uint32_t rings; /* futex word: number of wake-ups so far */
    /* line 2...: one per producer */
    struct tg_doorbell_line lines[];
};

static inline size_t tg_doorbell_bytes(uint32_t line_count)
{
    return sizeof(struct tg_doorbell) + line_count * sizeof(struct tg_doorbell_line);
}

/** @memory of tg_doorbell_bytes(), aligned to TG_CACHE_SEPARATION. @event_fd -1 for futex. */
struct tg_doorbell *tg_doorbell_init(void *memory, uint32_t line_count, int event_fd);

/**
 * Producer: say that lane @lane (a bit number) has news, and wake the consumer if it sleeps.
 * The news must have been stored (release) before. Returns true if a wake-up was sent.
 * Thread: the producer that owns @line. A system call only if the consumer sleeps.
 */
bool tg_doorbell_ring(struct tg_doorbell *db, uint32_t line, uint32_t lane);

/** Anyone: wake the consumer without naming a lane (stop requests, completions of a device thread). */
void tg_doorbell_wake(struct tg_doorbell *db);

/** Consumer: take the bits of one producer's word. Returns the lanes with news; they are cleared. */
static inline uint64_t tg_doorbell_take(struct tg_doorbell *db, uint32_t line, uint32_t word)
{
    _Atomic uint64_t *bits = &db->lines[line].bits[word];
    if (atomic_load_explicit(bits, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(bits, 0, memory_order_acq_rel); /* D2 pairs with D1 in tg_doorbell_ring() */
}

/**
 * Consumer: announce sleep. Returns a token for tg_doorbell_wait(), or -EAGAIN if there is news already (then the
 * consumer does not count as asleep). Between arm and wait the consumer must look once more at anything that does
 * not ring.
 */
int64_t tg_doorbell_arm(struct tg_doorbell *db);
/** Consumer: awake again (after arm, whatever woke it). */
void tg_doorbell_disarm(struct tg_doorbell *db);
/** Consumer without event fd: sleep until rung or @timeout_ns passed (UINT64_MAX: no limit). Then disarm. */
void tg_doorbell_wait(struct tg_doorbell *db, int64_t token, uint64_t timeout_ns);

#endif

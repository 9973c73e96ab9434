/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waking a sleeper without a system call per message. The labels D1...D7 are those of docs/memory-order.md,
 * which shows why no order weaker than seq_cst would do for the handshake.
 */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "tg/doorbell.h"

_Static_assert(sizeof(struct tg_doorbell_line) == TG_CACHE_SEPARATION, "one line per producer");
_Static_assert(offsetof(struct tg_doorbell, lines) % TG_CACHE_SEPARATION == 0, "lines start on a line");
_Static_assert(sizeof(_Atomic uint32_t) == 4 && ATOMIC_INT_LOCK_FREE == 2,
               "the kernel sees the futex word as it is");

struct tg_doorbell *tg_doorbell_init(void *memory, uint32_t line_count, int event_fd)
{
    TG_ASSERT((uintptr_t)memory % TG_CACHE_SEPARATION == 0);
    memset(memory, 0, tg_doorbell_bytes(line_count));
    struct tg_doorbell *db = memory;
    db->event_fd = event_fd;
    db->line_count = line_count;
    return db;
}

/* Not FUTEX_PRIVATE_FLAG: the consumer may be another process. */
static void futex_wake_one(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * Both calls can fail only by telling us that the consumer is awake: a full event counter (EAGAIN) has woken
 * it already. EINTR cannot come from a non-blocking write, but costs nothing to answer.
 */
static __attribute__((noinline, cold)) void wake_sleeper(struct tg_doorbell *db)
{
    int saved = errno;
    if (db->event_fd < 0) {
        futex_wake_one(&db->rings);
    } else {
        const uint64_t one = 1;
        while (write(db->event_fd, &one, sizeof(one)) < 0 && errno == EINTR)
            continue;
    }
    errno = saved;
}

bool tg_doorbell_ring(struct tg_doorbell *db, uint32_t line, uint32_t lane)
{
    TG_DEBUG_ASSERT(line < db->line_count && lane < TG_DOORBELL_LANES);
    _Atomic uint64_t *bits = &db->lines[line].bits[lane / 64];
    uint64_t before = atomic_fetch_or_explicit(bits, UINT64_C(1) << lane % 64, memory_order_seq_cst); /* D1 */
    /* Bits still there were rung for by us, and the consumer takes the word whole before it sleeps again. */
    if (before != 0)
        return false;
    if (TG_LIKELY(atomic_load_explicit(&db->asleep, memory_order_seq_cst) == 0)) /* D4 pairs with D3 */
        return false;
    atomic_fetch_add_explicit(&db->rings, 1, memory_order_seq_cst); /* D6 pairs with D7 */
    wake_sleeper(db);
    return true;
}

void tg_doorbell_wake(struct tg_doorbell *db)
{
    /* Counted even if the consumer is awake: this store is what carries the caller's news to the next arm. */
    atomic_fetch_add_explicit(&db->rings, 1, memory_order_seq_cst);   /* D6 pairs with D7 */
    if (atomic_load_explicit(&db->asleep, memory_order_seq_cst) != 0) /* D4 pairs with D3 */
        wake_sleeper(db);
}

static bool has_news(struct tg_doorbell *db)
{
    for (uint32_t line = 0; line < db->line_count; line++)
        for (uint32_t word = 0; word < TG_DOORBELL_WORDS; word++)
            if (atomic_load_explicit(&db->lines[line].bits[word], memory_order_seq_cst) !=
                0) /* D5, with D1 */
                return true;
    return false;
}

int64_t tg_doorbell_arm(struct tg_doorbell *db)
{
    atomic_store_explicit(&db->asleep, 1, memory_order_seq_cst);             /* D3 pairs with D4 */
    uint32_t token = atomic_load_explicit(&db->rings, memory_order_seq_cst); /* D7 pairs with D6 */
    if (!has_news(db))
        return token;
    tg_doorbell_disarm(db);
    return -EAGAIN;
}

void tg_doorbell_disarm(struct tg_doorbell *db)
{
    /* Relaxed: a producer that still reads 1 sends one wake-up too many, which is harmless. */
    atomic_store_explicit(&db->asleep, 0, memory_order_relaxed);
}

void tg_doorbell_wait(struct tg_doorbell *db, int64_t token, uint64_t timeout_ns)
{
    TG_ASSERT(db->event_fd < 0 && token >= 0);
    const struct timespec limit = {
        .tv_sec = (time_t)(timeout_ns / 1000000000),
        .tv_nsec = (long)(timeout_ns % 1000000000),
    };
    /* Returns at once if `rings` has moved on since the token was read. EINTR and time-outs need no answer
     * here. */
    syscall(SYS_futex, &db->rings, FUTEX_WAIT, (uint32_t)token, timeout_ns == UINT64_MAX ? NULL : &limit,
            NULL, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The ring behind a mailbox, and when its receiver is woken. docs/memory-order.md lists the edges by label. */
#include "mailbox.h"

#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct mailbox {
    /* line 0: fixed after init */
    char *slots;
    uint32_t mask, message_bytes, stride;
    int event_fd;
    /* line 1: the sender writes */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t tail;
    uint32_t head_cached;
    /* line 2: the receiver writes */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t head;
    uint32_t tail_cached;
    /* line 3: set by the receiver, cleared by a sender that rings */
    alignas(TG_CACHE_SEPARATION) _Atomic uint32_t asleep;
};

static size_t stride_of(uint32_t message_bytes)
{
    return ((size_t)message_bytes + 7) & ~(size_t)7;
}

size_t mailbox_bytes(uint32_t slots, uint32_t message_bytes)
{
    return sizeof(struct mailbox) + slots * stride_of(message_bytes) + TG_CACHE_SEPARATION;
}

struct mailbox *mailbox_init(struct tg_arena *arena, uint32_t slots, uint32_t message_bytes, int event_fd)
{
    TG_ASSERT(slots > 0 && (slots & (slots - 1)) == 0 && message_bytes > 0);
    size_t stride = stride_of(message_bytes);
    struct mailbox *m = tg_arena_alloc(arena, sizeof(*m) + slots * stride, TG_CACHE_SEPARATION);
    if (!m)
        return NULL;
    m->slots = (char *)(m + 1);
    m->mask = slots - 1;
    m->message_bytes = message_bytes;
    m->stride = (uint32_t)stride;
    m->event_fd = event_fd;
    return m;
}

/* The eventfd is not blocking; a counter that is full has been rung for good. */
static void ring(const struct mailbox *m)
{
    uint64_t one = 1;
    (void)!write(m->event_fd, &one, sizeof(one));
}

int mailbox_send(struct mailbox *m, const void *message)
{
    uint32_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed); /* our own */
    if (tail - m->head_cached > m->mask) {
        m->head_cached = atomic_load_explicit(&m->head, memory_order_acquire); /* M3 pairs with M4 */
        if (tail - m->head_cached > m->mask)
            return -EAGAIN;
    }
    memcpy(m->slots + (size_t)(tail & m->mask) * m->stride, message, m->message_bytes);
    atomic_store_explicit(&m->tail, tail + 1, memory_order_seq_cst); /* M1 pairs with M2 and M6 */
    /* M5 pairs with M7: a receiver that did not see the message is seen here. One ring for each sleep is enough. */
    if (TG_UNLIKELY(atomic_load_explicit(&m->asleep, memory_order_seq_cst)) && m->event_fd >= 0) {
        atomic_store_explicit(&m->asleep, 0, memory_order_relaxed);
        ring(m);
    }
    return 0;
}

bool mailbox_receive(struct mailbox *m, void *message)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed); /* our own */
    if (head == m->tail_cached) {
        m->tail_cached = atomic_load_explicit(&m->tail, memory_order_acquire); /* M2 pairs with M1 */
        if (head == m->tail_cached)
            return false;
    }
    memcpy(message, m->slots + (size_t)(head & m->mask) * m->stride, m->message_bytes);
    atomic_store_explicit(&m->head, head + 1, memory_order_release); /* M4 pairs with M3 */
    return true;
}

bool mailbox_arm(struct mailbox *m)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    atomic_store_explicit(&m->asleep, 1, memory_order_seq_cst); /* M7 pairs with M5 */
    if (atomic_load_explicit(&m->tail, memory_order_seq_cst) == head) /* M6 pairs with M1 */
        return true;
    atomic_store_explicit(&m->asleep, 0, memory_order_relaxed);
    return false;
}

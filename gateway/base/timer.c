/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel. */
#include "timer.h"

static uint32_t slot_of(uint64_t tick)
{
    return (uint32_t)(tick % TIMER_SLOTS);
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now_ns)
{
    *w = (struct timer_wheel){.tick = now_ns >> TIMER_TICK_SHIFT};
    for (uint32_t i = 0; i < TIMER_SLOTS; i++)
        w->slots[i].next = w->slots[i].prev = &w->slots[i];
}

static void list_add(struct timer *head, struct timer *t)
{
    t->prev = head->prev;
    t->next = head;
    head->prev->next = t;
    head->prev = t;
}

static void list_remove(struct timer *t)
{
    t->prev->next = t->next;
    t->next->prev = t->prev;
}

void timer_arm(struct timer_wheel *w, struct timer *t, uint64_t when_ns)
{
    timer_cancel(w, t);
    uint64_t tick = (when_ns >> TIMER_TICK_SHIFT) + 1; /* round up: never early */
    t->expiry_tick = TG_MAX(tick, w->tick + 1);
    uint32_t slot = slot_of(t->expiry_tick);
    list_add(&w->slots[slot], t);
    w->occupied[slot / 64] |= 1ull << (slot % 64);
    w->armed++;
}

void timer_cancel(struct timer_wheel *w, struct timer *t)
{
    if (!timer_is_armed(t))
        return;
    uint32_t slot = slot_of(t->expiry_tick);
    list_remove(t);
    if (w->slots[slot].next == &w->slots[slot])
        w->occupied[slot / 64] &= ~(1ull << (slot % 64));
    t->expiry_tick = 0;
    w->armed--;
}

/*
 * Serve one slot, if it has timers. The list is moved aside first, so that timers armed meanwhile for this very slot
 * wait a turn. A timer cancelled by another's callback leaves the moved list like any other.
 */
static void serve_slot(struct timer_wheel *w, uint32_t slot, void (*fire)(void *, struct timer *), void *context)
{
    struct timer *head = &w->slots[slot], aside;
    if (!(w->occupied[slot / 64] >> (slot % 64) & 1))
        return;
    aside = (struct timer){.next = head->next, .prev = head->prev};
    aside.next->prev = aside.prev->next = &aside;
    head->next = head->prev = head;
    w->occupied[slot / 64] &= ~(1ull << (slot % 64));
    while (aside.next != &aside) {
        struct timer *t = aside.next;
        list_remove(t);
        if (t->expiry_tick > w->tick) { /* a later turn of the wheel */
            list_add(head, t);
            w->occupied[slot / 64] |= 1ull << (slot % 64);
            continue;
        }
        t->expiry_tick = 0;
        w->armed--;
        fire(context, t);
    }
}

void timer_wheel_advance(struct timer_wheel *w, uint64_t now_ns, void (*fire)(void *, struct timer *), void *context)
{
    uint64_t now = now_ns >> TIMER_TICK_SHIFT;
    if (now > w->tick + TIMER_SLOTS) { /* a long sleep: one full turn serves every slot */
        for (uint32_t i = 0; i < TIMER_SLOTS && w->armed; i++) {
            w->tick = now - TIMER_SLOTS + i + 1;
            serve_slot(w, slot_of(w->tick), fire, context);
        }
        w->tick = now;
        return;
    }
    while (w->tick < now) {
        if (w->armed == 0) {
            w->tick = now;
            return;
        }
        w->tick++;
        serve_slot(w, slot_of(w->tick), fire, context);
    }
}

uint64_t timer_wheel_next_ns(const struct timer_wheel *w)
{
    if (w->armed == 0)
        return UINT64_MAX;
    uint32_t start = slot_of(w->tick + 1);
    for (uint32_t i = 0; i <= TIMER_SLOTS / 64; i++) {
        uint32_t word = (start / 64 + i) % (TIMER_SLOTS / 64);
        uint64_t bits = w->occupied[word];
        if (i == 0)
            bits &= ~0ull << (start % 64);
        if (bits) {
            uint32_t slot = word * 64 + (uint32_t)__builtin_ctzll(bits);
            uint64_t ahead = (slot + TIMER_SLOTS - start) % TIMER_SLOTS;
            return (w->tick + 1 + ahead) << TIMER_TICK_SHIFT;
        }
    }
    return UINT64_MAX;
}

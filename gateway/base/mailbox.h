/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of fixed size from one thread to one other: a ring, and an eventfd that is rung only for a receiver
 * that sleeps. Full is an answer: the sender counts or drops, it never waits.
 */
#ifndef TG_MAILBOX_H
#define TG_MAILBOX_H

#include "tg/arena.h"

struct mailbox;

/** @slots: a power of two. @event_fd is rung when the receiver sleeps; -1: never. NULL if the arena is full. */
struct mailbox *mailbox_init(struct tg_arena *arena, uint32_t slots, uint32_t message_bytes, int event_fd);
size_t mailbox_bytes(uint32_t slots, uint32_t message_bytes);

/** Copy a message in. Returns 0, or -EAGAIN when full. Thread: the sender. Never blocks. */
int mailbox_send(struct mailbox *m, const void *message);
/** Copy the oldest message out. Returns false when there is none. Thread: the receiver. */
bool mailbox_receive(struct mailbox *m, void *message);
/** "I am about to sleep": returns false if there is a message after all. Thread: the receiver. */
bool mailbox_arm(struct mailbox *m);

#endif

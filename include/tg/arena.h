/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Start-up memory: one mapping, handed out front to back, then sealed. Nothing is given back before the end.
 * A shared arena can be mapped by a child process at another address, so what lives there holds offsets only.
 * Thread: alloc and seal belong to the thread that starts the gateway.
 */
#ifndef TG_ARENA_H
#define TG_ARENA_H

#include "tg/def.h"

struct tg_arena {
    char *base;
    size_t size, used;
    int fd; /* memfd of a shared arena, else -1 */
    bool sealed;
};

enum tg_arena_kind { TG_ARENA_PRIVATE, TG_ARENA_SHARED };

/** Reserve @bytes of address space; pages cost memory when first touched. Returns 0 or negative errno. */
int tg_arena_init(struct tg_arena *a, size_t bytes, enum tg_arena_kind kind);
void tg_arena_finish(struct tg_arena *a);

/** Zeroed memory, @align a power of two. NULL when the arena is used up. Asserts that it is not sealed. */
void *tg_arena_alloc(struct tg_arena *a, size_t bytes, size_t align);

/** No further alloc: from here on a data thread that needs memory has a bug. */
void tg_arena_seal(struct tg_arena *a);

#endif

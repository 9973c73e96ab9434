/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of a worker, for requests that arrive in pieces and replies on their way out: size classes, each with a
 * fixed number of buffers reserved at start. Address space only until used.
 * Thread: one owner.
 */
#ifndef TG_BUFFERS_H
#define TG_BUFFERS_H

#include "tg/arena.h"

#define BUFFER_CLASSES 9 /* 4 KiB * 4^k: 4 KiB ... 256 MiB */
#define BUFFER_WARM_BYTES (16u << 20) /* of large ones that wait for use: what keeps its pages */

struct buffer {
    struct buffer *next; /* free list, or the user's own list */
    uint32_t size_class;
    uint32_t len; /* bytes in use; the user's */
    char data[];
};

struct buffer_pool {
    struct {
        struct buffer *free; /* last returned first */
        struct buffer *cold; /* taken when no other is left: their pages went back to the kernel */
        char *fresh, *end;   /* never handed out yet */
        uint32_t used;
    } classes[BUFFER_CLASSES];
    size_t warm_bytes; /* large ones on `free`, by the size of their class */
    uint32_t class_count;
};

/**
 * Reserve, per class up to the one that holds @bytes_max, about @class_bytes of buffers (at least @count_min each).
 * Returns 0 or -ENOMEM.
 */
int buffer_pool_init(struct buffer_pool *p, struct tg_arena *arena, size_t bytes_max, size_t class_bytes,
                     uint32_t count_min);
size_t buffer_pool_bytes(size_t bytes_max, size_t class_bytes, uint32_t count_min);

/** A buffer with room for @bytes, or NULL when its class and all larger ones are used up. */
struct buffer *buffer_get(struct buffer_pool *p, size_t bytes);
void buffer_put(struct buffer_pool *p, struct buffer *b);

static inline size_t buffer_class_bytes(uint32_t size_class)
{
    return (size_t)4096 << (2 * size_class);
}

static inline size_t buffer_capacity(const struct buffer *b)
{
    return buffer_class_bytes(b->size_class) - sizeof(struct buffer);
}

#endif

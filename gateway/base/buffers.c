/* SPDX-License-Identifier: Apache-2.0 */
/* Size-class buffers. */
#include <errno.h>
#include <sys/mman.h>
#include "buffers.h"

/* Buffers from this class on (256 KiB) are large: beyond BUFFER_WARM_BYTES they give their pages back when returned. */
#define LARGE_CLASS 3

static uint32_t class_for(size_t bytes)
{
    uint32_t c = 0;
    while (buffer_class_bytes(c) < bytes + sizeof(struct buffer))
        c++;
    return c;
}

static size_t class_reserve(uint32_t c, size_t class_bytes, uint32_t count_min)
{
    size_t count = class_bytes / buffer_class_bytes(c);
    return TG_MAX(count, count_min) * buffer_class_bytes(c);
}

size_t buffer_pool_bytes(size_t bytes_max, size_t class_bytes, uint32_t count_min)
{
    size_t sum = 4096;
    for (uint32_t c = 0; c <= class_for(bytes_max); c++)
        sum += class_reserve(c, class_bytes, count_min);
    return sum;
}

int buffer_pool_init(struct buffer_pool *p, struct tg_arena *arena, size_t bytes_max, size_t class_bytes,
                     uint32_t count_min)
{
    *p = (struct buffer_pool){.class_count = class_for(bytes_max) + 1};
    TG_ASSERT(p->class_count <= BUFFER_CLASSES);
    for (uint32_t c = 0; c < p->class_count; c++) {
        size_t bytes = class_reserve(c, class_bytes, count_min);
        p->classes[c].fresh = tg_arena_alloc(arena, bytes, 4096);
        if (!p->classes[c].fresh)
            return -ENOMEM;
        p->classes[c].end = p->classes[c].fresh + bytes;
    }
    return 0;
}

static struct buffer *take_fresh(struct buffer_pool *p, uint32_t c)
{
    struct buffer *b = (struct buffer *)p->classes[c].fresh;
    if (p->classes[c].fresh == p->classes[c].end)
        return NULL;
    p->classes[c].fresh += buffer_class_bytes(c);
    b->size_class = c;
    return b;
}

static struct buffer *pop(struct buffer **list)
{
    struct buffer *b = *list;
    if (b)
        *list = b->next;
    return b;
}

/* To fault a large buffer's pages in again costs as much as to receive into them: warm ones first. */
static struct buffer *take(struct buffer_pool *p, uint32_t c)
{
    struct buffer *b = pop(&p->classes[c].free);
    if (b && c >= LARGE_CLASS)
        p->warm_bytes -= buffer_class_bytes(c);
    if (!b)
        b = pop(&p->classes[c].cold);
    return b ? b : take_fresh(p, c);
}

struct buffer *buffer_get(struct buffer_pool *p, size_t bytes)
{
    for (uint32_t c = class_for(bytes); c < p->class_count; c++) {
        struct buffer *b = take(p, c);
        if (b) {
            p->classes[c].used++;
            b->next = NULL;
            b->len = 0;
            return b;
        }
    }
    return NULL;
}

static void push(struct buffer **list, struct buffer *b)
{
    b->next = *list;
    *list = b;
}

void buffer_put(struct buffer_pool *p, struct buffer *b)
{
    uint32_t c = b->size_class;
    size_t bytes = buffer_class_bytes(c);
    p->classes[c].used--;
    if (c >= LARGE_CLASS && p->warm_bytes + bytes > BUFFER_WARM_BYTES) {
        madvise((char *)b + 4096, bytes - 4096, MADV_DONTNEED); /* the first page keeps the header */
        push(&p->classes[c].cold, b);
        return;
    }
    if (c >= LARGE_CLASS)
        p->warm_bytes += bytes;
    push(&p->classes[c].free, b);
}

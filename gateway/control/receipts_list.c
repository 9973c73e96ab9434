/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts in memory: a fixed number of slots, free ones and waiting ones in lists. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "receipts_file.h"

int receipt_list_init(struct receipt_list *l, uint32_t capacity)
{
    *l = (struct receipt_list){.slots = calloc(capacity, sizeof(struct receipt)), .capacity = capacity};
    if (!l->slots)
        return -ENOMEM;
    for (uint32_t i = capacity; i-- > 0;) {
        l->slots[i].next = l->free;
        l->free = &l->slots[i];
    }
    return 0;
}

void receipt_list_finish(struct receipt_list *l)
{
    free(l->slots);
    *l = (struct receipt_list){0};
}

struct receipt *receipt_take(struct receipt_list *l)
{
    struct receipt *r = l->free;
    if (!r)
        return NULL;
    l->free = r->next;
    l->used++;
    memset(r, 0, sizeof(*r));
    return r;
}

void receipt_give(struct receipt_list *l, struct receipt *r)
{
    r->next = l->free;
    l->free = r;
    l->used--;
}

void receipt_queue_append(struct receipt_queue *q, struct receipt *r)
{
    r->next = NULL;
    if (q->tail)
        q->tail->next = r;
    else
        q->head = r;
    q->tail = r;
}

void receipt_queue_prepend(struct receipt_queue *q, struct receipt *r)
{
    r->next = q->head;
    q->head = r;
    if (!q->tail)
        q->tail = r;
}

struct receipt *receipt_queue_pop(struct receipt_queue *q)
{
    struct receipt *r = q->head;
    if (!r)
        return NULL;
    q->head = r->next;
    if (!q->head)
        q->tail = NULL;
    return r;
}

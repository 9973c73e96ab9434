/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The contestants of lane_bench.c. Each is one worker and one executor, with the same four steps:
 *   send      the worker hands over a bulk of items, made visible together where the interface can do so
 *   serve     the executor reads every word of what is there, up to a burst, and answers each item
 *   collect   the worker reads the answers and gives the space back
 * Both contestants move the same bytes:
 *   one way      64 bytes to the executor, no answer; space comes back (the lane still reports every
 * completion) descriptor   64 bytes to the executor, an answer of a word or more back, and read payload 64
 * bytes of input to the executor, 64 bytes of output back, and read; the lane moves its 64-byte header both
 * ways beside them
 */
#ifndef TG_BENCH_LANE_CONTEST_H
#define TG_BENCH_LANE_CONTEST_H

#include <stdlib.h>
#include <string.h>
#include "tg/lane.h"
#ifdef HAVE_CK
#include <ck_ring.h>
#endif

#define CONTEST_ROWS 256 /* in flight at most half of them */
#define CONTEST_BURST 32
#define CONTEST_WORDS 8

struct contest {
    void *(*create)(void);
    void (*destroy)(void *self);
    void (*send)(void *self, uint32_t n, uint64_t value);
    uint32_t (*serve)(void *self, uint64_t *sum);
    uint32_t (*collect)(void *self, uint64_t *sum);
};

static inline uint64_t words_sum(const uint64_t *w)
{
    return (w[0] + w[1]) + (w[2] + w[3]) + (w[4] + w[5]) + (w[6] + w[7]);
}

static inline void words_fill(uint64_t *w, uint64_t value)
{
    for (uint32_t i = 0; i < CONTEST_WORDS; i++)
        w[i] = value + i;
}

/* ---- the lane ------------------------------------------------------------------------------------------ */

struct lane_self {
    struct tg_arena arena;
    struct tg_lane *lane;
};

static inline void *lane_contest_create(void)
{
    const struct tg_lane_options o = {.rows = CONTEST_ROWS, .in_stride = 64, .out_stride = 64};
    struct lane_self *self = calloc(1, sizeof(*self));
    TG_ASSERT(self && tg_arena_init(&self->arena, tg_lane_bytes(&o) + 4096, TG_ARENA_PRIVATE) == 0);
    self->lane = tg_lane_create(&self->arena, &o);
    TG_ASSERT(self->lane != NULL);
    return self;
}

static inline void lane_contest_destroy(void *opaque)
{
    struct lane_self *self = opaque;
    tg_arena_finish(&self->arena);
    free(self);
}

static inline void lane_header_write(struct tg_row *row, uint64_t value)
{
    row->task = value;
    row->arrival_ns = value + 1;
    row->deadline_ns = value + 2;
    row->param = value + 3;
    row->in_len = 64;
    row->part = 0;
}

static inline uint64_t lane_header_read(const struct tg_row *row)
{
    return row->task + row->arrival_ns + row->deadline_ns + row->param + row->in_len + row->part;
}

static inline uint64_t lane_header_answer(struct tg_row *row, uint32_t batch)
{
    uint64_t sum = lane_header_read(row);
    row->start_ns = sum;
    row->batch_rows = batch;
    row->out_len = 64;
    row->status = 0;
    return sum;
}

enum lane_kind { ONE_WAY, DESCRIPTOR, PAYLOAD };

static inline __attribute__((always_inline)) void lane_send(struct tg_lane *l, uint32_t n, uint64_t value,
                                                            enum lane_kind kind)
{
    uint32_t first = 0;
    TG_ASSERT(tg_lane_claim(l, n, &first) == 0);
    for (uint32_t i = 0; i < n; i++) {
        lane_header_write(tg_lane_row(l, first + i), value + i);
        if (kind == PAYLOAD)
            words_fill(tg_lane_in(l, first + i), value + i);
    }
    tg_lane_publish(l);
}

static inline __attribute__((always_inline)) uint32_t lane_serve(struct tg_lane *l, uint64_t *sum,
                                                                 enum lane_kind kind)
{
    uint32_t n = tg_lane_ready(l);
    if (n == 0)
        return 0;
    n = TG_MIN(n, CONTEST_BURST);
    uint32_t first = tg_lane_take(l, n);
    for (uint32_t i = 0; i < n; i++) {
        struct tg_row *row = tg_lane_row(l, first + i);
        *sum += kind == ONE_WAY ? lane_header_read(row) : lane_header_answer(row, n);
        if (kind == PAYLOAD)
            words_fill(tg_lane_out(l, first + i), words_sum(tg_lane_in(l, first + i)));
    }
    tg_lane_complete(l, first, n);
    return n;
}

static inline __attribute__((always_inline)) uint32_t lane_collect(struct tg_lane *l, uint64_t *sum,
                                                                   enum lane_kind kind)
{
    uint32_t cursors[CONTEST_BURST], n = tg_lane_reap(l, cursors, CONTEST_BURST);
    for (uint32_t i = 0; i < n; i++) {
        if (kind != ONE_WAY)
            *sum += tg_lane_row(l, cursors[i])->start_ns + tg_lane_row(l, cursors[i])->status;
        if (kind == PAYLOAD)
            *sum += words_sum(tg_lane_out(l, cursors[i]));
        tg_lane_retire(l, cursors[i]);
    }
    return n;
}

#define LANE_CONTEST(id, kind)                                                                               \
    static inline void lane_##id##_send(void *self, uint32_t n, uint64_t value)                              \
    {                                                                                                        \
        lane_send(((struct lane_self *)self)->lane, n, value, kind);                                         \
    }                                                                                                        \
    static inline uint32_t lane_##id##_serve(void *self, uint64_t *sum)                                      \
    {                                                                                                        \
        return lane_serve(((struct lane_self *)self)->lane, sum, kind);                                      \
    }                                                                                                        \
    static inline uint32_t lane_##id##_collect(void *self, uint64_t *sum)                                    \
    {                                                                                                        \
        return lane_collect(((struct lane_self *)self)->lane, sum, kind);                                    \
    }                                                                                                        \
    static const struct contest lane_##id = {lane_contest_create, lane_contest_destroy, lane_##id##_send,    \
                                             lane_##id##_serve, lane_##id##_collect};

LANE_CONTEST(one_way, ONE_WAY)
LANE_CONTEST(descriptor, DESCRIPTOR)
LANE_CONTEST(payload, PAYLOAD)

/* ---- ck_ring: one ring each way, items by value ---- */
#ifdef HAVE_CK

struct ck_line {
    uint64_t w[CONTEST_WORDS];
};

struct ck_word {
    uint64_t w[1];
};

CK_RING_PROTOTYPE(line, ck_line)
CK_RING_PROTOTYPE(word, ck_word)

struct ck_self {
    alignas(TG_CACHE_SEPARATION) ck_ring_t there;
    alignas(TG_CACHE_SEPARATION) ck_ring_t back;
    alignas(TG_CACHE_SEPARATION) struct ck_line requests[CONTEST_ROWS];
    alignas(TG_CACHE_SEPARATION) struct ck_line answers[CONTEST_ROWS]; /* payload */
    struct ck_word words[CONTEST_ROWS];                                /* descriptor */
    uint32_t seen; /* one way: what the worker knows consumed */
};

static inline void *ck_contest_create(void)
{
    struct ck_self *self = aligned_alloc(TG_CACHE_SEPARATION, sizeof(*self));
    TG_ASSERT(self != NULL);
    memset(self, 0, sizeof(*self));
    ck_ring_init(&self->there, CONTEST_ROWS);
    ck_ring_init(&self->back, CONTEST_ROWS);
    return self;
}

static inline void ck_contest_send(void *opaque, uint32_t n, uint64_t value)
{
    struct ck_self *self = opaque;
    for (uint32_t i = 0; i < n; i++) {
        struct ck_line line;
        words_fill(line.w, value + i);
        TG_ASSERT(ck_ring_enqueue_spsc_line(&self->there, self->requests, &line));
    }
}

static inline uint32_t ck_one_way_serve(void *opaque, uint64_t *sum)
{
    struct ck_self *self = opaque;
    struct ck_line line;
    uint32_t n = 0;
    for (; n < CONTEST_BURST && ck_ring_dequeue_spsc_line(&self->there, self->requests, &line); n++)
        *sum += words_sum(line.w);
    return n;
}

static inline uint32_t ck_one_way_collect(void *opaque, uint64_t *sum)
{
    struct ck_self *self = opaque;
    uint32_t head = ck_pr_load_uint(&self->there.c_head), n = head - self->seen;
    self->seen = head;
    return n;
}

static inline uint32_t ck_descriptor_serve(void *opaque, uint64_t *sum)
{
    struct ck_self *self = opaque;
    struct ck_line line;
    uint32_t n = 0;
    for (; n < CONTEST_BURST && ck_ring_dequeue_spsc_line(&self->there, self->requests, &line); n++) {
        struct ck_word answer = {{words_sum(line.w)}};
        *sum += answer.w[0];
        TG_ASSERT(ck_ring_enqueue_spsc_word(&self->back, self->words, &answer));
    }
    return n;
}

static inline uint32_t ck_descriptor_collect(void *opaque, uint64_t *sum)
{
    struct ck_self *self = opaque;
    struct ck_word answer;
    uint32_t n = 0;
    for (; n < CONTEST_BURST && ck_ring_dequeue_spsc_word(&self->back, self->words, &answer); n++)
        *sum += answer.w[0];
    return n;
}

static inline uint32_t ck_payload_serve(void *opaque, uint64_t *sum)
{
    struct ck_self *self = opaque;
    struct ck_line line, answer;
    uint32_t n = 0;
    for (; n < CONTEST_BURST && ck_ring_dequeue_spsc_line(&self->there, self->requests, &line); n++) {
        words_fill(answer.w, words_sum(line.w));
        *sum += answer.w[0];
        TG_ASSERT(ck_ring_enqueue_spsc_line(&self->back, self->answers, &answer));
    }
    return n;
}

static inline uint32_t ck_payload_collect(void *opaque, uint64_t *sum)
{
    struct ck_self *self = opaque;
    struct ck_line answer;
    uint32_t n = 0;
    for (; n < CONTEST_BURST && ck_ring_dequeue_spsc_line(&self->back, self->answers, &answer); n++)
        *sum += words_sum(answer.w);
    return n;
}

static const struct contest ck_one_way = {ck_contest_create, free, ck_contest_send, ck_one_way_serve,
                                          ck_one_way_collect};
static const struct contest ck_descriptor = {ck_contest_create, free, ck_contest_send, ck_descriptor_serve,
                                             ck_descriptor_collect};
static const struct contest ck_payload = {ck_contest_create, free, ck_contest_send, ck_payload_serve,
                                          ck_payload_collect};
#endif

#endif

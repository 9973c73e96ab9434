/* SPDX-License-Identifier: Apache-2.0 */
/* Row contents that follow from a sequence number, so that any torn, lost or repeated row is seen. */
#ifndef TG_TESTS_ROW_CONTENT_H
#define TG_TESTS_ROW_CONTENT_H

#include "tests/support/stress.h"
#include "tg/lane.h"

static inline void row_words_fill(uint64_t *words, uint32_t bytes, uint64_t key)
{
    for (uint32_t i = 0; i < bytes / 8; i++)
        words[i] = key + i * UINT64_C(0x9e3779b97f4a7c15);
}

static inline bool row_words_match(const uint64_t *words, uint32_t bytes, uint64_t key)
{
    uint64_t differ = 0;
    for (uint32_t i = 0; i < bytes / 8; i++)
        differ |= words[i] ^ (key + i * UINT64_C(0x9e3779b97f4a7c15));
    return differ == 0;
}

/* Worker: everything the executor will read. */
static inline void row_fill(struct tg_lane *l, uint32_t cursor, uint64_t sequence)
{
    struct tg_row *row = tg_lane_row(l, cursor);
    uint64_t key = stress_mix(sequence);
    row->task = sequence;
    row->param = ~key;
    row->in_len = (uint32_t)key;
    row_words_fill(tg_lane_in(l, cursor), l->in_stride, key);
}

/* Executor: is the row whole, and the one expected? */
static inline bool row_is_whole(struct tg_lane *l, uint32_t cursor, uint64_t sequence)
{
    const struct tg_row *row = tg_lane_row(l, cursor);
    uint64_t key = stress_mix(sequence);
    return row->task == sequence && row->param == ~key && row->in_len == (uint32_t)key &&
           row_words_match(tg_lane_in(l, cursor), l->in_stride, key);
}

/* Executor: the answer. */
static inline void row_answer(struct tg_lane *l, uint32_t cursor)
{
    struct tg_row *row = tg_lane_row(l, cursor);
    row->start_ns = row->param;
    row->out_len = row->in_len + 1;
    row_words_fill(tg_lane_out(l, cursor), l->out_stride, row->param);
}

/* Worker: is this the answer to @sequence? */
static inline bool row_is_answered(struct tg_lane *l, uint32_t cursor, uint64_t sequence)
{
    const struct tg_row *row = tg_lane_row(l, cursor);
    uint64_t key = stress_mix(sequence);
    return row->task == sequence && row->start_ns == ~key && row->out_len == (uint32_t)key + 1 &&
           row_words_match(tg_lane_out(l, cursor), l->out_stride, ~key);
}

#endif

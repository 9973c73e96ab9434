/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread is workers and executor in turn. Rows are due at even intervals; those that fell due while the
 * executor had its turn are published together afterwards and charged with the wait. A lane that is full
 * makes them wait as well.
 */
#include "load.h"

#define SAMPLES 200000u

static double samples[SAMPLES];

struct load {
    struct stage *stage;
    double start_ns, step_ns;
    uint64_t sent, back, due_max;
    uint32_t lane, sampled;
    uint64_t every; /* a row of so many is looked at */
};

/* By lanes in turn, a share of what is due each. */
static void publish_due(struct load *l, uint64_t now_ns)
{
    uint64_t due = TG_MIN((uint64_t)(((double)now_ns - l->start_ns) / l->step_ns), l->due_max);
    for (uint32_t tries = 0; l->sent < due && tries < l->stage->lane_count; tries++) {
        uint32_t n = (uint32_t)TG_MIN(due - l->sent, (uint64_t)64);
        l->sent += stage_put_spread(l->stage, l->lane, n, l->start_ns + (double)(l->sent + 1) * l->step_ns,
                                    l->step_ns);
        l->lane = (l->lane + 1) % l->stage->lane_count;
    }
}

static void note(struct load *l, const struct tg_row *row, uint64_t now_ns)
{
    if (l->back++ % l->every == 0 && l->sampled < SAMPLES)
        samples[l->sampled++] = (double)now_ns - (double)row->arrival_ns;
}

static void take_lane(struct load *l, struct tg_lane *lane, uint64_t now_ns)
{
    uint32_t cursors[256], n;
    while ((n = tg_lane_reap(lane, cursors, TG_ARRAY_SIZE(cursors))) > 0)
        for (uint32_t i = 0; i < n; i++) {
            note(l, tg_lane_row(lane, cursors[i]), now_ns);
            tg_lane_retire(lane, cursors[i]);
        }
}

static void take_back(struct load *l)
{
    uint64_t now_ns = stage_now_ns();
    for (uint64_t bits = tg_doorbell_take(l->stage->back, 0, 0); bits; bits &= bits - 1)
        take_lane(l, l->stage->lanes[__builtin_ctzll(bits)], now_ns);
}

/* All that was due is waited for, so that the last rows count as well. */
void load_run(struct stage *s, double rows_per_s, double seconds, struct load_figures *out)
{
    struct load l = {.stage = s, .start_ns = (double)stage_now_ns(), .step_ns = 1e9 / rows_per_s};
    l.due_max = TG_MAX((uint64_t)(rows_per_s * seconds), UINT64_C(1));
    l.every = l.due_max / SAMPLES + 1;
    while (l.back < l.due_max) {
        uint64_t now_ns = stage_now_ns(), wake_ns = UINT64_MAX;
        publish_due(&l, now_ns);
        tg_executor_turn(s->ex, now_ns, &wake_ns);
        take_back(&l);
    }
    stage_sort(samples, l.sampled);
    *out = (struct load_figures){samples[l.sampled / 2], samples[l.sampled - 1 - l.sampled / 100],
                                 (double)l.back * 1e9 / ((double)stage_now_ns() - l.start_ns)};
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the next request of an open loop is due. The schedule never waits for answers: a request that goes out late
 * keeps the moment it was due, and its latency is counted from there.
 */
#ifndef BENCH_LOAD_PACER_H
#define BENCH_LOAD_PACER_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

struct pacer {
    double interval_ns; /* mean time between requests of this thread */
    double offset_ns;   /* of the next request, from the start */
    uint64_t start_ns;
    uint64_t random; /* state of an xorshift generator, never 0 */
    bool poisson;
};

static inline uint64_t pacer_due_ns(const struct pacer *p)
{
    return p->start_ns + (uint64_t)p->offset_ns;
}

/* A uniform number in (0, 1]. */
static inline double pacer_uniform(struct pacer *p)
{
    p->random ^= p->random << 13;
    p->random ^= p->random >> 7;
    p->random ^= p->random << 17;
    return (double)((p->random >> 11) + 1) * 0x1p-53;
}

static inline void pacer_advance(struct pacer *p)
{
    p->offset_ns += p->poisson ? -log(pacer_uniform(p)) * p->interval_ns : p->interval_ns;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The log-linear histogram that latencies are recorded in. */
#include "histogram.h"

#include <string.h>

#define STEPS (1u << HISTOGRAM_STEP_BITS)
#define VALUE_LIMIT ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

/* A value keeps its top eleven bits; what it was shifted by chooses the row of 1,024 buckets. */
static uint32_t bucket_of(uint64_t value)
{
    uint32_t shift;

    if (value > VALUE_LIMIT)
        value = VALUE_LIMIT;
    if (value < 2 * STEPS)
        return (uint32_t)value;
    shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_STEP_BITS;
    return (shift << HISTOGRAM_STEP_BITS) + (uint32_t)(value >> shift);
}

static uint32_t shift_of(uint32_t bucket)
{
    return bucket < 2 * STEPS ? 0 : (bucket >> HISTOGRAM_STEP_BITS) - 1;
}

static uint64_t lower_edge(uint32_t bucket)
{
    uint32_t shift = shift_of(bucket);

    return (uint64_t)(bucket - (shift << HISTOGRAM_STEP_BITS)) << shift;
}

static uint64_t upper_edge(uint32_t bucket)
{
    return lower_edge(bucket) + (UINT64_C(1) << shift_of(bucket)) - 1;
}

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof(*h));
    h->min = UINT64_MAX;
}

void histogram_record(struct histogram *h, uint64_t value)
{
    h->buckets[bucket_of(value)]++;
    h->count++;
    if (value < h->min)
        h->min = value;
    if (value > h->max)
        h->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    if (from->min < into->min)
        into->min = from->min;
    if (from->max > into->max)
        into->max = from->max;
}

/* How many of the sorted values lie at or before the asked percentile; the first one is always among them. */
static uint64_t rank_of(const struct histogram *h, double percent)
{
    double exact;
    uint64_t rank;

    if (!(percent > 0))
        return 1;
    if (percent >= 100)
        return h->count;
    exact = percent / 100.0 * (double)h->count;
    rank = (uint64_t)exact;
    /* 99.9 has no exact binary form: a product that misses a whole number by rounding must not skip a value. */
    if (exact - (double)rank > 1e-9 * exact)
        rank++;
    return rank < 1 ? 1 : rank > h->count ? h->count : rank;
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    uint64_t rank, seen = 0;
    uint32_t i = 0;

    if (h->count == 0)
        return 0;
    rank = rank_of(h, percent);
    while (seen + h->buckets[i] < rank)
        seen += h->buckets[i++];
    /* The last bucket also holds what was too large for any; only the exact maximum is true of it. */
    if (i == HISTOGRAM_BUCKETS - 1 || upper_edge(i) > h->max)
        return h->max;
    return upper_edge(i);
}

double histogram_mean(const struct histogram *h)
{
    double sum = 0;

    if (h->count == 0)
        return 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (h->buckets[i])
            sum += (double)h->buckets[i] * ((double)lower_edge(i) + (double)upper_edge(i)) / 2;
    return sum / (double)h->count;
}

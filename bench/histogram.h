/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log-linear histogram: below 2,048 every value has a bucket of its own, above it each power of two is cut into
 * 1,024 equal steps, so a value is known to within 0.1 % whatever its size. Recording is two shifts and an increment.
 */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 10
#define HISTOGRAM_VALUE_BITS 42 /* 2^42 ns is 73 minutes; larger values share the last bucket */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_STEP_BITS + 1) << HISTOGRAM_STEP_BITS)

/* About 270 KiB: place it in static or allocated memory. All zeroes, but for `min`, is the empty state. */
struct histogram {
    uint64_t count;
    uint64_t min; /* exact; UINT64_MAX while empty */
    uint64_t max; /* exact */
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_reset(struct histogram *h);

/* One value, in whatever unit the caller keeps to. Never fails, allocates nothing. */
void histogram_record(struct histogram *h, uint64_t value);

/* Adds every value of `from` to `into`. The result is the same in whatever order histograms are merged. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/**
 * The smallest value that at least `percent` of the recorded values do not exceed, as the upper edge of its bucket
 * (never above the exact maximum): at most 0.1 % too high and never too low. 0 when nothing was recorded.
 * @percent  0 to 100; what lies outside is taken as the nearer end
 */
uint64_t histogram_percentile(const struct histogram *h, double percent);

/* The mean over bucket middles, within 0.05 %; 0 when nothing was recorded. */
double histogram_mean(const struct histogram *h);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram against the sorted samples it stands for. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "histogram.h"

#define SAMPLES 100000
#define VALUE_TOP ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)

static struct histogram a, b, c;
static uint64_t samples[SAMPLES];

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Sizes spread evenly over magnitudes, as latencies with a long tail do. */
static void draw_samples(uint64_t seed)
{
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t random = next_random(&seed);

        samples[i] = (random >> 22) >> (random % 40);
    }
}

static int by_value(const void *x, const void *y)
{
    uint64_t l = *(const uint64_t *)x, r = *(const uint64_t *)y;

    return (l > r) - (l < r);
}

static void record_all(struct histogram *h)
{
    histogram_reset(h);
    for (int i = 0; i < SAMPLES; i++)
        histogram_record(h, samples[i]);
}

static void expect_near(uint64_t got, uint64_t exact)
{
    cr_assert_geq(got, exact, "%lu is below the exact %lu", (unsigned long)got, (unsigned long)exact);
    cr_assert_leq(got, exact + exact / 1000, "%lu is too far above %lu", (unsigned long)got, (unsigned long)exact);
}

Test(histogram, percentiles_are_those_of_the_sorted_samples)
{
    static const double percents[] = {0.1, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99};

    for (uint64_t seed = 1; seed <= 5; seed++) {
        draw_samples(seed * 7919);
        record_all(&a);
        qsort(samples, SAMPLES, sizeof(samples[0]), by_value);
        for (size_t i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
            /* In ten-thousandths, so that the rank is exact. */
            long rank = lround(percents[i] * 100) * SAMPLES / 10000;

            expect_near(histogram_percentile(&a, percents[i]), samples[rank - 1]);
        }
    }
}

Test(histogram, small_values_are_exact)
{
    histogram_reset(&a);
    for (uint64_t v = 1; v <= 2000; v++)
        histogram_record(&a, v);
    cr_assert_eq(histogram_percentile(&a, 50), 1000);
    cr_assert_eq(histogram_percentile(&a, 99.9), 1998);
    cr_assert_eq(histogram_percentile(&a, 0.05), 1);
    cr_assert_float_eq(histogram_mean(&a), 1000.5, 1e-9);
}

Test(histogram, every_value_lands_within_a_thousandth_at_bucket_edges)
{
    for (int bit = 1; bit < HISTOGRAM_VALUE_BITS; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t v = (UINT64_C(1) << bit) + (uint64_t)(int64_t)delta;

            histogram_reset(&a);
            histogram_record(&a, v);
            histogram_record(&a, VALUE_TOP);
            expect_near(histogram_percentile(&a, 50), v);
        }
    }
}

Test(histogram, extremes_are_exact)
{
    draw_samples(42);
    record_all(&a);
    qsort(samples, SAMPLES, sizeof(samples[0]), by_value);
    cr_assert_eq(a.min, samples[0]);
    cr_assert_eq(a.max, samples[SAMPLES - 1]);
    cr_assert_eq(histogram_percentile(&a, 100), samples[SAMPLES - 1]);
    cr_assert_eq(histogram_percentile(&a, 250), samples[SAMPLES - 1]);
    cr_assert_eq(histogram_percentile(&a, -3), histogram_percentile(&a, 0));
}

Test(histogram, a_value_beyond_the_range_is_still_counted_and_its_maximum_kept)
{
    histogram_reset(&a);
    histogram_record(&a, 5);
    histogram_record(&a, UINT64_MAX);
    cr_assert_eq(a.count, 2);
    cr_assert_eq(a.max, UINT64_MAX);
    cr_assert_eq(histogram_percentile(&a, 50), 5);
    cr_assert_eq(histogram_percentile(&a, 100), UINT64_MAX);
}

Test(histogram, the_mean_is_that_of_the_samples)
{
    double sum = 0;

    draw_samples(99);
    record_all(&a);
    for (int i = 0; i < SAMPLES; i++)
        sum += (double)samples[i];
    cr_assert_float_eq(histogram_mean(&a) / (sum / SAMPLES), 1, 0.0005);
}

Test(histogram, merging_equals_recording_everything_in_one)
{
    draw_samples(3);
    record_all(&a);
    histogram_reset(&b);
    histogram_reset(&c);
    for (int i = 0; i < SAMPLES; i++)
        histogram_record(i % 3 ? &b : &c, samples[i]);
    histogram_merge(&c, &b);
    cr_assert_arr_eq(&c, &a, sizeof(a));
}

Test(histogram, merging_an_empty_one_changes_nothing)
{
    draw_samples(4);
    record_all(&a);
    record_all(&c);
    histogram_reset(&b);
    histogram_merge(&c, &b);
    cr_assert_arr_eq(&c, &a, sizeof(a));
    histogram_merge(&b, &a);
    cr_assert_arr_eq(&b, &a, sizeof(a));
}

Test(histogram, an_empty_one_answers_zero)
{
    histogram_reset(&a);
    cr_assert_eq(histogram_percentile(&a, 50), 0);
    cr_assert_eq(histogram_percentile(&a, 100), 0);
    cr_assert_float_eq(histogram_mean(&a), 0, 1e-12);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The schedule of an open loop. */
#include <criterion/criterion.h>

#include "load/pacer.h"

#define ARRIVALS 200000

Test(pacer, constant_arrivals_neither_drift_nor_bunch)
{
    struct pacer p = {.interval_ns = 1e9 / 30000, .start_ns = 1000, .random = 1};

    for (int i = 0; i < ARRIVALS; i++)
        pacer_advance(&p);
    cr_assert_float_eq((double)(pacer_due_ns(&p) - 1000), ARRIVALS * (1e9 / 30000), 100);
}

Test(pacer, poisson_arrivals_have_the_mean_and_the_spread_of_an_exponential)
{
    struct pacer p = {.interval_ns = 50000, .random = 88172645463325252u, .poisson = true};
    double last = 0, sum = 0, squares = 0, gap, mean;

    for (int i = 0; i < ARRIVALS; i++) {
        pacer_advance(&p);
        gap = p.offset_ns - last;
        cr_assert_geq(gap, 0);
        last = p.offset_ns;
        sum += gap;
        squares += gap * gap;
    }
    mean = sum / ARRIVALS;
    cr_assert_float_eq(mean / 50000, 1, 0.01);
    cr_assert_float_eq(sqrt(squares / ARRIVALS - mean * mean) / mean, 1, 0.02);
}

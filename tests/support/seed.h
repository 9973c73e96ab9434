/* SPDX-License-Identifier: Apache-2.0 */
/* The seed of a property test: another one each run, printed, and TG_TEST_SEED to have a failing run again. */
#ifndef TG_TEST_SEED_H
#define TG_TEST_SEED_H

#include <stdio.h>
#include <stdlib.h>
#include "tests/support/rows.h"

static inline uint64_t test_seed(const char *what)
{
    const char *given = getenv("TG_TEST_SEED");
    uint64_t seed = (given ? strtoull(given, NULL, 0) : test_now_ns()) | 1; /* zero would be a fixed point */
    fprintf(stderr, "%s: TG_TEST_SEED=%llu\n", what, (unsigned long long)seed);
    return seed;
}

#endif

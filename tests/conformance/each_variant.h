/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Criterion tests that run once per variant. The parameter is an index: pointers do not survive into the
 * test's process.
 */
#ifndef TG_TEST_EACH_VARIANT_H
#define TG_TEST_EACH_VARIANT_H

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include "rig.h"

static size_t variant_numbers[16];

static inline struct criterion_test_params every_variant(void)
{
    for (size_t i = 0; i < variant_count; i++)
        variant_numbers[i] = i;
    return cr_make_param_array(size_t, variant_numbers, variant_count);
}

/* EACH_VARIANT(suite, name) { ... v is the variant ... } */
#define EACH_VARIANT(suite, name)                                                                            \
    static void suite##_##name(const struct variant *v);                                                     \
    ParameterizedTestParameters(suite, name)                                                                 \
    {                                                                                                        \
        return every_variant();                                                                              \
    }                                                                                                        \
    ParameterizedTest(const size_t *number, suite, name, .timeout = 120)                                     \
    {                                                                                                        \
        suite##_##name(&variants[*number]);                                                                  \
    }                                                                                                        \
    static void suite##_##name(const struct variant *v)

#endif

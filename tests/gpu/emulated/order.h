/* SPDX-License-Identifier: Apache-2.0 */
/* What tests in C may ask of the emulator. */
#ifndef TG_TEST_EMULATOR_ORDER_H
#define TG_TEST_EMULATOR_ORDER_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The order in which threads run between barriers from now on; 0: ascending. */
void emulator_order(uint64_t seed);

/* How tensor cores add: the products one by one, from the first or from the last; or as badly as we allow for. */
enum emulated_sums { EMULATED_FORWARDS, EMULATED_BACKWARDS, EMULATED_CUT };
void emulator_sums(enum emulated_sums how);

#ifdef __cplusplus
}
#endif

#endif

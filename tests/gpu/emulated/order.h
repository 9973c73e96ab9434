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

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of tests/gpu/tensor_sum.cu, compiled for the host. */
#include "emulator.h"
#include "order.h"
#include "../tensor_sum.cu"

__attribute__((constructor)) static void sum_as_badly_as_is_allowed()
{
    emulator_sums(EMULATED_CUT);
}

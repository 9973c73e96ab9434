/* SPDX-License-Identifier: Apache-2.0 */
/* The table of powers of ten. */
#include "pow10.h"

const struct tg_pow10 tg_pow10_table[TG_POW10_HIGHEST - TG_POW10_LOWEST + 1] = {
#include "pow10_table.h"
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The outcome table. */
#include "tg/status.h"

const struct tg_status_info tg_status_table[TG_STATUS_COUNT] = {
#define STATUS(ident, http, code, message, retry) {http, retry, TG_STR_INIT(#ident), TG_STR_INIT(code), TG_STR_INIT(message)},
#include "tg/status.def"
#undef STATUS
};

/* SPDX-License-Identifier: Apache-2.0 */
/* Outcomes, expanded from status.def. */
#ifndef TG_STATUS_H
#define TG_STATUS_H

#include "tg/def.h"

enum tg_status {
#define STATUS(ident, http, code, message, retry) TG_##ident,
#include "tg/status.def"
#undef STATUS
    TG_STATUS_COUNT
};

struct tg_status_info {
    uint16_t http;
    bool retryable;
    struct tg_str name; /* identifier in lower case of logs and metrics: "BAD_JSON" */
    struct tg_str code;
    struct tg_str message;
};

extern const struct tg_status_info tg_status_table[TG_STATUS_COUNT];

static inline const struct tg_status_info *tg_status_info(enum tg_status s)
{
    return &tg_status_table[s];
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What decode() may ask of the host: rows, and a place for its complaint. */
#include "tg/runner.h"

#include <stdarg.h>
#include <stdio.h>

void tg_error_set(struct tg_error *e, const char *field, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    snprintf(e->field, sizeof(e->field), "%s", field ? field : "");
    vsnprintf(e->message, sizeof(e->message), format, args);
    va_end(args);
}

static struct tg_lane *smallest_fit(const struct tg_rows *rows, uint32_t in_bytes)
{
    for (uint32_t i = 0; i < rows->lane_count; i++)
        if (in_bytes <= rows->lanes[i]->in_stride)
            return rows->lanes[i];
    return NULL;
}

static void prepare_headers(struct tg_rows *rows, uint32_t in_bytes)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        struct tg_row *row = tg_rows_row(rows, i);
        row->param = 0;
        row->in_len = in_bytes;
        row->part = i;
    }
}

enum tg_status tg_rows_claim(struct tg_rows *rows, uint32_t count, uint32_t in_bytes)
{
    if (count == 0 || rows->lane) /* a mistake of the runner's */
        return TG_INTERNAL;
    struct tg_lane *lane = smallest_fit(rows, in_bytes);
    if (!lane || count > lane->mask + 1) /* then no waiting helps */
        return TG_TOO_LARGE;
    if (tg_lane_claim(lane, count, &rows->first) != 0)
        return TG_CAPACITY;
    rows->lane = lane;
    rows->count = count;
    prepare_headers(rows, in_bytes);
    return TG_OK;
}

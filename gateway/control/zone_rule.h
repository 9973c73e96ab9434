/* SPDX-License-Identifier: Apache-2.0 */
/* The rule at the end of a time zone file: when summer time begins and ends in years beyond the table. Pure.
 */
#ifndef TG_ZONE_RULE_H
#define TG_ZONE_RULE_H

#include "tg/def.h"

enum zone_day_kind {
    ZONE_JULIAN,     /* Jn: 1 to 365, 29 February never counted */
    ZONE_DAY,        /* n: 0 to 365 */
    ZONE_MONTH_WEEK, /* Mm.w.d */
};

struct zone_change {
    enum zone_day_kind kind;
    int day, week, month; /* MONTH_WEEK: day 0 is Sunday, week 5 the last one */
    int32_t time_s;       /* of the local day; may be negative or beyond it */
};

struct zone_rule {
    int32_t standard_s, summer_s; /* east of UTC */
    bool has_summer;
    struct zone_change begins, ends; /* of summer time */
};

/** False if it is malformed. */
bool zone_rule_parse(struct tg_str text, struct zone_rule *out);
int32_t zone_rule_offset_s(const struct zone_rule *r, int64_t unix_s);

#endif

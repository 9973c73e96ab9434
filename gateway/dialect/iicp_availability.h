/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Availability windows (section 4.4): how much of this node is offered at which time of day. Minutes of the
 * local day, both ends inclusive, first match wins. Pure: the caller knows the time and the offset of its
 * zone.
 */
#ifndef TG_IICP_AVAILABILITY_H
#define TG_IICP_AVAILABILITY_H

#include "tg/json.h"

#define IICP_WINDOWS_MAX 32
#define IICP_DAY_MINUTES 1440

struct iicp_window {
    uint16_t start, end; /* minutes since midnight; end < start: across midnight */
    double share;        /* 0 to 1 */
};

struct iicp_windows {
    uint32_t count;
    struct iicp_window items[IICP_WINDOWS_MAX];
};

/**
 * Read "HH:MM-HH:MM@SHARE,..."; white space around the pieces is skipped, a missing share is 1.
 * Returns NULL, or what is wrong (static text) and then where in *offset.
 */
const char *iicp_windows_parse(struct tg_str text, struct iicp_windows *out, size_t *offset);

/** Minute of the local day at @unix_s, for a zone @offset_s east of UTC. */
uint32_t iicp_minute_of_day(int64_t unix_s, int32_t offset_s);

/** The share offered in that minute: 1 without windows, 0.5 outside of all of them. */
double iicp_windows_share(const struct iicp_windows *w, uint32_t minute);

/** Tasks at once that a share of @base makes: at least one unless one of the two is nothing. */
uint32_t iicp_effective(uint32_t base, double share);

/**
 * The same windows in UTC, none across midnight, as directories evaluate them. Order is kept. A window may
 * become two, hence a type of its own.
 */
struct iicp_windows_utc {
    uint32_t count;
    struct iicp_window items[2 * IICP_WINDOWS_MAX];
};
void iicp_windows_to_utc(const struct iicp_windows *w, int32_t offset_s, struct iicp_windows_utc *out);

/** The `availability` member of a registration; nothing without windows. */
void iicp_windows_write(const struct iicp_windows_utc *w, struct tg_json_writer *out);

#endif

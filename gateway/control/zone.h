/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time zones by name, read from the system's TZif files (RFC 8536) into a struct of our own: localtime()
 * knows only one zone per process, and changing it under other threads is not safe.
 */
#ifndef TG_ZONE_H
#define TG_ZONE_H

#include "tg/def.h"

struct zone;

/**
 * @name such as "Europe/Berlin"; empty takes $TZ if that is set, else /etc/localtime, else UTC.
 * NULL with the reason in *why (static text) if there is no such zone or its file makes no sense.
 */
struct zone *zone_load(const char *name, const char **why);
/** The same from a file's bytes. */
struct zone *zone_read(struct tg_str tzif);
/** From a POSIX rule, "CET-1CEST,M3.5.0,M10.5.0/3". */
struct zone *zone_of_rule(struct tg_str rule);
void zone_destroy(struct zone *z);

/** Seconds east of UTC at that time. */
int32_t zone_offset_s(const struct zone *z, int64_t unix_s);

#endif

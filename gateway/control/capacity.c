/* SPDX-License-Identifier: Apache-2.0 */
/* The share of the minute, and the offer that follows from it. */
#include "capacity.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"

void capacity_init(struct capacity *c, const struct capacity_options *options)
{
    *c = (struct capacity){.options = *options};
}

static int64_t unix_s(const struct capacity *c)
{
    const struct control_host *host = c->options.host;
    int64_t ms = host->unix_ms(host->context);
    return ms / 1000 - (ms % 1000 < 0);
}

static void offer(struct capacity *c, uint32_t effective)
{
    if (effective != c->effective && c->windows.count)
        log_info("availability: %u of %u tasks at once are offered now", effective, c->base);
    c->effective = effective;
    c->options.offer(c->options.context, effective);
}

static uint32_t effective_now(struct capacity *c)
{
    int64_t now = unix_s(c);
    int32_t offset = c->zone ? zone_offset_s(c->zone, now) : 0;
    c->offset_changed |= offset != c->offset_s && c->windows.count;
    c->offset_s = offset;
    return iicp_effective(c->base, iicp_windows_share(&c->windows, iicp_minute_of_day(now, offset)));
}

void capacity_configure(struct capacity *c, uint32_t base, const struct iicp_windows *windows,
                        struct zone *zone)
{
    zone_destroy(c->zone);
    c->zone = zone;
    c->base = base;
    c->windows = *windows;
    c->due_ns = 0;
    offer(c, effective_now(c));
    c->offset_changed = false;
}

void capacity_rebase(struct capacity *c, uint32_t base)
{
    c->base = base;
    offer(c, effective_now(c));
}

/* Clocks may be set: never sleep longer than to the next minute as it looks now. */
static uint64_t next_minute_ns(const struct capacity *c, uint64_t now_ns)
{
    const struct control_host *host = c->options.host;
    int64_t into_ms = host->unix_ms(host->context) % 60000;
    return now_ns + (uint64_t)(60000 - (into_ms < 0 ? into_ms + 60000 : into_ms)) * NS_PER_MS;
}

uint64_t capacity_turn(struct capacity *c, uint64_t now_ns)
{
    if (c->windows.count == 0)
        return UINT64_MAX;
    if (now_ns >= c->due_ns) {
        uint32_t effective = effective_now(c);
        if (effective != c->effective)
            offer(c, effective);
        c->due_ns = next_minute_ns(c, now_ns);
    }
    return c->due_ns;
}

void capacity_finish(struct capacity *c)
{
    zone_destroy(c->zone);
    c->zone = NULL;
}

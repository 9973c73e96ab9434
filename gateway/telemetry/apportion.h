/* SPDX-License-Identifier: Apache-2.0 */
/* Who is charged how much of what was used together. Pure arithmetic. */
#ifndef TG_TELEMETRY_APPORTION_H
#define TG_TELEMETRY_APPORTION_H

#include <stdint.h>

#define APPORTION_PAST 64

/*
 * What nobody was charged for lately, by interval. A batch is charged when it ends, and may have begun long before the
 * interval did: then it is charged for the idle parts of the intervals before, the latest first.
 */
struct apportion_past {
    uint64_t idle_ns[APPORTION_PAST], amount[APPORTION_PAST];
    uint32_t next;
};

/**
 * Charge @amount, drawn over @interval_ns, to those who kept the device busy: each @out[i] grows by its part of the
 * interval. The idle rest goes to @past, and what busy times exceed the interval by comes from there.
 */
void apportion_busy(struct apportion_past *past, uint64_t amount, uint64_t interval_ns, const uint64_t *busy_ns,
                    uint32_t n, uint64_t *out);

/** Split @amount by @weights: @out[i] grows by its part. Entry 0 gets what rounding leaves, and all if no weight is set. */
void apportion_by(uint64_t amount, const uint64_t *weights, uint32_t n, uint64_t *out);

#endif

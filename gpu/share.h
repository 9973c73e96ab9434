/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who had how much of a device. While n batches are on it, each of them is charged an n-th of the time, so that all
 * charges together are exactly the time for which the device was busy, however many streams overlap.
 *
 * One running sum does it: how much a batch would have been charged that was on the device all the time. What a real one
 * is charged is the difference between its end and its beginning. A batch costs two additions, one division and no list.
 * Thread: the executor's host.
 */
#ifndef TG_GPU_SHARE_H
#define TG_GPU_SHARE_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICE_SHARE_BITS 10 /* binary digits behind the point: 2^54 ns are half a year of being busy, then it wraps */

struct device_share {
    uint64_t now_ns;  /* up to here `sum` is right */
    uint64_t sum;     /* ns, with DEVICE_SHARE_BITS behind the point; differences survive its wrapping */
    uint32_t batches; /* on the device */
};

/** Time has come to @now_ns; a clock that is behind what was said before changes nothing. While the device is lost
 * (not @usable), what waits for its successor is charged nothing. */
static inline void device_share_now(struct device_share *d, uint64_t now_ns, bool usable)
{
    if (now_ns <= d->now_ns)
        return;
    if (d->batches > 0 && usable)
        d->sum += ((now_ns - d->now_ns) << DEVICE_SHARE_BITS) / d->batches;
    d->now_ns = now_ns;
}

/** A batch is handed to the device now. Returns what device_share_end() wants to know. */
static inline uint64_t device_share_begin(struct device_share *d)
{
    d->batches++;
    return d->sum;
}

/** It has come back now. Returns its share in ns. */
static inline uint64_t device_share_end(struct device_share *d, uint64_t begin)
{
    d->batches--;
    return (d->sum - begin) >> DEVICE_SHARE_BITS;
}

#endif

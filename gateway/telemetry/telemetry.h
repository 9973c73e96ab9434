/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The GPUs of this host, looked at every so often by a thread that is never waited for: the driver may hang, and then
 * what is known is out of date and said to be so.
 */
#ifndef TG_TELEMETRY_H
#define TG_TELEMETRY_H

#include "gateway/base/metrics.h"

struct telemetry;

struct telemetry_options {
    const char *library;  /* path or name */
    uint64_t interval_ns; /* between two samples */
    uint64_t stale_ns;    /* a sample older than this is no news any more */
};

/**
 * Load the library and start the thread. Returns 0, -ENOENT if there is no such library (nothing runs then), or another
 * negative errno; @why has a line about it.
 */
int telemetry_create(const struct telemetry_options *o, struct telemetry **out, char *why, size_t cap);
/** Waits a second at most: a thread that hangs in the library is left behind. NULL is fine. */
void telemetry_destroy(struct telemetry *t);

/** Is the last sample young enough to be believed? Thread: any, as for the rest. */
bool telemetry_fresh(const struct telemetry *t, uint64_t now_ns);

struct telemetry_energy {
    uint64_t sampled_ns; /* when it was read; the same again: nothing new */
    uint64_t millijoules;
};
/** What the GPU with this UUID has drawn so far. False: unknown, because it is not there, silent, or lost. */
bool telemetry_energy(const struct telemetry *t, const char *uuid, struct telemetry_energy *out);

/** Prometheus text. */
void telemetry_export(const struct telemetry *t, uint64_t now_ns, struct metrics_text *out);

/** Log when samples stop coming, and when they come again. Thread: one, the control thread. */
void telemetry_watch(struct telemetry *t, uint64_t now_ns);

#endif

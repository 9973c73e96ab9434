/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who used the device: its time by intent, and with a GPU its energy, also by who sent the tasks. Lanes know the time
 * (tg/lane.h, device_ns), so that workers count nothing; every so often the control thread looks at what has been added
 * and apportions it, together with what the GPUs say of themselves (gateway/telemetry).
 */
#ifndef TG_USAGE_H
#define TG_USAGE_H

#include "gateway/base/metrics.h"

struct gateway;
struct usage;

/** Before workers start. What cannot be had is logged and left out. */
void usage_open(struct gateway *g);
/** After workers and the control loop have ended. */
void usage_close(struct gateway *g);

/** Prometheus text. Thread: any. */
void usage_export(const struct gateway *g, struct metrics_text *out);

#endif

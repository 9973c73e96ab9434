/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans of tasks, sent to a collector as OTLP over HTTP in JSON (OpenTelemetry protocol 1.x; span
 * `iicp.task.execute`, provider node contract section 1.9). A collector that is slow or away costs a bounded queue
 * and counted losses, never a task.
 * Thread: control.
 */
#ifndef TG_SPANS_H
#define TG_SPANS_H

#include "gateway/dialect/iicp_events.h"
#include "host.h"

struct spans;

struct spans_options {
    const struct control_host *host;
    const char *endpoint;             /* base address of the collector; spans go to ENDPOINT/v1/traces */
    const char *node_id;
    const char *const *intents;       /* by intent slot; a slot beyond them belongs to no intent */
    uint32_t intent_count;
    uint32_t per_second;              /* more are counted and dropped */
    uint32_t timeout_ms;              /* of one call */
};

struct spans_stats {
    uint64_t exported, dropped, failed_calls;
};

/** Texts are borrowed for as long as the struct lives. NULL: out of memory, or the endpoint is too long. */
struct spans *spans_create(const struct spans_options *o);
/** An unanswered call is forgotten. */
void spans_destroy(struct spans *s);

/** Take a span over; it is sent within a second, or dropped and counted. */
void spans_add(struct spans *s, const struct iicp_event *e);

/** A part's turn (host.h). */
uint64_t spans_turn(void *self, uint64_t now_ns);

/** Thread: any. */
struct spans_stats spans_stats(const struct spans *s);

#endif

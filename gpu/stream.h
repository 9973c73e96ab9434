/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streams of one runner instance on one device: batches between submit and completion.
 * Thread: the executor's host.
 */
#ifndef TG_STREAM_H
#define TG_STREAM_H

#include "backend.h"
#include "batch.h"

enum stream_state {
    STREAM_FREE,
    STREAM_RUNNING, /* on the device */
    STREAM_REDO,    /* failed by no fault of its own: submit once more */
};

struct stream {
    enum stream_state state;
    uint32_t attempts;
    uint64_t submitted_ns;
    uint64_t share_from; /* device_share_begin() said so */
    struct tg_job job;
    struct batch batch;
};

/** Bind a formed batch (stream->batch) to its job. */
void stream_prepare(struct stream *s, const struct tg_instance *instance, uint32_t device_stream);

/** Rows as they were before the first try. */
void stream_reset_rows(struct stream *s);

/** Every row of the batch failed with @status. */
void stream_fail_rows(struct stream *s, enum tg_status status);

/** The batch had @ns of the device: charge them to its lanes, by their rows. */
void stream_charge(struct stream *s, uint64_t ns);

/** Hand the rows back to their workers; @ring is told of each lane. The stream is free afterwards. */
void stream_complete(struct stream *s, batch_dropped_fn *ring, void *context);

#endif

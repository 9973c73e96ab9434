/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a batch around its time on the device. */
#include "stream.h"

void stream_prepare(struct stream *s, const struct tg_instance *instance, uint32_t device_stream)
{
    s->attempts = 0;
    s->job = (struct tg_job){
        .runner = instance->runner,
        .self = instance->self,
        .stream = device_stream,
        .batch = {
            .count = s->batch.count,
            .segment_count = s->batch.segment_count,
            .in_stride = s->batch.in_stride,
            .out_stride = s->batch.out_stride,
            .segments = s->batch.segments,
        },
    };
}

void stream_reset_rows(struct stream *s)
{
    for (uint32_t i = 0; i < s->batch.span_count; i++) {
        struct batch_span *span = &s->batch.spans[i];
        for (uint32_t r = 0; r < span->count; r++) {
            struct tg_row *row = tg_lane_row(span->lane, span->first + r);
            row->status = TG_OK;
            row->out_len = span->lane->out_stride;
        }
    }
}

void stream_fail_rows(struct stream *s, enum tg_status status)
{
    for (uint32_t i = 0; i < s->batch.span_count; i++) {
        struct batch_span *span = &s->batch.spans[i];
        for (uint32_t r = 0; r < span->count; r++)
            tg_lane_row(span->lane, span->first + r)->status = (uint16_t)status;
    }
}

/* Up to each span's end, less what was charged before: nothing is lost by rounding. */
void stream_charge(struct stream *s, uint64_t ns)
{
    uint64_t charged = 0;
    uint32_t rows = 0;
    for (uint32_t i = 0; i < s->batch.span_count; i++) {
        rows += s->batch.spans[i].count;
        uint64_t until = ns * rows / s->batch.count;
        tg_lane_charge(s->batch.spans[i].lane, until - charged);
        charged = until;
    }
}

void stream_complete(struct stream *s, batch_dropped_fn *ring, void *context)
{
    for (uint32_t i = 0; i < s->batch.span_count; i++) {
        struct batch_span *span = &s->batch.spans[i];
        tg_lane_complete(span->lane, span->first, span->count);
        bool more_of_lane = i + 1 < s->batch.span_count && s->batch.spans[i + 1].lane == span->lane;
        if (!more_of_lane)
            ring(context, span->lane);
    }
    s->state = STREAM_FREE;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Batches on the device. A small one is described in pinned memory and replayed as one graph, whose kernels read
 * and write the lanes themselves; a large one is copied, a segment at a time, in as many passes as the buffers
 * ask for. Nothing here waits for the device.
 */
#include <errno.h>
#include <string.h>
#include "device.h"

/* A handful of instances at most. */
static const struct cuda_loaded *find_loaded(const struct tg_device *d, const struct tg_job *job)
{
    for (uint32_t i = 0; i < d->loaded_count; i++)
        if (d->loaded[i].self == job->self && d->loaded[i].runner == job->runner)
            return &d->loaded[i];
    TG_ASSERT(!"the runner was not loaded on this device");
    return NULL;
}

static void write_rows(struct cuda_seat *seat, const struct tg_batch *b)
{
    struct tg_cuda_row *to = seat->rows;
    for (uint32_t s = 0; s < b->segment_count; s++) {
        const struct tg_row *from = b->segments[s].rows;
        for (uint32_t i = 0; i < b->segments[s].count; i++)
            *to++ = (struct tg_cuda_row){.param = from[i].param, .in_len = from[i].in_len};
    }
}

/* ---- small batches: kernels move the rows ---------------------------------------------------------------- */

/* The segments by their device addresses. False: not all are pinned, or there are too many. */
static bool describe_lanes(const struct tg_device *d, struct cuda_slot *slot, const struct tg_batch *b)
{
    struct tg_cuda_control *c = slot->control;
    uint32_t first = 0;
    if (b->segment_count > TG_CUDA_SEGMENTS_MAX)
        return false;
    for (uint32_t s = 0; s < b->segment_count; s++) {
        const struct tg_segment *g = &b->segments[s];
        char *in = cuda_address(d, g->in, (size_t)g->count * b->in_stride);
        char *out = cuda_address(d, g->out, (size_t)g->count * b->out_stride);
        if (!in || !out)
            return false;
        c->segments[s] = (struct tg_cuda_segment){in, out, first, g->count};
        first += g->count;
    }
    c->segment_count = b->segment_count;
    return true;
}

/* Lanes that are not pinned: the rows go through a buffer that is. */
static void bounce_in(struct cuda_slot *slot, const struct tg_batch *b)
{
    char *to = slot->bounce_in;
    for (uint32_t s = 0; s < b->segment_count; s++) {
        size_t bytes = (size_t)b->segments[s].count * b->in_stride;
        memcpy(to, b->segments[s].in, bytes);
        to += bytes;
    }
    slot->control->segments[0] =
        (struct tg_cuda_segment){slot->bounce_in_device, slot->bounce_out_device, 0, b->count};
    slot->control->segment_count = 1;
    slot->bounced = true;
}

static bool fits_bounce(const struct tg_batch *b)
{
    return (uint64_t)b->count * TG_MAX(b->in_stride, b->out_stride) <= CUDA_BOUNCE_BYTES;
}

/* True if the batch is described in slot->control, to be moved by kernels. */
static bool describe(const struct tg_device *d, struct cuda_slot *slot, const struct tg_batch *b)
{
    uint64_t bytes = (uint64_t)b->count * ((uint64_t)b->in_stride + b->out_stride);
    slot->bounced = false;
    if (b->count > tg_cuda_pass_rows(d->buffer_bytes, b->in_stride, b->out_stride) ||
        !tg_cuda_moves_directly(bytes, b->segment_count, d->direct_bytes))
        return false;
    if (!describe_lanes(d, slot, b)) {
        if (!fits_bounce(b))
            return false;
        bounce_in(slot, b);
    }
    slot->control->count = b->count;
    slot->control->sequence = ++slot->sequence;
    return true;
}

/* The graph for so many rows of this size, or NULL. */
static cudaGraphExec_t find_graph(const struct cuda_loaded *l, const struct cuda_seat *seat, const struct tg_batch *b)
{
    for (uint32_t c = 0; c < l->class_count; c++)
        if (l->in_stride[c] == b->in_stride && l->out_stride[c] == b->out_stride)
            return seat->graphs[c][tg_cuda_bucket(b->count)];
    return NULL;
}

static int start_direct(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot,
                        struct cuda_seat *seat, const struct tg_batch *b)
{
    cudaGraphExec_t graph = find_graph(l, seat, b);
    slot->way = WAY_DIRECT;
    if (graph)
        return CUDA(d, cudaGraphLaunch(graph, slot->stream));
    uint32_t rows = tg_cuda_bucket_rows(tg_cuda_bucket(b->count), l->batch_rows);
    const struct cuda_pass pass = {rows, b->in_stride, b->out_stride};
    return cuda_launch_direct(d, l, slot, seat, &pass);
}

/* ---- large batches: the copy engine moves the rows ------------------------------------------------------- */

typedef int copy_fn(struct tg_device *d, struct cuda_slot *slot, const struct tg_batch *b, const struct tg_segment *g,
                    uint32_t skip, uint32_t rows, uint32_t at);

static int copy_in(struct tg_device *d, struct cuda_slot *slot, const struct tg_batch *b, const struct tg_segment *g,
                   uint32_t skip, uint32_t rows, uint32_t at)
{
    const size_t stride = b->in_stride;
    return CUDA(d, cudaMemcpyAsync((char *)slot->view.in + at * stride, (const char *)g->in + skip * stride,
                                   rows * stride, cudaMemcpyHostToDevice, slot->stream));
}

static int copy_out(struct tg_device *d, struct cuda_slot *slot, const struct tg_batch *b, const struct tg_segment *g,
                    uint32_t skip, uint32_t rows, uint32_t at)
{
    const size_t stride = b->out_stride;
    return CUDA(d, cudaMemcpyAsync((char *)g->out + skip * stride, (const char *)slot->view.out + at * stride,
                                   rows * stride, cudaMemcpyDeviceToHost, slot->stream));
}

/* Rows @first ... @first + @count - 1 of the batch, wherever its segments have them. */
static int copy_rows(struct tg_device *d, struct cuda_slot *slot, const struct tg_batch *b, uint32_t first,
                     uint32_t count, copy_fn *copy)
{
    uint32_t before = 0, at = 0;
    int rc = 0;
    for (uint32_t s = 0; rc == 0 && s < b->segment_count && at < count; s++) {
        const struct tg_segment *g = &b->segments[s];
        uint32_t skip = first + at - before;
        if (skip < g->count) {
            uint32_t rows = TG_MIN(g->count - skip, count - at);
            rc = copy(d, slot, b, g, skip, rows, at);
            at += rows;
        }
        before += g->count;
    }
    return rc;
}

static int start_pass(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot, struct cuda_seat *seat,
                      const struct tg_batch *b, uint32_t first, uint32_t count)
{
    const struct cuda_pass pass = {tg_cuda_bucket_rows(tg_cuda_bucket(count), l->batch_rows), b->in_stride,
                                   b->out_stride};
    int rc = CUDA(d, tg_cuda_begin(&seat->view, first, count, b->out_stride, slot->stream));
    if (rc == 0)
        rc = copy_rows(d, slot, b, first, count, copy_in);
    if (rc == 0)
        rc = cuda_launch_runner(d, l, slot, seat, &pass);
    if (rc == 0)
        rc = copy_rows(d, slot, b, first, count, copy_out);
    return rc == 0 ? CUDA(d, tg_cuda_end(&seat->view, first, count, slot->stream)) : rc;
}

/* Passes follow one another on the stream, so they may share its buffers. */
static int start_copies(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot,
                        struct cuda_seat *seat, const struct tg_batch *b)
{
    uint32_t at_once = tg_cuda_pass_rows(d->buffer_bytes, b->in_stride, b->out_stride);
    int rc = at_once > 0 ? 0 : -EMSGSIZE;
    slot->way = WAY_COPY;
    for (uint32_t first = 0; rc == 0 && first < b->count; first += at_once)
        rc = start_pass(d, l, slot, seat, b, first, TG_MIN(b->count - first, at_once));
    return rc == 0 ? CUDA(d, cudaEventRecord(slot->event, slot->stream)) : rc;
}

/* ---- the backend's calls --------------------------------------------------------------------------------- */

static int start(struct tg_device *d, struct cuda_slot *slot, struct tg_job *job)
{
    const struct cuda_loaded *l = find_loaded(d, job);
    TG_ASSERT(job->batch.count <= l->batch_rows);
    slot->seat = &l->seats[job->stream];
    int rc = cuda_enter(d);
    if (rc != 0)
        return rc;
    write_rows(slot->seat, &job->batch);
    return describe(d, slot, &job->batch) ? start_direct(d, l, slot, slot->seat, &job->batch)
                                          : start_copies(d, l, slot, slot->seat, &job->batch);
}

/*
 * What was launched before something failed may still run, and reads and writes the lanes: wait for it, since
 * afterwards the rows are somebody else's.
 */
static int refuse(struct tg_device *d, struct cuda_slot *slot, struct tg_job *job, int rc)
{
    CUDA(d, cudaStreamSynchronize(slot->stream));
    cuda_job_fault(d, job, rc);
    slot->way = WAY_NONE;
    return job->error;
}

int cuda_submit(struct tg_device *d, struct tg_job *job)
{
    TG_ASSERT(job->stream < d->stream_count && !d->slots[job->stream].job && job->batch.count > 0);
    struct cuda_slot *slot = &d->slots[job->stream];
    if (d->broken) {
        cuda_job_fault(d, job, 0);
        return job->error;
    }
    int rc = start(d, slot, job);
    if (rc != 0)
        return refuse(d, slot, job, rc);
    slot->job = job;
    slot->start_ns = slot->look_ns = d->host->now_ns();
    return 0;
}

/* What the kernels said of each row, and rows that went through the bounce buffer. */
static void take_results(struct cuda_slot *slot)
{
    const struct tg_batch *b = &slot->job->batch;
    const struct tg_cuda_result *from = slot->seat->results;
    const char *bounced = slot->bounce_out;
    for (uint32_t s = 0; s < b->segment_count; s++) {
        const struct tg_segment *g = &b->segments[s];
        for (uint32_t i = 0; i < g->count; i++, from++) {
            g->rows[i].out_len = TG_MIN(from->out_len, b->out_stride);
            g->rows[i].status = (uint16_t)from->status;
            if (slot->bounced)
                memcpy((char *)g->out + (size_t)i * b->out_stride, bounced, g->rows[i].out_len);
            bounced += b->out_stride;
        }
    }
}

/*
 * A kernel that died never writes `done`. So the stream itself is asked too, but seldom: that is a call into the
 * driver, and `done` is a load. Success there without `done` cannot be: the last kernel writes it.
 */
static int look_direct(struct tg_device *d, struct cuda_slot *slot, uint64_t now_ns)
{
    const uint64_t interval_ns = 1000000;
    if (atomic_load_explicit(slot->done, memory_order_acquire) == slot->sequence) /* written by scatter() */
        return 0;
    if (now_ns - slot->look_ns < interval_ns)
        return cudaErrorNotReady;
    slot->look_ns = now_ns;
    int rc = CUDA(d, cudaStreamQuery(slot->stream));
    return rc == 0 ? cudaErrorNotReady : rc;
}

static int look(struct tg_device *d, struct cuda_slot *slot, uint64_t now_ns)
{
    if (TG_UNLIKELY(d->broken))
        return cudaErrorUnknown; /* whatever it was; cuda_job_fault() knows */
    int rc = cuda_enter(d);
    if (rc != 0)
        return rc;
    return slot->way == WAY_DIRECT ? look_direct(d, slot, now_ns) : CUDA(d, cudaEventQuery(slot->event));
}

int cuda_poll(struct tg_device *d, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns)
{
    TG_ASSERT(stream < d->stream_count && d->slots[stream].job);
    struct cuda_slot *slot = &d->slots[stream];
    int rc = look(d, slot, now_ns);
    if (rc == cudaErrorNotReady) {
        *wake_ns = TG_MIN(*wake_ns, tg_cuda_next_look_ns(slot->start_ns, now_ns));
        return -EAGAIN;
    }
    if (TG_LIKELY(rc == 0)) {
        slot->job->fault = TG_FAULT_NONE;
        slot->job->error = 0;
        take_results(slot);
    } else {
        cuda_job_fault(d, slot->job, rc);
    }
    slot->job = NULL;
    slot->way = WAY_NONE;
    return 0;
}

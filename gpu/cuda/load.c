/* SPDX-License-Identifier: Apache-2.0 */
/* Runner instances on the device: resident data, memory for each slot, and graphs of small batches. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../runner.h"
#include "device.h"

/* ---- resident data --------------------------------------------------------------------------------------- */

struct loader {
    struct tg_cuda_loader loader;
    struct tg_device *d;
};

static void *loader_alloc(struct tg_cuda_loader *loader, size_t bytes)
{
    return cuda_alloc(TG_CONTAINER_OF(loader, struct loader, loader)->d, bytes);
}

static int loader_upload(struct tg_cuda_loader *loader, void *to, const void *from, size_t bytes)
{
    struct tg_device *d = TG_CONTAINER_OF(loader, struct loader, loader)->d;
    int rc = CUDA(d, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->load_stream));
    return rc == 0 ? CUDA(d, cudaStreamSynchronize(d->load_stream)) : rc;
}

static int load_resident(struct tg_device *d, struct cuda_loaded *l, struct tg_error *why)
{
    struct loader loader = {
        .loader = {.alloc = loader_alloc,
                   .upload = loader_upload,
                   .stream = d->load_stream,
                   .multiprocessors = d->multiprocessors},
        .d = d,
    };
    int rc = l->cuda->load ? l->cuda->load(l->self, &loader.loader, &l->state, why) : 0;
    if (rc > 0)
        cuda_check(d, rc, l->runner->type);
    return rc == 0 ? CUDA(d, cudaStreamSynchronize(d->load_stream)) : rc;
}

/* ---- launching ------------------------------------------------------------------------------------------- */

int cuda_launch_runner(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot,
                       struct cuda_seat *seat, const struct cuda_pass *pass)
{
    const struct tg_cuda_batch batch = {
        .stream = slot->stream,
        .capacity = pass->capacity,
        .in_stride = pass->in_stride,
        .out_stride = pass->out_stride,
        .multiprocessors = d->multiprocessors,
        .scratch_bytes = seat->scratch_bytes,
        .count = &seat->view.control->count,
        .in = seat->view.in,
        .out = seat->view.out,
        .rows = seat->view.rows,
        .results = seat->view.results,
        .scratch = seat->scratch,
    };
    int rc = l->cuda ? l->cuda->launch(l->self, l->state, &batch) : 0;
    return rc > 0 ? cuda_check(d, rc, l->runner->type) : rc;
}

int cuda_launch_direct(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot,
                       struct cuda_seat *seat, const struct cuda_pass *pass)
{
    int rc = CUDA(d, tg_cuda_gather(&seat->view, pass->capacity, pass->in_stride, pass->out_stride, slot->stream));
    if (rc == 0)
        rc = cuda_launch_runner(d, l, slot, seat, pass);
    return rc == 0 ? CUDA(d, tg_cuda_scatter(&seat->view, pass->capacity, pass->out_stride, slot->stream)) : rc;
}

/* ---- graphs ---------------------------------------------------------------------------------------------- */

static int capture(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot, struct cuda_seat *seat,
                   const struct cuda_pass *pass, cudaGraphExec_t *exec)
{
    cudaGraph_t graph = NULL;
    int rc = CUDA(d, cudaStreamBeginCapture(slot->stream, cudaStreamCaptureModeThreadLocal));
    if (rc != 0)
        return rc;
    int launched = cuda_launch_direct(d, l, slot, seat, pass);
    rc = CUDA(d, cudaStreamEndCapture(slot->stream, &graph)); /* also after a failure, or the stream stays captured */
    if (rc == 0)
        rc = launched;
    if (rc == 0)
        rc = CUDA(d, cudaGraphInstantiate(exec, graph, 0));
    if (rc == 0)
        rc = CUDA(d, cudaGraphUpload(*exec, slot->stream));
    if (graph)
        cudaGraphDestroy(graph);
    return rc;
}

/* Rows of a class that may be moved directly in one batch of however many segments. */
static uint32_t direct_rows(const struct tg_device *d, const struct cuda_loaded *l, uint32_t size_class)
{
    uint32_t fit = tg_cuda_pass_rows(d->buffer_bytes, l->in_stride[size_class], l->out_stride[size_class]);
    return TG_MIN(fit, l->batch_rows);
}

/*
 * An empty batch goes through first: kernels are loaded on their first launch, which must not happen while
 * capturing, nor when the first task comes.
 */
static int warm_up(struct tg_device *d, struct cuda_loaded *l, struct cuda_slot *slot, struct cuda_seat *seat,
                   const struct cuda_pass *pass)
{
    slot->control->count = slot->control->segment_count = 0;
    slot->control->sequence = ++slot->sequence;
    int rc = cuda_launch_direct(d, l, slot, seat, pass);
    return rc == 0 ? CUDA(d, cudaStreamSynchronize(slot->stream)) : rc;
}

/* Those of large batches too, which are in no graph. */
static int warm_up_copies(struct tg_device *d, struct cuda_slot *slot, struct cuda_seat *seat)
{
    int rc = CUDA(d, tg_cuda_begin(&seat->view, 0, 0, 0, slot->stream));
    return rc == 0 ? CUDA(d, tg_cuda_end(&seat->view, 0, 0, slot->stream)) : rc;
}

/* A graph that cannot be had is no reason to refuse: from then on kernels are launched one by one. */
static int try_capture(struct tg_device *d, struct cuda_loaded *l, struct cuda_slot *slot, struct cuda_seat *seat,
                       const struct cuda_pass *pass, cudaGraphExec_t *exec)
{
    int rc = l->graphs ? capture(d, l, slot, seat, pass, exec) : 0;
    if (rc == 0 || d->broken)
        return rc;
    l->graphs = false;
    d->host->log(TG_LOG_WARN, "cuda:%d: %s runs without graphs", d->ordinal, l->runner->type);
    return 0;
}

static int capture_class(struct tg_device *d, struct cuda_loaded *l, uint32_t slot, uint32_t size_class)
{
    uint32_t rows_max = direct_rows(d, l, size_class), last = tg_cuda_bucket(rows_max);
    struct cuda_seat *seat = &l->seats[slot];
    int rc = 0;
    for (uint32_t b = 0; rc == 0 && b <= last; b++) {
        struct cuda_pass pass = {tg_cuda_bucket_rows(b, rows_max), l->in_stride[size_class],
                                 l->out_stride[size_class]};
        rc = warm_up(d, l, &d->slots[slot], seat, &pass);
        if (rc == 0)
            rc = try_capture(d, l, &d->slots[slot], seat, &pass, &seat->graphs[size_class][b]);
    }
    return rc;
}

static int capture_all(struct tg_device *d, struct cuda_loaded *l)
{
    int rc = warm_up_copies(d, &d->slots[0], &l->seats[0]);
    for (uint32_t s = 0; rc == 0 && s < d->stream_count; s++)
        for (uint32_t c = 0; rc == 0 && c < l->class_count; c++)
            if (l->in_stride[c] <= d->buffer_bytes && l->out_stride[c] <= d->buffer_bytes)
                rc = capture_class(d, l, s, c);
    return rc;
}

/* ---- instances ------------------------------------------------------------------------------------------- */

/* The strides that lanes of this shape have. */
static void set_shape(struct cuda_loaded *l)
{
    struct tg_shape shape = {0};
    l->runner->shape(l->self, &shape);
    l->class_count = TG_MIN(shape.size_classes, (uint32_t)TG_SIZE_CLASSES_MAX);
    l->batch_rows = TG_MAX(shape.max_batch, l->cuda->batch_rows);
    for (uint32_t c = 0; c < l->class_count; c++) {
        l->in_stride[c] = TG_MAX((shape.in_bytes[c] + 63) / 64 * 64, 64u);
        l->out_stride[c] = TG_MAX((shape.out_bytes[c] + 63) / 64 * 64, 64u);
    }
}

static size_t scratch_bytes(const struct tg_device *d, const struct cuda_loaded *l)
{
    size_t most = 0;
    for (uint32_t b = 0; l->cuda->scratch_bytes && b <= tg_cuda_bucket(l->batch_rows); b++) {
        uint32_t rows = tg_cuda_bucket_rows(b, l->batch_rows);
        most = TG_MAX(most, l->cuda->scratch_bytes(l->state, rows, d->multiprocessors));
    }
    return most;
}

static int init_seats(struct tg_device *d, struct cuda_loaded *l)
{
    int rc = 0;
    l->seats = calloc(d->stream_count, sizeof(*l->seats));
    if (!l->seats)
        return -ENOMEM;
    for (uint32_t s = 0; rc == 0 && s < d->stream_count; s++)
        rc = cuda_seat_init(d, &d->slots[s], &l->seats[s], l->batch_rows, scratch_bytes(d, l));
    return rc;
}

static void unload(struct tg_device *d, struct cuda_loaded *l)
{
    for (uint32_t s = 0; l->seats && s < d->stream_count; s++)
        cuda_seat_finish(&l->seats[s]);
    free(l->seats);
    if (l->cuda->unload)
        l->cuda->unload(l->state);
}

static int load(struct tg_device *d, struct cuda_loaded *l, struct tg_error *why)
{
    int rc = cuda_enter(d);
    if (rc == 0 && l->runner->warm_up)
        rc = l->runner->warm_up(l->self);
    if (rc == 0)
        rc = load_resident(d, l, why);
    if (rc == 0)
        set_shape(l);
    if (rc == 0)
        rc = init_seats(d, l);
    return rc == 0 ? capture_all(d, l) : rc;
}

int cuda_load(struct tg_device *d, const struct tg_runner *runner, void *self, struct tg_error *why)
{
    struct cuda_loaded l = {
        .runner = runner, .cuda = tg_runner_cuda_part(runner), .self = self, .graphs = d->settings.graphs};
    if (!l.cuda) {
        tg_error_set(why, "", "runner %s has no part for an NVIDIA device", runner->type);
        return -ENOTSUP;
    }
    struct cuda_loaded *more = realloc(d->loaded, (d->loaded_count + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    d->loaded = more;
    int rc = load(d, &l, why);
    if (rc == 0) {
        d->loaded[d->loaded_count++] = l;
        return 0;
    }
    if (!why->message[0])
        tg_error_set(why, "", "runner %s cannot be loaded: %s", runner->type,
                     rc > 0 ? tg_cuda_fault_of(rc)->name : strerror(-rc));
    cudaDeviceSynchronize(); /* as in cuda_close() */
    unload(d, &l);
    return cuda_errno(rc);
}

void cuda_unload_all(struct tg_device *d)
{
    for (uint32_t i = 0; i < d->loaded_count; i++)
        unload(d, &d->loaded[i]);
    free(d->loaded);
    d->loaded = NULL;
    d->loaded_count = 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of the device, and the memory that a batch on it needs. */
#include "device.h"

static int device_memory(struct tg_device *d, size_t bytes, void *to)
{
    void *memory = cuda_alloc(d, bytes);
    *(void **)to = memory;
    return memory ? 0 : (int)cudaErrorMemoryAllocation;
}

static int init_host(struct tg_device *d, struct cuda_slot *s)
{
    int rc = cuda_host_alloc(d, sizeof(*s->control), &s->control, &s->view.control_host);
    if (rc == 0)
        rc = cuda_host_alloc(d, TG_CACHE_SEPARATION, &s->done, &s->view.done_host);
    if (rc == 0)
        rc = cuda_host_alloc(d, CUDA_BOUNCE_BYTES, &s->bounce_in, &s->bounce_in_device);
    if (rc == 0)
        rc = cuda_host_alloc(d, CUDA_BOUNCE_BYTES, &s->bounce_out, &s->bounce_out_device);
    return rc;
}

static int init_device(struct tg_device *d, struct cuda_slot *s)
{
    int rc = device_memory(d, sizeof(*s->view.control), &s->view.control);
    if (rc == 0)
        rc = device_memory(d, d->buffer_bytes, &s->view.in);
    if (rc == 0)
        rc = device_memory(d, d->buffer_bytes, &s->view.out);
    return rc;
}

int cuda_slot_init(struct tg_device *d, struct cuda_slot *s)
{
    int rc = CUDA(d, cudaStreamCreateWithFlags(&s->stream, cudaStreamNonBlocking));
    if (rc == 0)
        rc = CUDA(d, cudaEventCreateWithFlags(&s->event, cudaEventDisableTiming));
    if (rc == 0)
        rc = init_host(d, s);
    return rc == 0 ? init_device(d, s) : rc;
}

int cuda_seat_init(struct tg_device *d, const struct cuda_slot *slot, struct cuda_seat *seat, uint32_t rows,
                   size_t scratch_bytes)
{
    seat->view = slot->view;
    int rc = cuda_host_alloc(d, rows * sizeof(*seat->rows), &seat->rows, &seat->view.rows_host);
    if (rc == 0)
        rc = cuda_host_alloc(d, rows * sizeof(*seat->results), &seat->results, &seat->view.results_host);
    if (rc == 0)
        rc = device_memory(d, rows * sizeof(*seat->rows), &seat->view.rows);
    if (rc == 0)
        rc = device_memory(d, rows * sizeof(*seat->results), &seat->view.results);
    if (rc == 0 && scratch_bytes > 0)
        rc = device_memory(d, scratch_bytes, &seat->scratch);
    seat->scratch_bytes = rc == 0 ? scratch_bytes : 0;
    return rc;
}

void cuda_seat_finish(struct cuda_seat *seat)
{
    for (uint32_t c = 0; c < TG_SIZE_CLASSES_MAX; c++)
        for (uint32_t b = 0; b < TG_CUDA_BUCKETS; b++)
            if (seat->graphs[c][b])
                cudaGraphExecDestroy(seat->graphs[c][b]);
    if (seat->rows)
        cudaFreeHost(seat->rows);
    if (seat->results)
        cudaFreeHost(seat->results);
}

void cuda_slot_finish(struct cuda_slot *s)
{
    void *const host[] = {s->control, s->done, s->bounce_in, s->bounce_out};
    for (size_t i = 0; i < TG_ARRAY_SIZE(host); i++)
        if (host[i])
            cudaFreeHost(host[i]);
    if (s->event)
        cudaEventDestroy(s->event);
    if (s->stream)
        cudaStreamDestroy(s->stream);
}

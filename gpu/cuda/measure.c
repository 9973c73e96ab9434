/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Up to which size do kernels that read and write host memory beat the copy engine? It depends on the bus and the
 * device, so it is timed when the device is opened: a few milliseconds for a decision made with each batch.
 */
#include "device.h"

#define ROUNDS 12
#define ROUNDS_MIN 3
#define ROUNDS_NS 2000000 /* a device so slow that its rounds take longer is not worth more of them */
#define ROWS 64u
#define SMALLEST_BYTES (ROWS * 64u * 2) /* both directions together */

static struct cuda_loaded nothing = {0}; /* no kernels in between */

static void describe(struct cuda_slot *s, struct cuda_seat *seat)
{
    s->control->count = ROWS;
    s->control->segment_count = 1;
    s->control->segments[0] = (struct tg_cuda_segment){s->bounce_in_device, s->bounce_out_device, 0, ROWS};
    s->control->sequence = ++s->sequence;
    for (uint32_t i = 0; i < ROWS; i++)
        seat->rows[i] = (struct tg_cuda_row){0};
}

static int directly(struct tg_device *d, struct cuda_slot *s, struct cuda_seat *seat, uint32_t stride)
{
    const struct cuda_pass pass = {ROWS, stride, stride};
    describe(s, seat);
    return cuda_launch_direct(d, &nothing, s, seat, &pass);
}

static int by_copies(struct tg_device *d, struct cuda_slot *s, struct cuda_seat *seat, uint32_t stride)
{
    const size_t bytes = (size_t)ROWS * stride;
    int rc = CUDA(d, tg_cuda_begin(&seat->view, 0, ROWS, stride, s->stream));
    if (rc == 0)
        rc = CUDA(d, cudaMemcpyAsync(seat->view.in, s->bounce_in, bytes, cudaMemcpyHostToDevice, s->stream));
    if (rc == 0)
        rc = CUDA(d, cudaMemcpyAsync(s->bounce_out, seat->view.out, bytes, cudaMemcpyDeviceToHost, s->stream));
    return rc == 0 ? CUDA(d, tg_cuda_end(&seat->view, 0, ROWS, s->stream)) : rc;
}

typedef int way_fn(struct tg_device *d, struct cuda_slot *s, struct cuda_seat *seat, uint32_t stride);

/* The best of some rounds: what disturbs a round only ever makes it longer. */
static int time_way(struct tg_device *d, struct cuda_slot *s, struct cuda_seat *seat, way_fn *way, uint32_t stride,
                    uint64_t *best_ns)
{
    int rc = 0;
    uint64_t spent_ns = 0;
    *best_ns = UINT64_MAX;
    for (uint32_t i = 0; rc == 0 && i < ROUNDS && (i < ROUNDS_MIN || spent_ns < ROUNDS_NS); i++) {
        uint64_t start_ns = d->host->now_ns();
        rc = way(d, s, seat, stride);
        if (rc == 0)
            rc = CUDA(d, cudaStreamSynchronize(s->stream));
        uint64_t round_ns = d->host->now_ns() - start_ns;
        *best_ns = TG_MIN(*best_ns, round_ns);
        spent_ns += round_ns;
    }
    return rc;
}

static int time_both(struct tg_device *d, struct cuda_slot *s, struct cuda_seat *seat, struct tg_cuda_measure *m)
{
    uint32_t stride = (uint32_t)(m->bytes / ROWS / 2);
    int rc = time_way(d, s, seat, directly, stride, &m->direct_ns);
    return rc == 0 ? time_way(d, s, seat, by_copies, stride, &m->copy_ns) : rc;
}

int cuda_measure(struct tg_device *d)
{
    struct tg_cuda_measure m[16] = {{0}};
    struct cuda_seat seat = {0};
    uint32_t n = 0;
    if (d->settings.direct_kib != TG_CUDA_DIRECT_MEASURED) {
        d->direct_bytes = d->settings.direct_kib << 10;
        return 0;
    }
    int rc = cuda_seat_init(d, &d->slots[0], &seat, ROWS, 0);
    uint64_t largest = 2 * TG_MIN((size_t)CUDA_BOUNCE_BYTES, d->buffer_bytes);
    for (uint64_t bytes = SMALLEST_BYTES; rc == 0 && bytes <= largest; bytes *= 2) {
        m[n].bytes = bytes;
        rc = time_both(d, &d->slots[0], &seat, &m[n++]);
    }
    cudaDeviceSynchronize(); /* what was launched before something failed still reads the seat */
    cuda_seat_finish(&seat);
    d->direct_bytes = tg_cuda_crossover(m, n);
    if (rc == 0)
        d->host->log(TG_LOG_INFO, "cuda:%d: batches up to %llu KiB are moved by kernels, larger ones are copied",
                     d->ordinal, (unsigned long long)(d->direct_bytes >> 10));
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner's kernels as one would call them in a program of one's own: on rows that lie in device memory,
 * with a copy in and a copy out, and for one row with a wait. What the executor reaches is held against this.
 * The program ends after it: nothing is given back.
 */
#include "bare.h"

#include <cuda_runtime_api.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../runner.h"

#define LAUNCHES 64 /* between two waits, at most */
#define STREAMS_MAX 16
#define PIECES_MAX 256
#define LONE_MAX 20000

/* A batch's memory. */
struct seat {
    struct tg_cuda_batch batch;
    char *host_in, *host_out; /* pinned */
};

struct bare {
    const struct bare_options *o;
    const struct tg_runner_cuda *cuda;
    void *state;
    const uint32_t *one; /* a count of 1, in device memory */
    struct seat seats[STREAMS_MAX];
    struct tg_cuda_loader loader;
    void *pieces[PIECES_MAX]; /* device memory */
    uint32_t piece_count;
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* ---- memory ----------------------------------------------------------------------------------------------
 */

static void *loader_alloc(struct tg_cuda_loader *loader, size_t bytes)
{
    struct bare *b = TG_CONTAINER_OF(loader, struct bare, loader);
    void *at = NULL;
    if (b->piece_count == PIECES_MAX || cudaMalloc(&at, bytes) != cudaSuccess)
        return NULL;
    b->pieces[b->piece_count++] = at;
    return at;
}

static int loader_upload(struct tg_cuda_loader *loader, void *to, const void *from, size_t bytes)
{
    int rc = (int)cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, loader->stream);
    return rc == 0 ? (int)cudaStreamSynchronize(loader->stream) : rc;
}

static int load(struct bare *b, struct tg_cuda_loader *loader)
{
    struct tg_error why = {0};
    int rc = b->cuda->load ? b->cuda->load(b->o->self, loader, &b->state, &why) : 0;
    return rc == 0 ? (int)cudaStreamSynchronize(loader->stream) : rc;
}

/* Device memory with this in it; NULL. */
static const void *keep(struct tg_cuda_loader *loader, const void *from, size_t bytes)
{
    void *at = loader_alloc(loader, bytes);
    return at && loader_upload(loader, at, from, bytes) == 0 ? at : NULL;
}

/* What the host says of rows and batch. */
static int describe(const struct bare *b, struct tg_cuda_loader *loader, struct tg_cuda_batch *batch)
{
    const uint32_t rows = b->o->rows;
    struct tg_cuda_row *known = calloc(rows, sizeof(*known));
    for (uint32_t i = 0; known && i < rows; i++)
        known[i] = (struct tg_cuda_row){.param = b->o->row.param, .in_len = b->o->row.in_len};
    batch->count = keep(loader, &rows, sizeof(rows));
    batch->rows = known ? keep(loader, known, rows * sizeof(*known)) : NULL;
    batch->results = loader_alloc(loader, rows * sizeof(*batch->results));
    free(known);
    return batch->count && batch->rows && batch->results ? 0 : (int)cudaErrorMemoryAllocation;
}

static size_t scratch_bytes(const struct bare *b, uint32_t multiprocessors)
{
    if (!b->cuda->scratch_bytes)
        return 0;
    size_t all = b->cuda->scratch_bytes(b->state, b->o->rows, multiprocessors);
    return TG_MAX(all, b->cuda->scratch_bytes(b->state, 1, multiprocessors));
}

static int open_seat(struct bare *b, struct tg_cuda_loader *loader, struct seat *s)
{
    const struct bare_options *o = b->o;
    const size_t in = (size_t)o->rows * o->in_stride, out = (size_t)o->rows * o->out_stride;
    int rc = (int)cudaStreamCreateWithFlags((cudaStream_t *)&s->batch.stream, cudaStreamNonBlocking);
    if (rc == 0)
        rc = (int)cudaHostAlloc((void **)&s->host_in, in, cudaHostAllocMapped);
    if (rc == 0)
        rc = (int)cudaHostAlloc((void **)&s->host_out, out, cudaHostAllocMapped);
    if (rc != 0)
        return rc;
    memcpy(s->host_in, o->in, in);
    s->batch = (struct tg_cuda_batch){.stream = s->batch.stream,
                                      .capacity = o->rows,
                                      .in_stride = o->in_stride,
                                      .out_stride = o->out_stride,
                                      .multiprocessors = loader->multiprocessors,
                                      .scratch_bytes = scratch_bytes(b, loader->multiprocessors),
                                      .in = keep(loader, o->in, in),
                                      .out = loader_alloc(loader, out)};
    if (s->batch.scratch_bytes > 0)
        s->batch.scratch = loader_alloc(loader, s->batch.scratch_bytes);
    if (!s->batch.in || !s->batch.out || (s->batch.scratch_bytes > 0 && !s->batch.scratch))
        return (int)cudaErrorMemoryAllocation;
    return describe(b, loader, &s->batch);
}

static int open_all(struct bare *b)
{
    struct cudaDeviceProp p;
    cudaStream_t stream;
    int rc = (int)cudaGetDeviceProperties(&p, 0);
    if (rc == 0)
        rc = (int)cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (rc != 0)
        return rc;
    b->loader = (struct tg_cuda_loader){.alloc = loader_alloc,
                                        .upload = loader_upload,
                                        .stream = stream,
                                        .multiprocessors = (uint32_t)p.multiProcessorCount};
    rc = load(b, &b->loader);
    for (uint32_t i = 0; rc == 0 && i < b->o->streams; i++)
        rc = open_seat(b, &b->loader, &b->seats[i]);
    b->one = rc == 0 ? keep(&b->loader, &(uint32_t){1}, sizeof(uint32_t)) : NULL;
    return rc == 0 && !b->one ? (int)cudaErrorMemoryAllocation : rc;
}

static void close_all(struct bare *b)
{
    cudaDeviceSynchronize();
    for (uint32_t i = 0; i < b->o->streams; i++) {
        cudaFreeHost(b->seats[i].host_in);
        cudaFreeHost(b->seats[i].host_out);
        if (b->seats[i].batch.stream)
            cudaStreamDestroy(b->seats[i].batch.stream);
    }
    if (b->cuda->unload)
        b->cuda->unload(b->state);
    if (b->loader.stream)
        cudaStreamDestroy(b->loader.stream);
    for (uint32_t i = 0; i < b->piece_count; i++)
        cudaFree(b->pieces[i]);
}

/* ---- figures ---------------------------------------------------------------------------------------------
 */

static int launch(const struct bare *b, const struct tg_cuda_batch *batch)
{
    return b->cuda->launch(b->o->self, b->state, batch);
}

static int in_place(const struct bare *b, const struct seat *s)
{
    return launch(b, &s->batch);
}

static int copied(const struct bare *b, const struct seat *s)
{
    const struct tg_cuda_batch *t = &s->batch;
    const size_t in = (size_t)t->capacity * t->in_stride, out = (size_t)t->capacity * t->out_stride;
    int rc = (int)cudaMemcpyAsync((void *)t->in, s->host_in, in, cudaMemcpyHostToDevice, t->stream);
    if (rc == 0)
        rc = launch(b, t);
    return rc == 0 ? (int)cudaMemcpyAsync(s->host_out, t->out, out, cudaMemcpyDeviceToHost, t->stream) : rc;
}

typedef int way_fn(const struct bare *b, const struct seat *s);

static int run_round(const struct bare *b, uint32_t streams, way_fn *way, uint32_t launches, double *us)
{
    double start = now_us();
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < launches; i++)
        rc = way(b, &b->seats[i % streams]);
    for (uint32_t i = 0; rc == 0 && i < streams; i++)
        rc = (int)cudaStreamSynchronize(b->seats[i].batch.stream);
    *us = (now_us() - start) / launches;
    return rc;
}

/* The best round: what disturbs one only makes it longer. The first one loads the kernels and says how many
 * are worth it. */
static int best_round(const struct bare *b, uint32_t streams, way_fn *way, double *best_us)
{
    double us, all_us = b->o->seconds * 1e6, end = now_us() + all_us;
    int rc = run_round(b, streams, way, streams, best_us);
    uint32_t launches = (uint32_t)TG_MIN(TG_MAX(all_us / *best_us, 4.0 * streams), (double)LAUNCHES);
    do {
        rc = rc == 0 ? run_round(b, streams, way, launches, &us) : rc;
        *best_us = rc == 0 ? TG_MIN(*best_us, us) : *best_us;
    } while (rc == 0 && now_us() < end);
    return rc;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int lone(const struct bare *b, struct bare_figures *out)
{
    static double samples[LONE_MAX];
    struct seat s = b->seats[0];
    double end = now_us() + b->o->seconds * 1e6;
    uint32_t n = 0;
    int rc = 0;
    s.batch.capacity = 1;
    s.batch.count = b->one;
    while (rc == 0 && n < LONE_MAX && (n == 0 || now_us() < end)) {
        double start = now_us();
        rc = copied(b, &s);
        if (rc == 0)
            rc = (int)cudaStreamSynchronize(s.batch.stream);
        samples[n++] = now_us() - start;
    }
    qsort(samples, n, sizeof(samples[0]), compare);
    out->lone_p50_us = samples[n / 2];
    out->lone_p99_us = samples[n - 1 - n / 100];
    return rc;
}

int bare_measure(const struct bare_options *o, struct bare_figures *out)
{
    struct bare b = {.o = o, .cuda = tg_runner_cuda_part(o->runner)};
    if (!b.cuda || o->streams > STREAMS_MAX)
        return -ENOTSUP;
    int rc = open_all(&b);
    if (rc == 0)
        rc = best_round(&b, 1, in_place, &out->in_place_us);
    if (rc == 0)
        rc = best_round(&b, o->streams, copied, &out->copied_us);
    if (rc == 0)
        rc = lone(&b, out);
    close_all(&b);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part of bench-device, not of the program: the kernels of echo and saxpy launched back to back on rows that lie in
 * device memory, and one launch with its copies and a wait. What the executor reaches is held against this.
 */
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "kernels.h"

#define LAUNCHES 200
#define ROUNDS 20

void bare_kernels(const char *type, uint32_t in_stride, uint32_t out_stride, uint32_t rows);

/* One allocation, cut in pieces. */
struct memory {
    char *in, *out, *rows, *results, *count;
};

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int allocate(struct memory *m, const struct tg_cuda_batch *b)
{
    size_t in = (size_t)b->capacity * b->in_stride, out = (size_t)b->capacity * b->out_stride;
    size_t rows = b->capacity * sizeof(struct tg_cuda_row), results = b->capacity * sizeof(struct tg_cuda_result);
    size_t whole = in + out + (rows + results + 512) / 256 * 256 + 512;
    int rc = (int)cudaMalloc((void **)&m->in, whole);
    if (rc != 0)
        return rc;
    m->out = m->in + in;
    m->rows = m->out + out;
    m->results = m->rows + (rows + 255) / 256 * 256;
    m->count = m->in + whole - 256;
    return (int)cudaMemset(m->in, 0, whole);
}

static int launch(const char *type, const struct tg_cuda_batch *b)
{
    return strcmp(type, "saxpy") == 0 ? tg_cuda_saxpy(b, b->out_stride / 4) : tg_cuda_echo(b);
}

static int back_to_back(const char *type, const struct tg_cuda_batch *b, double *best_us)
{
    int rc = 0;
    *best_us = 1e30;
    for (int round = 0; rc == 0 && round < ROUNDS; round++) {
        double start = now_us();
        for (int i = 0; rc == 0 && i < LAUNCHES; i++)
            rc = launch(type, b);
        if (rc == 0)
            rc = (int)cudaStreamSynchronize((cudaStream_t)b->stream);
        double us = (now_us() - start) / LAUNCHES;
        *best_us = us < *best_us ? us : *best_us;
    }
    return rc;
}

/* One row: copy, kernel, copy, wait. */
static int once(const char *type, const struct tg_cuda_batch *b, char *host, double *best_us)
{
    cudaStream_t stream = (cudaStream_t)b->stream;
    int rc = 0;
    *best_us = 1e30;
    for (int round = 0; rc == 0 && round < LAUNCHES * ROUNDS; round++) {
        double start = now_us();
        rc = (int)cudaMemcpyAsync((void *)b->in, host, b->in_stride, cudaMemcpyHostToDevice, stream);
        if (rc == 0)
            rc = launch(type, b);
        if (rc == 0)
            rc = (int)cudaMemcpyAsync(host, b->out, b->out_stride, cudaMemcpyDeviceToHost, stream);
        if (rc == 0)
            rc = (int)cudaStreamSynchronize(stream);
        double us = now_us() - start;
        *best_us = us < *best_us ? us : *best_us;
    }
    return rc;
}

static int measure(const char *type, struct tg_cuda_batch *b, char *host)
{
    double full_us, lone_us;
    int rc = back_to_back(type, b, &full_us);
    uint32_t rows = b->capacity;
    b->capacity = 1;
    if (rc == 0)
        rc = once(type, b, host, &lone_us);
    if (rc == 0)
        printf("bare kernels, %u rows in place      %9.2f us a batch %9.1f GB/s; one row with copies and wait, best "
               "%.2f us\n", rows, full_us, (double)rows * (b->in_stride + b->out_stride) / full_us / 1e3, lone_us);
    return rc;
}

static int run(const char *type, struct tg_cuda_batch *b)
{
    struct memory m;
    cudaStream_t stream;
    char *host;
    int rc = (int)cudaHostAlloc((void **)&host, (size_t)b->in_stride + b->out_stride, cudaHostAllocMapped);
    if (rc == 0)
        rc = (int)cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    if (rc == 0)
        rc = allocate(&m, b);
    if (rc == 0)
        rc = (int)cudaMemcpy(m.count, &b->capacity, sizeof(b->capacity), cudaMemcpyHostToDevice);
    if (rc != 0)
        return rc;
    b->stream = stream;
    b->in = m.in;
    b->out = m.out;
    b->rows = (struct tg_cuda_row *)m.rows;
    b->results = (struct tg_cuda_result *)m.results;
    b->count = (uint32_t *)m.count;
    return measure(type, b, host); /* the program ends after this: nothing is given back */
}

void bare_kernels(const char *type, uint32_t in_stride, uint32_t out_stride, uint32_t rows)
{
    struct cudaDeviceProp p;
    if (strcmp(type, "saxpy") != 0 && strcmp(type, "echo") != 0)
        return;
    int rc = (int)cudaGetDeviceProperties(&p, 0);
    struct tg_cuda_batch b = {.capacity = rows,
                              .in_stride = in_stride,
                              .out_stride = out_stride,
                              .multiprocessors = (uint32_t)p.multiProcessorCount};
    if (rc == 0)
        rc = run(type, &b);
    if (rc != 0)
        fprintf(stderr, "bare kernels: CUDA error %d\n", rc);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels that move rows, echo and saxpy, run thread by thread on the host. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../support/rows.h"
#include "emulated/order.h"
#include "gpu/cuda/kernels.h"

TestSuite(kernel_move, .timeout = 120);

#define ROWS 512
#define STRIDE_MAX 448

/* A slot and a lane, all of it in host memory. */
struct bench {
    struct tg_cuda_control control_host, control;
    struct tg_cuda_row rows_host[ROWS], rows[ROWS];
    struct tg_cuda_result results_host[ROWS], results[ROWS];
    uint32_t done;
    struct tg_cuda_slot slot;
    char *lane_in, *lane_out; /* where the host has its rows */
    uint64_t seed;
};

static void *bytes(size_t n)
{
    char *at = aligned_alloc(256, (n + 255) / 256 * 256);
    memset(at, TEST_CANARY, (n + 255) / 256 * 256);
    return at;
}

static struct bench *open_bench(void)
{
    struct bench *b = calloc(1, sizeof(*b));
    b->seed = 88172645463325252u;
    b->lane_in = bytes(ROWS * STRIDE_MAX);
    b->lane_out = bytes(ROWS * STRIDE_MAX);
    for (size_t i = 0; i < ROWS * STRIDE_MAX; i++)
        b->lane_in[i] = (char)test_random(&b->seed, 256);
    b->slot = (struct tg_cuda_slot){&b->control_host, b->rows_host, b->results_host, &b->done,
                                    &b->control,      b->rows,      b->results,      bytes(ROWS * STRIDE_MAX),
                                    bytes(ROWS * STRIDE_MAX)};
    return b;
}

static void close_bench(struct bench *b)
{
    free(b->lane_in);
    free(b->lane_out);
    free(b->slot.in);
    free(b->slot.out);
    free(b);
}

static struct tg_cuda_batch batch_of(struct bench *b, uint32_t capacity, uint32_t in_stride, uint32_t out_stride)
{
    return (struct tg_cuda_batch){
        .capacity = capacity,
        .in_stride = in_stride,
        .out_stride = out_stride,
        .multiprocessors = 2,
        .count = &b->control.count,
        .in = b->slot.in,
        .out = b->slot.out,
        .rows = b->rows,
        .results = b->results,
    };
}

/* @count rows in @segments pieces, every second row of the lane's so that pieces do not touch. */
static void describe(struct bench *b, uint32_t count, uint32_t segments, uint32_t in_stride, uint32_t out_stride)
{
    uint32_t at = 0, lane_row = 0;
    for (uint32_t s = 0; s < segments; s++) {
        uint32_t n = s + 1 == segments ? count - at : (count - at) / (segments - s);
        b->control_host.segments[s] = (struct tg_cuda_segment){b->lane_in + (size_t)lane_row * in_stride,
                                                               b->lane_out + (size_t)lane_row * out_stride, at, n};
        at += n;
        lane_row += n + 1;
    }
    b->control_host.count = count;
    b->control_host.segment_count = segments;
    b->control_host.sequence++;
    for (uint32_t i = 0; i < count; i++)
        b->rows_host[i] = (struct tg_cuda_row){.param = i, .in_len = test_random(&b->seed, in_stride + 1)};
}

static const struct tg_cuda_segment *segment_of(const struct bench *b, uint32_t row)
{
    const struct tg_cuda_segment *s = b->control_host.segments;
    while (row >= s->first + s->count)
        s++;
    return s;
}

/* Through all three kernels of an echo: every row comes back, up to its length, and nothing else is touched. */
static void echo_round(struct bench *b, uint32_t count, uint32_t segments, uint32_t capacity, uint32_t in_stride,
                       uint32_t out_stride)
{
    memset(b->lane_out, TEST_CANARY, ROWS * STRIDE_MAX);
    describe(b, count, segments, in_stride, out_stride);
    struct tg_cuda_batch batch = batch_of(b, capacity, in_stride, out_stride);
    cr_assert_eq(tg_cuda_gather(&b->slot, capacity, in_stride, out_stride, NULL), 0);
    cr_assert_neq(b->done, b->control_host.sequence);
    cr_assert_eq(tg_cuda_echo(&batch), 0);
    cr_assert_eq(tg_cuda_scatter(&b->slot, capacity, out_stride, NULL), 0);
    cr_assert_eq(b->done, b->control_host.sequence);
    size_t touched = 0;
    for (uint32_t r = 0; r < count; r++) {
        const struct tg_cuda_segment *s = segment_of(b, r);
        const char *in = (const char *)s->in + (size_t)(r - s->first) * in_stride;
        char *out = (char *)s->out + (size_t)(r - s->first) * out_stride;
        uint32_t len = TG_MIN(b->rows_host[r].in_len, TG_MIN(in_stride, out_stride));
        cr_assert_eq(b->results_host[r].out_len, b->rows_host[r].in_len);
        cr_assert_eq(b->results_host[r].status, 0);
        cr_assert_eq(memcmp(in, out, len), 0, "row %u of %u", r, count);
        memset(out, TEST_CANARY, TG_MIN((len + 15) / 16 * 16, out_stride));
        touched += len;
    }
    for (size_t i = 0; i < ROWS * STRIDE_MAX; i++)
        cr_assert_eq((unsigned char)b->lane_out[i], TEST_CANARY, "byte %zu", i);
    cr_assert(count == 0 || touched > 0 || count < 4);
}

Test(kernel_move, rows_of_many_segments_come_back_each_to_its_place)
{
    struct bench *b = open_bench();
    for (uint32_t seed = 0; seed < 3; seed++) {
        emulator_order(seed);
        echo_round(b, 1, 1, 1, 64, 64);
        echo_round(b, 2, 2, 2, 128, 128);
        echo_round(b, 200, 7, 256, 64, 64);
        echo_round(b, 100, 100, 128, 448, 448);
        echo_round(b, 250, 200, 256, 64, 128);
    }
    close_bench(b);
}

Test(kernel_move, an_empty_batch_only_says_that_it_is_done)
{
    struct bench *b = open_bench();
    echo_round(b, 0, 0, 1, 64, 64);
    echo_round(b, 0, 0, 256, 448, 64);
    close_bench(b);
}

/* The description lies in memory that the next batch overwrites: a graph is replayed with nothing else changed. */
Test(kernel_move, the_same_launch_serves_batches_of_any_size_up_to_its_capacity)
{
    struct bench *b = open_bench();
    for (uint32_t count = 1; count <= 64; count = count * 2 + 1)
        echo_round(b, count, 1 + count / 4, 64, 64, 64);
    close_bench(b);
}

Test(kernel_move, a_pass_of_copies_knows_its_rows_and_reports_them)
{
    struct bench *b = open_bench();
    describe(b, 300, 1, 64, 64);
    memset(b->results_host, TEST_CANARY, sizeof(b->results_host));
    cr_assert_eq(tg_cuda_begin(&b->slot, 100, 150, 64, NULL), 0);
    cr_assert_eq(b->control.count, 150);
    for (uint32_t i = 0; i < 150; i++) {
        cr_assert_eq(b->rows[i].param, 100 + i);
        cr_assert_eq(b->results[i].out_len, 64);
        b->results[i] = (struct tg_cuda_result){i, i % 3};
    }
    cr_assert_eq(tg_cuda_end(&b->slot, 100, 150, NULL), 0);
    for (uint32_t i = 0; i < 150; i++)
        cr_assert(b->results_host[100 + i].out_len == i && b->results_host[100 + i].status == i % 3);
    const unsigned char *before = (unsigned char *)&b->results_host[99], *after = (unsigned char *)&b->results_host[250];
    cr_assert(*before == TEST_CANARY && *after == TEST_CANARY);
    close_bench(b);
}

Test(kernel_saxpy, is_a_fused_multiply_add_of_every_number)
{
    static const uint32_t sizes[] = {1, 3, 4, 17, 56};
    struct bench *b = open_bench();
    for (size_t i = 0; i < TG_ARRAY_SIZE(sizes); i++) {
        uint32_t n = sizes[i], padded = (n + 3) / 4 * 4, in_stride = STRIDE_MAX, out_stride = 256;
        struct tg_cuda_batch batch = batch_of(b, 64, in_stride, out_stride);
        b->control.count = 40;
        memset(b->slot.out, TEST_CANARY, ROWS * STRIDE_MAX);
        for (uint32_t r = 0; r < 40; r++) {
            float a = (float)r - 7.5f, *in = (float *)((char *)b->slot.in + (size_t)r * in_stride);
            for (uint32_t j = 0; j < 2 * padded; j++)
                in[j] = (float)test_random(&b->seed, 2000) / 7 - 100;
            b->rows[r].param = 0;
            memcpy(&b->rows[r].param, &a, sizeof(a));
        }
        cr_assert_eq(tg_cuda_saxpy(&batch, n), 0);
        for (uint32_t r = 0; r < 40; r++) {
            const float *in = (float *)((char *)b->slot.in + (size_t)r * in_stride);
            const float *out = (float *)((char *)b->slot.out + (size_t)r * out_stride);
            for (uint32_t j = 0; j < n; j++)
                cr_assert_eq(out[j], fmaf((float)r - 7.5f, in[j], in[padded + j]));
            cr_assert_eq(b->results[r].out_len, n * 4);
        }
        cr_assert_eq(((unsigned char *)b->slot.out)[40 * out_stride], TEST_CANARY, "rows behind the last stay");
    }
    close_bench(b);
}

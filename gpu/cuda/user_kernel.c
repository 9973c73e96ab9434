/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel runner's part for this device: what was compiled when the gateway started is loaded and launched. */
#include <errno.h>
#include <stdlib.h>
#include "../runners/kernel.h"
#include "faults.h"
#include "device.h"

#define BLOCKS_PER_MULTIPROCESSOR 16

/* The wrapper writes results as two words, and reads no more of a batch than it is given here. */
_Static_assert(sizeof(struct tg_cuda_result) == 8 && offsetof(struct tg_cuda_result, out_len) == 0 &&
                   offsetof(struct tg_cuda_result, status) == 4,
               "as data/kernel_wrapper.cuh has it");

struct user_kernel {
    cudaLibrary_t library;
    cudaKernel_t entry;
};

static int refuse(int rc, struct tg_error *why)
{
    tg_error_set(why, "source", "the compiled kernel cannot be loaded: %s%s", tg_cuda_fault_of(rc)->name,
                 rc == cudaErrorUnsupportedPtxVersion ? " (the driver is older than NVRTC: set arch = \"sm_NN\")"
                 : rc == cudaErrorNoKernelImageForDevice ? " (arch is that of another device)"
                                                         : "");
    return rc;
}

static int kernel_load(void *self, struct tg_cuda_loader *loader, void **state, struct tg_error *why)
{
    const struct kernel *k = self;
    struct user_kernel *u = calloc(1, sizeof(*u));
    if (!u)
        return -ENOMEM;
    *state = u;
    int rc = (int)cudaLibraryLoadData(&u->library, k->image, NULL, NULL, 0, NULL, NULL, 0);
    if (rc == 0)
        rc = (int)cudaLibraryGetKernel(&u->entry, u->library, KERNEL_ENTRY);
    return rc == 0 ? 0 : refuse(rc, why);
}

static void kernel_unload(void *state)
{
    struct user_kernel *u = state;
    if (u && u->library)
        cudaLibraryUnload(u->library);
    free(u);
}

/* Few rows are spread over many blocks, so that they do not share a multiprocessor while others idle. */
static unsigned block_threads(const struct kernel *k, const struct tg_cuda_batch *b)
{
    unsigned threads = 32;
    if (k->threads != 1)
        return k->threads;
    while (threads < KERNEL_BLOCK_THREADS && b->capacity / threads > b->multiprocessors)
        threads *= 2;
    return threads;
}

static unsigned grid_blocks(const struct kernel *k, const struct tg_cuda_batch *b, unsigned threads)
{
    unsigned wanted = k->threads != 1 ? b->capacity : (b->capacity + threads - 1) / threads;
    return TG_MIN(wanted, b->multiprocessors * BLOCKS_PER_MULTIPROCESSOR);
}

static int kernel_launch(void *self, const void *state, const struct tg_cuda_batch *batch)
{
    const struct kernel *k = self;
    const struct user_kernel *u = state;
    struct tg_cuda_batch b = *batch;
    void *arguments[] = {&b.count, &b.in, &b.out, &b.results, &b.in_stride, &b.out_stride};
    unsigned threads = block_threads(k, &b);
    const dim3 grid = {grid_blocks(k, &b, threads), 1, 1}, block = {threads, 1, 1};
    return (int)cudaLaunchKernel((const void *)u->entry, grid, block, arguments, 0, b.stream);
}

const struct tg_runner_cuda tg_runner_cuda_kernel = {
    .size = sizeof(struct tg_runner_cuda),
    .load = kernel_load,
    .unload = kernel_unload,
    .launch = kernel_launch,
};

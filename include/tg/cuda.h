/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a runner that computes on an NVIDIA device, and what it is given. Plain C that C++ and CUDA
 * sources may include as well; a cudaStream_t travels as `void *`, so no CUDA header is needed here.
 *
 * A batch on the device is contiguous: `count` rows of `in_stride` bytes at `in`, the answers at `out`. How many
 * rows there are is a word in device memory: grids are laid out for `capacity` and ask `*count`, so that one
 * captured graph serves every batch up to its capacity.
 */
#ifndef TG_CUDA_H
#define TG_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tg_error;

/* What a kernel may know of a row: see struct tg_row. */
struct tg_cuda_row {
    uint64_t param;
    uint32_t in_len; /* bytes behind it, up to the next multiple of 16, were copied too; the rest is arbitrary */
    uint32_t reserved;
};

/* What a kernel may say of a row. Starts as {out_stride, TG_OK}. */
struct tg_cuda_result {
    uint32_t out_len; /* so much of the output row is brought back */
    uint32_t status;  /* enum tg_status */
};

struct tg_cuda_batch {
    /* known on the host */
    void *stream;      /* the cudaStream_t to launch on; it may be capturing: launch only, no allocation, no wait */
    uint32_t capacity; /* no more rows than this */
    uint32_t in_stride, out_stride; /* multiples of 64 */
    uint32_t multiprocessors;       /* of the device */
    size_t scratch_bytes;
    /* device memory, aligned to 256 */
    const uint32_t *count;
    const void *in;
    void *out;
    const struct tg_cuda_row *rows;
    struct tg_cuda_result *results;
    void *scratch; /* this batch's own */
};

/* What load() may ask of the device. Memory is given back when the device is closed. */
struct tg_cuda_loader {
    void *(*alloc)(struct tg_cuda_loader *loader, size_t bytes); /* device memory, or NULL */
    int (*upload)(struct tg_cuda_loader *loader, void *to, const void *from, size_t bytes); /* 0 or a cudaError_t */
    void *stream; /* for kernels that prepare what was uploaded */
    uint32_t multiprocessors;
};

struct tg_runner_cuda {
    uint32_t size;       /* sizeof(struct tg_runner_cuda) */
    uint32_t batch_rows; /* rows of one batch here at most; 0: as the shape says */
    /**
     * Bring to the device what stays there. @state is passed to the others; NULL is fine. Optional.
     * Returns 0, a negative errno or a cudaError_t, with @why set.
     */
    int (*load)(void *self, struct tg_cuda_loader *loader, void **state, struct tg_error *why);
    void (*unload)(void *state); /* host memory of @state; optional */
    /** Device memory for what passes between the kernels of one batch. Optional: none. */
    size_t (*scratch_bytes)(const void *state, uint32_t capacity, uint32_t multiprocessors);
    /** Launch the kernels of a batch. Returns 0, a negative errno or a cudaError_t. */
    int (*launch)(void *self, const void *state, const struct tg_cuda_batch *batch);
};

#ifdef __cplusplus
}
#endif

#endif

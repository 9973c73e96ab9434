/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cuda device's inside.
 *   cuda.c    the backend's table: probe, open, close, describe
 *   call.c    the wrapper that every CUDA call passes through
 *   memory.c  device memory, pinned lanes and their addresses on the device
 *   slot.c    a stream with all that a batch needs on its way
 *   load.c    runner instances: resident data, scratch, captured graphs
 *   measure.c up to which size kernels move rows themselves
 *   submit.c  batches: start, look, finish
 */
#ifndef TG_CUDA_DEVICE_H
#define TG_CUDA_DEVICE_H

#include <cuda_runtime_api.h>

#include "../backend.h"
#include "faults.h"
#include "kernels.h"
#include "plan.h"
#include "settings.h"

/* A stretch of host memory that the device can reach. */
struct cuda_pin {
    char *base;
    size_t bytes;
    char *device; /* where the device sees it */
};

/* A piece of device memory that smaller pieces are cut from. */
struct cuda_chunk {
    struct cuda_chunk *next;
    char *base;
    size_t bytes, used;
};

enum cuda_way {
    WAY_NONE,   /* no batch */
    WAY_DIRECT, /* kernels read and write host memory, the last one writes `done` */
    WAY_COPY,   /* the copy engine moves rows, an event tells the end */
};

/* A stream, and host and device memory for one batch. */
struct cuda_slot {
    cudaStream_t stream;
    cudaEvent_t event;
    struct tg_cuda_slot view; /* by device addresses; rows and results are the seat's */
    /* pinned */
    struct tg_cuda_control *control;
    _Atomic uint32_t *done;
    char *bounce_in, *bounce_out; /* for small batches of lanes that are not pinned */
    char *bounce_in_device, *bounce_out_device;
    /* the batch */
    struct tg_job *job; /* NULL: free */
    struct cuda_seat *seat;
    enum cuda_way way;
    bool bounced;
    uint32_t sequence;
    uint64_t start_ns, look_ns; /* when it began; when to ask the stream whether it still lives */
};

/* A runner instance on a slot: what depends on both. Graphs hold these addresses, so they are fixed once loaded. */
struct cuda_seat {
    struct tg_cuda_slot view;
    struct tg_cuda_row *rows;       /* pinned */
    struct tg_cuda_result *results; /* pinned */
    void *scratch;
    size_t scratch_bytes;
    cudaGraphExec_t graphs[TG_SIZE_CLASSES_MAX][TG_CUDA_BUCKETS]; /* NULL: launched one by one */
};

struct cuda_loaded {
    const struct tg_runner *runner;
    const struct tg_runner_cuda *cuda; /* NULL: nothing but moving rows, to measure it */
    void *self, *state;
    uint32_t batch_rows; /* largest batch */
    bool graphs;         /* captured, as long as that succeeds */
    uint32_t class_count;
    uint32_t in_stride[TG_SIZE_CLASSES_MAX], out_stride[TG_SIZE_CLASSES_MAX];
    struct cuda_seat *seats; /* by slot */
};

struct tg_device {
    const struct tg_backend *backend;
    const struct tg_host *host;
    struct tg_cuda_settings settings;
    int ordinal;
    char name[64], bus[16], gpu[TG_CUDA_UUID_BYTES];
    uint64_t memory_bytes;
    uint32_t multiprocessors;
    struct cuda_chunk *chunks;
    struct cuda_pin *pins;
    uint32_t pin_count;
    uint64_t pinned_bytes;
    size_t buffer_bytes;   /* of a slot's in and out */
    uint64_t direct_bytes; /* see tg_cuda_moves_directly() */
    cudaStream_t load_stream;
    struct cuda_loaded *loaded;
    uint32_t loaded_count;
    enum tg_device_fault broken; /* STICKY or LOST, once it has happened */
    int broken_error;
    uint32_t stream_count;
    struct cuda_slot slots[];
};

/* ---- call.c ---------------------------------------------------------------------------------------------- */

/** Make the device current in this thread. Cheap after the first time. */
int cuda_enter(struct tg_device *d);
/** Returns @code; what is neither success nor "not ready" is logged with the call's name, sticky ones remembered. */
int cuda_check(struct tg_device *d, int code, const char *call);
#define CUDA(d, call) cuda_check(d, (int)(call), #call)
/** A return code as a negative errno. */
int cuda_errno(int code);
/** Put @rc of a launch into a job; a broken device stays broken. */
void cuda_job_fault(struct tg_device *d, struct tg_job *job, int rc);

/* ---- memory.c -------------------------------------------------------------------------------------------- */

/** Device memory aligned to 256 bytes, until the device is closed; NULL. Only while opening and loading. */
void *cuda_alloc(struct tg_device *d, size_t bytes);
void cuda_chunks_free(struct tg_device *d);
/** Register host memory with the device; what cannot be registered is used unpinned. Returns 0 or negative errno. */
int cuda_pin(struct tg_device *d, void *base, size_t bytes);
void cuda_unpin_all(struct tg_device *d);
/** The device's address of pinned memory, NULL if any of it is not pinned. */
char *cuda_address(const struct tg_device *d, const void *at, size_t bytes);
/** Pinned memory of our own; @device gets its address there. */
int cuda_host_alloc(struct tg_device *d, size_t bytes, void *host, void *device);

/* ---- slot.c, measure.c, load.c ---------------------------------------------------------------------------- */

#define CUDA_BOUNCE_BYTES (1u << 20)

int cuda_slot_init(struct tg_device *d, struct cuda_slot *slot);
void cuda_slot_finish(struct cuda_slot *slot);
int cuda_seat_init(struct tg_device *d, const struct cuda_slot *slot, struct cuda_seat *seat, uint32_t rows,
                   size_t scratch_bytes);
void cuda_seat_finish(struct cuda_seat *seat);

/* A batch on its way: which rows, and how long they are. */
struct cuda_pass {
    uint32_t capacity, in_stride, out_stride;
};

int cuda_load(struct tg_device *d, const struct tg_runner *runner, void *self, struct tg_error *why);
void cuda_unload_all(struct tg_device *d);
/** Launch the runner's kernels for at most pass->capacity rows that lie in the slot's buffers. */
int cuda_launch_runner(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot,
                       struct cuda_seat *seat, const struct cuda_pass *pass);
/** Launch all of a small batch: first kernel, the runner's, last kernel. */
int cuda_launch_direct(struct tg_device *d, const struct cuda_loaded *l, struct cuda_slot *slot,
                       struct cuda_seat *seat, const struct cuda_pass *pass);

/** Time both ways on this machine and set d->direct_bytes. Returns 0, a negative errno or a cudaError_t. */
int cuda_measure(struct tg_device *d);

/* ---- submit.c -------------------------------------------------------------------------------------------- */

int cuda_submit(struct tg_device *d, struct tg_job *job);
int cuda_poll(struct tg_device *d, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device as the executor sees it: a fixed number of streams that take batches and give them back.
 *
 * Backends: cpu (the reference), null (accepts everything, computes nothing), fault (wraps another and injects
 * errors), cuda. tests/conformance runs one suite over all of them.
 * Thread: every function is called by the executor that opened the device, unless stated otherwise. None blocks
 * except open, close and load.
 */
#ifndef TG_BACKEND_H
#define TG_BACKEND_H

#include "tg/doorbell.h"
#include "tg/runner.h"

struct tg_device; /* each backend defines its own, with `const struct tg_backend *backend` first */

struct tg_device_options {
    const struct tg_host *host;
    uint32_t streams; /* batches that may be in flight at once */
    uint32_t threads; /* cpu: compute threads; 0: submit() computes in the caller */
    struct tg_doorbell *doorbell; /* rung (tg_doorbell_wake) when a batch ends while the executor may sleep; or NULL */
    const char *spec; /* backend's own settings, "fault": "cpu;fail=3"; or NULL */
};

struct tg_device_info {
    char name[64];
    char gpu[96]; /* its UUID, "GPU-..." or, part of one, "MIG-..."; empty: it is none */
    char bus[16]; /* where it sits, 0000:18:00.0; empty: unknown */
    uint32_t threads;
    uint64_t memory_bytes; /* device memory, 0 if the host's */
};

/* Why a device cannot be had or a batch failed, for log, health and metrics (docs/reliability: device faults). */
enum tg_device_fault {
    TG_FAULT_NONE,
    TG_FAULT_RETRY,  /* this batch failed, the device is fine: run it again */
    TG_FAULT_TASK,   /* this batch failed by its own doing: answer its tasks */
    TG_FAULT_STICKY, /* the device process is unusable from here on */
    TG_FAULT_LOST,   /* the device is gone */
};

/* A batch on a stream. Owned by the executor; the backend may use it from submit() until poll() ends it. */
struct tg_job {
    const struct tg_runner *runner;
    void *self; /* the runner's instance */
    struct tg_batch batch;
    uint32_t stream; /* 0 ... streams - 1 */
    /* backend's answer */
    enum tg_device_fault fault;
    int error; /* negative errno that goes with it */
};

struct tg_backend {
    const char *name;
    /** Cheap look at the machine: 0 if open() can succeed, else negative errno and one line in @why. */
    int (*probe)(struct tg_error *why);
    /** Bytes of host memory that attach() locks at most under these settings; NULL: it locks none. Asks no driver. */
    uint64_t (*lock_bytes_max)(const char *spec);
    /** The devices that probe() has seen, in the order of their indices; returns how many are in @out. NULL: it has no
     * more than one. */
    uint32_t (*list)(struct tg_device_info *out, uint32_t max);
    int (*open)(const struct tg_device_options *options, struct tg_device **device, struct tg_error *why);
    void (*close)(struct tg_device *device);
    void (*describe)(const struct tg_device *device, struct tg_device_info *info);
    /** Make a stretch of lane memory known to the device (pinning). Undone by close(). */
    int (*attach)(struct tg_device *device, void *base, size_t bytes);
    /** Prepare a runner instance on this device (resident data, graphs, warm-up). */
    int (*load)(struct tg_device *device, const struct tg_runner *runner, void *self, struct tg_error *why);
    /**
     * Start @job on its stream, which must be free. Returns 0; -EAGAIN: not now; other negative errno: not at all, and
     * job->fault says whether the device itself is at fault.
     */
    int (*submit)(struct tg_device *device, struct tg_job *job);
    /**
     * Has the job on @stream ended? 0: yes, job->fault and job->error say how; -EAGAIN: still running.
     * @wake_ns  lowered to the instant at which asking again makes sense, if the device knows (simulated time)
     */
    int (*poll)(struct tg_device *device, uint32_t stream, uint64_t now_ns, uint64_t *wake_ns);
};

extern const struct tg_backend tg_backend_cpu, tg_backend_null, tg_backend_fault, tg_backend_cuda;

/** By name, or NULL. */
const struct tg_backend *tg_backend_find(const char *name);

#endif

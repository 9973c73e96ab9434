/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The executor: one device, fed from lanes. Takes rows by priority and deadline, forms batches, keeps the
 * device's streams busy, completes rows.
 *
 * The same loop runs as a thread of its own, or as a turn of the worker that feeds it (one or two cores), or as a process.
 *
 * A gateway may have several. Number 0 is the cpu's; those with a device of their own have the numbers from 1 on.
 */
#ifndef TG_GPU_H
#define TG_GPU_H

#include "tg/doorbell.h"
#include "tg/runner.h"

#define TG_DEVICES_MAX 16
#define TG_EXECUTORS_MAX (TG_DEVICES_MAX + 1)

enum tg_priority { TG_REALTIME, TG_INTERACTIVE, TG_BATCH, TG_BEST_EFFORT, TG_PRIORITIES };

/* Where the configuration wants an instance to be computed. */
enum tg_placement { TG_PLACE_AUTO, TG_PLACE_CPU, TG_PLACE_CUDA };

/* A runner instance as configured. Shared by all executors; outlives them. */
struct tg_instance {
    const struct tg_runner *runner;
    void *self;
    char name[64];   /* [runner.NAME] */
    char intent[128];
    struct tg_shape shape;
    uint32_t max_batch;    /* on the devices that `executors` names, or on the cpu */
    uint32_t spare_batch;  /* the same on the cpu where it stands in for devices */
    uint32_t max_delay_us; /* longest wait for company, 0: none */
    uint32_t streams;      /* batches in flight at once on one device */
    enum tg_placement placement;
    /* As decided at start: those that serve it, a bit each by number; 0: the cpu's alone. With bit 0 and others the cpu's
     * stands in when no device is left. */
    uint32_t executors;
};

/** Does executor @number serve it? */
static inline bool tg_instance_served_by(const struct tg_instance *in, uint32_t number)
{
    return in->executors ? in->executors >> number & 1 : number == 0;
}

/** Those of its executors that have a device of their own, a bit each. */
static inline uint32_t tg_instance_devices(const struct tg_instance *in)
{
    return in->executors & ~1u;
}

/*
 * How fast an executor is with an instance, for workers that choose between several. In memory that processes share; the
 * executor writes, anyone reads: relaxed, since each is a number by itself.
 */
struct tg_pace {
    _Atomic uint64_t row_ns;   /* of device time that a row has lately cost, 0: not known yet */
    _Atomic uint64_t ended_ns; /* when its last batch came back */
};

struct tg_executor;
struct tg_executor_life;

struct tg_executor_options {
    const struct tg_host *host;
    const char *backend;      /* "cpu", "null", "fault" */
    const char *backend_spec; /* or NULL */
    uint32_t threads;         /* cpu: compute threads, 0: compute in the executor's own turn */
    uint32_t number;          /* which executor it is, and its line on the workers' doorbells */
    struct tg_instance *const *instances; /* all of them: lanes name them by place */
    uint32_t instance_count;
    /* Its own alone. Each worker's have different bits, below TG_DOORBELL_LANES. */
    struct tg_lane *const *lanes;
    uint32_t lane_count;
    uint32_t worker_count;
    bool threaded;                         /* runs on a thread of its own (start), else as turns of a worker */
    struct tg_doorbell *doorbell;          /* this executor's: one line per worker */
    struct tg_doorbell *device_doorbell;   /* turns: whom device threads wake, the worker that turns; or NULL */
    struct tg_doorbell *const *workers;    /* by worker: where completions are rung; copied, the other arrays are not */
    uint32_t spin_us;                      /* thread host: spin that long before sleeping */
    int cpu;                               /* thread host: pin to this cpu, -1: leave */
    struct tg_pace *pace;                  /* by instance, where to say how fast it is; or NULL: nobody asks */
    struct tg_executor_life *life;         /* process host: what the next process and its keeper need; or NULL */
};

/* Counters; written by the executor, readable by anyone (relaxed). Latencies are histograms of the worker's. */
struct tg_executor_stats {
    uint64_t batches, rows, rows_expired, rows_failed, faults;
    uint64_t rows_requeued, rows_poisoned; /* found out when a process took over: run once more, or refused */
    uint64_t batch_rows_max; /* largest batch so far */
    uint64_t sleeps;
    uint32_t inflight; /* batches on the device now */
};

/**
 * Opens the device and loads every instance. With options->life it takes over the lanes from a process that has died:
 * what that one had taken and not completed is run once more, alone, before anything new.
 * Returns 0 or negative errno with one line in @why.
 */
int tg_executor_create(const struct tg_executor_options *options, struct tg_executor **ex, struct tg_error *why);
/** Rows still in lanes stay there. NULL is fine. */
void tg_executor_destroy(struct tg_executor *ex);

/**
 * One round: finish batches, form and submit new ones.
 * @wake_ns  lowered to the instant at which the next round makes sense without news (delays, simulated time)
 * Returns true if anything moved. Thread: the executor's host.
 */
bool tg_executor_turn(struct tg_executor *ex, uint64_t now_ns, uint64_t *wake_ns);

/** True if batches are on the device whose end will not ring (the host must keep calling turn). */
bool tg_executor_busy(const struct tg_executor *ex);

/** Thread host: start and stop (idempotent; gives what is on the device a second to finish). */
int tg_executor_start(struct tg_executor *ex);
void tg_executor_stop(struct tg_executor *ex);

void tg_executor_stats(const struct tg_executor *ex, struct tg_executor_stats *stats);

/** Is the device lost, and not open again yet? Turns and threads: a process ends with its device. Thread: any. */
bool tg_executor_lost(const struct tg_executor *ex);

struct tg_executor_info {
    const char *backend;
    char device[64];
    char gpu[96]; /* UUID of its GPU, empty: it has none */
    uint32_t threads;
};
void tg_executor_describe(const struct tg_executor *ex, struct tg_executor_info *info);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of telemetry share. Everything but the atomics belongs to the sampler's thread, or never changes. */
#ifndef TG_TELEMETRY_SAMPLER_H
#define TG_TELEMETRY_SAMPLER_H

#include <pthread.h>
#include "read.h"
#include "telemetry.h"

#define TELEMETRY_GPUS_MAX 16 /* of one host; more are not sampled */
#define TELEMETRY_XIDS_MAX 16 /* different ones of one GPU that are counted by number */
#define TELEMETRY_ABSENT UINT64_MAX

/* Errors that the driver reported about a GPU, by their XID. */
struct gpu_xid {
    uint64_t number;
    _Atomic uint64_t count; /* relaxed: a number by itself */
};

struct gpu {
    char uuid[96], name[96], pci[32]; /* fixed once counted in gpu_count */
    _Atomic uint64_t values[READINGS]; /* as NVML gives them, or TELEMETRY_ABSENT; relaxed, each stands alone */
    _Atomic uint32_t lost;             /* relaxed, likewise */
    _Atomic uint32_t xid_kinds;        /* T3 pairs with T4: so many of xids[] have their number */
    struct gpu_xid xids[TELEMETRY_XIDS_MAX];
    _Atomic uint64_t xids_other;       /* relaxed; of further kinds */
    /* the thread's own */
    nvml_device handle;      /* NULL: not found when the library was opened last */
    bool refused[READINGS];  /* it has no such thing, and is not asked again */
    bool told[READINGS];     /* an error was logged */
};

struct telemetry {
    struct telemetry_options options;
    uint64_t started_ns;
    pthread_mutex_t lock; /* over the next three */
    pthread_cond_t news;
    bool ending, ended;
    uint32_t users; /* the owner and the thread: the last one frees */
    /* the thread writes, anybody reads */
    _Atomic uint32_t gpu_count;  /* T1 pairs with T2: so many of gpus[] are filled in */
    _Atomic uint64_t sampled_ns; /* T5 pairs with T6: the values are at least as new; 0: none yet */
    struct gpu gpus[TELEMETRY_GPUS_MAX];
    char driver[80]; /* fixed before the first GPU is counted */
    /* the thread's own */
    struct nvml nvml;
    nvml_events events; /* NULL: none can be had */
    int failure;        /* what was logged last about opening it, so that it is said once */
    bool open;
    /* the watcher's own */
    bool told_stale;
};

/* gpu.c; thread: the sampler's */
/** Find the GPUs, the new ones and those that have come back. Returns what NVML says. */
int gpus_find(struct telemetry *t);
/** Read every value of every GPU. Returns false if there was none to be had from some GPU. */
bool gpus_sample(struct telemetry *t);
/** What becomes part of a label has no use for quotes and control characters. */
void telemetry_make_plain(char *text);
/** An event came. */
void gpus_note_event(struct telemetry *t, const struct nvml_event *e);

#endif

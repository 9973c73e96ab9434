/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The devices beside the cpu: an executor each, in a process of its own with a keeper, or in a thread. What their keepers
 * tell becomes here what clients see: who gets tasks, readiness, and how many tasks at once are offered.
 */
#ifndef TG_DEVICE_H
#define TG_DEVICE_H

#include <pthread.h>
#include "gateway/task/ready.h"
#include "gpu/keeper.h"

struct gateway;
struct metrics_text;

#define DEVICE_SPEC_BYTES 384

/* Why a device may not serve. */
#define DEVICE_REASONS                                                                                         \
    ((uint32_t)(READY_DEVICE_RESTARTING | READY_DEVICE_WITHDRAWN | READY_DEVICE_LOST | READY_KEEPER_LOST |      \
                READY_NO_DRIVER | READY_DRIVER_TOO_OLD | READY_NO_DEVICE))

struct device {
    struct gateway *gateway;
    /* fixed once started */
    uint32_t number; /* of its executor: its place in the list and one */
    char name[24];   /* "cuda0", for log and metrics */
    const char *backend;
    char spec[DEVICE_SPEC_BYTES];
    char visible[96]; /* CUDA_VISIBLE_DEVICES of its process; empty: as it is */
    char bus[16];     /* where its GPU sits, as far as known: 0000:18:00.0 */
    struct tg_doorbell *doorbell;
    struct tg_pace *pace;
    struct tg_keeper *keeper;     /* in a process of its own */
    struct tg_executor *executor; /* or in a thread */
    /* the listener's */
    uint32_t retry_ms;
    _Atomic uint32_t reasons; /* READY_*; 0: it serves; anyone reads, relaxed */
};

struct devices {
    struct device list[TG_DEVICES_MAX];
    uint32_t count;
    bool process;    /* processes or threads */
    uint32_t missing;    /* why no GPU could be had at the start, READY_* bits; fixed then */
    bool none_left_told; /* the log has said which runners have no device left */
    pthread_t listener;
    bool listening;
    _Atomic uint32_t leaving, gave_up;
    _Atomic uint32_t up; /* so many are not withdrawn; from the listener to the control thread, relaxed */
};

/** One more, or NULL if there are TG_DEVICES_MAX. Its process is shown the GPU @visible alone, unless that is empty. */
struct device *device_add(struct gateway *g, const char *backend, const char *spec, const char *visible);

/** What they share with workers, once lanes are laid out. Returns 0 or -ENOMEM. */
int devices_make_room(struct gateway *g);
/**
 * Open all of them, processes first and at once, before any thread starts. Returns 0 if at least one serves, or the cpu
 * may stand in; else negative errno after having logged why.
 */
int devices_start(struct gateway *g);
/** From now on their news count. */
int devices_listen(struct gateway *g);
/** End processes and threads. */
void devices_stop(struct gateway *g);

/** Why it does not serve, READY_* bits; 0: it does. Thread: any. */
uint32_t device_reasons(const struct device *d);
/** Why the cpu serves where a GPU was welcome, READY_* bits; 0 also where nobody misses one: no driver, none
 * on the bus. */
uint32_t devices_missing(const struct gateway *g);
#define DEVICE_MISSING "cuda" /* its name beside those of devices */
void device_describe(const struct device *d, struct tg_executor_info *info);
void device_stats(const struct device *d, struct tg_executor_stats *stats);
struct tg_keeper_counts device_counts(const struct device *d);

/** How many tasks at once are to be offered, of so many with all devices: a share each. Thread: control. */
uint32_t devices_share(const struct gateway *g, uint32_t all);

/* device_metrics.c */
/** Over all executors, and over all devices' keepers. */
void executors_stats(const struct gateway *g, struct tg_executor_stats *sum);
void devices_counts(const struct gateway *g, struct tg_keeper_counts *sum);
/** Prometheus text, device by device. */
void devices_export(const struct gateway *g, struct metrics_text *t);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway as a whole: what workers and executors share, and how it is put together and taken apart.
 * Only this file's implementation and worker.c wire modules to one another.
 */
#ifndef TG_GATEWAY_H
#define TG_GATEWAY_H

#include "gateway/control/config.h"
#include "gateway/control/control.h"
#include "gateway/net/peers.h"
#include "gateway/devices/device.h"
#include "gateway/membership/membership.h"
#include "topology.h"
#include "usage.h"
#include "worker.h"

/* What may change while serving. Replaced as a whole; old snapshots live until the end. */
struct settings {
    struct http_settings http;
    struct iicp_settings iicp;
    uint64_t spin_ns;
    uint32_t power; /* CONFIG_POWER_* */
    bool metrics_enabled;
    struct settings *older;
};

/* When each worker was last seen to move: the control thread's own. */
struct gateway_watch {
    uint64_t turns[ADMISSION_WORKERS_MAX], moved_ns[ADMISSION_WORKERS_MAX];
};

enum gateway_order { ORDER_SERVE, ORDER_DRAIN, ORDER_STOP };

struct gateway {
    struct config config;
    struct config first; /* as started with, once `reloaded`: the control thread's parts borrow texts of it for good */
    bool reloaded;
    bool misconfigured; /* why it did not start */
    struct tg_host host;
    struct iicp_node node;
    struct topology *topology; /* machine and plan */
    /* shared by workers and executors */
    struct tg_arena shared; /* lanes and doorbells */
    struct tg_arena tables; /* windows and rates */
    struct tg_instance **instances;
    uint32_t instance_count;
    struct tg_lane **lanes; /* by executor, then by worker */
    uint32_t lane_count;
    struct spread_load *loads; /* by worker: what it has at the devices */
    struct admission admission;
    struct tls_store *tls; /* NULL: nobody listens for TLS */
    struct window nonces, ids;
    struct rate origins;
    struct iicp_shared iicp_shared; /* keys, backend: from control to workers */
    struct peers peers;
    struct address_prefix proxy_trusted[CONFIG_LISTEN_MAX]; /* fixed after start */
    uint32_t proxy_trusted_count;
    struct listen_file socket_files[CONFIG_LISTEN_MAX]; /* to be removed at the end */
    _Atomic(struct settings *) settings;
    _Atomic uint32_t order; /* enum gateway_order */
    /* threads */
    struct worker *workers;
    uint32_t worker_count;
    struct tg_executor **executors; /* the cpu's: one, or one per worker when they run inline; or none */
    uint32_t executor_count;
    bool inline_executors;
    struct devices devices; /* beside the cpu, each with an executor */
    struct metrics **metrics; /* by worker */
    uint64_t started_ns;
    char device[80];
    /* the control thread's */
    struct control *control; /* the loop; it is its owner's, and outlives the workers; NULL while only checking */
    struct membership membership;
    struct gateway_watch watch;
    struct usage *usage; /* NULL: not started */
};

/** Does what is configured of devices make sense, whatever this machine has? Returns 0, or -EINVAL having
 * logged why. */
int gpu_check(const struct gateway *g);
/**
 * After gpu_check(). Which devices are there beside the cpu, and which instances do they serve? Says in the
 * log why none. Returns 0, or negative errno if the configuration insists on what cannot be had; -EINVAL: it
 * names one GPU twice.
 */
int gpu_choose(struct gateway *g);
/** The same for a machine that is only described: all of its GPUs. */
void gpu_describe(struct gateway *g, const struct machine *m);
/** No device could be opened: may the cpu stand in for all of them? */
bool gpu_may_do_without(const struct gateway *g);

/**
 * Build everything and start serving. Takes over @config. Returns 0, or negative errno after having logged why;
 * g->misconfigured then says whether gateway_check() would have found it.
 */
int gateway_start(struct gateway *g, struct config *config, struct control *control);

/** Judge what is configured as a start does, and build nothing that stays: --check-config. Takes over @config. Returns as
 * gateway_start(). */
int gateway_check(struct gateway *g, struct config *config);

/**
 * What a directory would be told, without serving: `taskgate register`. Takes over @config; @out borrows from @g. To be
 * ended with gateway_stop() in every case. Returns as gateway_start(); -EBUSY if the node serves and registers by itself.
 */
int gateway_describe(struct gateway *g, struct config *config, struct directory_options *out);

/**
 * Everything up to the plan of who sits where, for this host or the one described (topology.h). Takes over @config.
 * Returns 0, or negative errno having said why; gateway_stop() in either case.
 */
int gateway_plan(struct gateway *g, struct config *config, const char *machine);
/** The same for this host, with every GPU on its bus: whether a driver can use them is not asked. */
int gateway_plan_by_bus(struct gateway *g, struct config *config);

/** Health says unavailable from now on; everything is still served (balancers get time to notice). */
void gateway_say_not_ready(struct gateway *g);
/** From now on: accept no connection, answer new tasks with 503, close what is idle. Returns at once. */
void gateway_refuse_work(struct gateway *g);
/** Has every connection been answered and closed? */
bool gateway_drained(const struct gateway *g);

/** Has a part of it given up, so that the process should end with a status that says so? */
bool gateway_gave_up(const struct gateway *g);

/** End and join the workers, then the devices: from here on nobody sends mail to the control thread, or wakes it. */
void gateway_join(struct gateway *g);
/** End all threads and give everything back. */
void gateway_stop(struct gateway *g);

/** Take over what of @next can be changed while serving, say what cannot. */
void gateway_reload(struct gateway *g, struct config *next);

/** Become process.user, if that is set. Also for processes forked before the gateway itself does. */
int gateway_drop_privileges(const char *user);

/* ready.c */
extern const struct task_reply live_reply, ready_reply;
void ready_export(const struct gateway *g, struct metrics_text *t);

/* layout.c: how many threads, where the lanes are */
void layout_choose(struct gateway *g);
int layout_lanes(struct gateway *g);
/* what lanes take, once layout_choose() has chosen */
size_t layout_lane_bytes(struct gateway *g);
/* Executors' numbers are below this; the cpu's, 0, counts whether it is needed or not. */
uint32_t layout_executors(const struct gateway *g);
/* Does the cpu's executor serve anything, or stand in for devices? */
bool layout_cpu_needed(const struct gateway *g);
/* The lanes of one executor: those of worker w are per_worker from w * per_worker on, in the order of their bits. */
struct layout_lanes {
    struct tg_lane **first;
    uint32_t per_worker;
};
struct layout_lanes layout_lanes_of(const struct gateway *g, uint32_t number);
/* of the cpu device, beside an executor in a thread of its own */
uint32_t layout_compute_threads(const struct gateway *g);

/* certificates.c: what there is to say is in the log */
/** Prepare TLS if anything listens for it. Returns 0 or negative errno. */
int certificates_open(struct gateway *g);
/** Read the files again, as configured now. */
void certificates_reload(struct gateway *g);
/** Have the files changed? To be called every few seconds. */
void certificates_look(struct gateway *g);

/* devices/executors.c */
/** A doorbell in the memory that threads and processes share; NULL if that is full. */
struct tg_doorbell *executors_doorbell(struct gateway *g, uint32_t lines, int event_fd);
/** Open the devices, once workers have their doorbells and before any thread starts. Returns 0, or negative errno after
 * having logged why. */
int executors_create(struct gateway *g);
/** What the options of all executors have in common. @workers is filled in, and pointed to. */
struct tg_executor_options executors_options(const struct gateway *g, uint32_t number,
                                             struct tg_doorbell *workers[static ADMISSION_WORKERS_MAX]);

/* listeners.c */
/** Give every worker its listening sockets. Returns 0, or negative errno after having logged why. */
int listeners_open(struct gateway *g);
/** Is each address one that can be listened on as configured? 0, or -EINVAL after having logged which is not. */
int listeners_check(const struct gateway *g);
/** Remove the files of Unix sockets. */
void listeners_remove_files(struct gateway *g);

/* parts.c */
/** Add what the control thread does for this node to its loop. What cannot be done is logged and left out. */
void parts_add(struct gateway *g);

/* routes.c */
extern const struct http_route gateway_routes[];

#endif

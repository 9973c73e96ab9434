/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device's executor in a process of its own, and the process that keeps it: a small one without threads, forked before
 * the gateway starts any. It forks the executor, waits for it, kills it when it hangs, and forks the next one when it
 * dies. It can do so at any time because it never loads a device itself.
 *
 *   gateway ---- link (news, the end of the gateway) ---- keeper ---- fork, wait, kill ---- executor
 *      \____________________ lanes, doorbells, struct tg_executor_life, in one shared mapping ____/
 *
 * Thread: start and stop belong to the thread that starts the gateway, wait to one other; the rest to anyone.
 */
#ifndef TG_KEEPER_H
#define TG_KEEPER_H

#include "tg/gpu.h"

enum tg_keeper_state {
    TG_KEEPER_STARTING,   /* the first executor opens its device */
    TG_KEEPER_UP,
    TG_KEEPER_RESTARTING, /* one has died, the next one comes */
    TG_KEEPER_WITHDRAWN,  /* too many have died, or the first could not start: nobody runs until the next try */
};

struct tg_keeper_options {
    struct tg_executor_options executor; /* without life; its arrays stay as they are until the keeper is stopped */
    /** First thing in the keeper: give up what it has no need of. Negative errno ends it. NULL: nothing. */
    int (*enter)(void *context);
    void *context;
    uint32_t hang_ms;          /* a batch may run so long, and an executor be silent */
    uint32_t start_ms;         /* and take so long to open its device */
    uint32_t deaths_max;       /* so many deaths within deaths_window_ms withdraw the device; 0: never */
    uint32_t deaths_window_ms;
    uint32_t retry_ms;         /* then it is tried again; twice as long after each failure, 32 times at most */
};

/* What the keeper tells about its executor. */
struct tg_keeper_news {
    enum tg_keeper_state state;
    uint32_t retry_ms;     /* withdrawn: until the next try */
    char reason[32];       /* of a device that cannot be opened, one word as backends name it; or empty */
    char text[160];        /* what happened, for people */
};

struct tg_keeper_counts {
    uint64_t deaths, hangs, restarts, withdrawals; /* hangs are deaths, too */
};

struct tg_keeper;

/**
 * Fork the keeper; it forks the first executor, and the first news say whether that is up. Returns 0 or negative errno.
 * The calling process must not have other threads yet.
 * @shared  an arena that forked processes share, not sealed yet: tg_keeper_bytes() of it are used
 */
int tg_keeper_start(const struct tg_keeper_options *o, struct tg_arena *shared, struct tg_keeper **keeper);
size_t tg_keeper_bytes(void);

/** Wait for news. Returns 0, or -EPIPE once keeper and executor are gone. Of several, poll() the descriptors
 * first. */
int tg_keeper_wait(struct tg_keeper *k, struct tg_keeper_news *news);
/**
 * After -EPIPE: answer what is in its lanes with TG_DEVICE, since nobody else will; and again every so often,
 * for what was on its way in. @o: the executor's, as this process has them. Thread: who waits.
 */
void tg_keeper_refuse(struct tg_keeper *k, const struct tg_executor_options *o);
int tg_keeper_fd(const struct tg_keeper *k);

/** Let the executor finish what it has (for a second) and end it and the keeper; tg_keeper_wait() then returns. Of
 * several, tell all first. */
void tg_keeper_tell_to_stop(struct tg_keeper *k);
void tg_keeper_stop(struct tg_keeper *k);
/** After nobody waits any more. NULL is fine. */
void tg_keeper_destroy(struct tg_keeper *k);

void tg_keeper_counts(const struct tg_keeper *k, struct tg_keeper_counts *counts);
/** Over all executors so far; a batch during which one died may be missing. */
void tg_keeper_stats(const struct tg_keeper *k, struct tg_executor_stats *stats);
void tg_keeper_describe(const struct tg_keeper *k, struct tg_executor_info *info);

#endif

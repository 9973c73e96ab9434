/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's end of a keeper: starting it, hearing from it, ending it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "keeper_shared.h"

#define STOP_WAIT_MS 5000 /* more than the keeper and its executor take, unless the kernel holds them */

struct tg_keeper {
    struct keeper_shared *shared;
    const char *backend;
    pid_t pid;
    int link;
};

size_t tg_keeper_bytes(void)
{
    return sizeof(struct keeper_shared) + TG_CACHE_SEPARATION;
}

/* ---- starting ------------------------------------------------------------------------------------------ */

/* The order matters: becoming another user takes the death signal away. */
static _Noreturn void keeper_main(const struct tg_keeper_options *o, struct keeper_shared *shared, int link,
                                  pid_t gateway)
{
    prctl(PR_SET_NAME, "keeper");
    if (o->enter && o->enter(o->context) < 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != gateway) /* it has died meanwhile */
        _exit(1);
    keeper_run(o, shared, link);
    _exit(0);
}

static int fork_keeper(struct tg_keeper *k, const struct tg_keeper_options *o)
{
    int ends[2];
    pid_t gateway = getpid();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    k->pid = fork();
    if (k->pid == 0) {
        close(ends[0]);
        keeper_main(o, k->shared, ends[1], gateway);
    }
    int rc = k->pid < 0 ? -errno : 0;
    close(ends[1]);
    k->link = ends[0];
    return rc;
}

int tg_keeper_start(const struct tg_keeper_options *o, struct tg_arena *shared, struct tg_keeper **keeper)
{
    struct tg_keeper *k = calloc(1, sizeof(*k));
    if (!k)
        return -ENOMEM;
    k->link = -1;
    k->backend = o->executor.backend;
    k->shared = tg_arena_alloc(shared, sizeof(*k->shared), TG_CACHE_SEPARATION);
    int rc = k->shared ? fork_keeper(k, o) : -ENOMEM;
    if (rc == 0)
        *keeper = k;
    else
        tg_keeper_destroy(k);
    return rc;
}

/* ---- hearing from it ----------------------------------------------------------------------------------- */

int tg_keeper_fd(const struct tg_keeper *k)
{
    return k->link;
}

int tg_keeper_wait(struct tg_keeper *k, struct tg_keeper_news *news)
{
    ssize_t n;
    while ((n = recv(k->link, news, sizeof(*news), 0)) < 0 && errno == EINTR)
        continue;
    return n == (ssize_t)sizeof(*news) ? 0 : -EPIPE;
}

void tg_keeper_refuse(struct tg_keeper *k, const struct tg_executor_options *o)
{
    keeper_refuse_rows(o, k->shared);
}

void tg_keeper_counts(const struct tg_keeper *k, struct tg_keeper_counts *counts)
{
    *counts = (struct tg_keeper_counts){
        .deaths = atomic_load_explicit(&k->shared->deaths, memory_order_relaxed),
        .hangs = atomic_load_explicit(&k->shared->hangs, memory_order_relaxed),
        .restarts = atomic_load_explicit(&k->shared->restarts, memory_order_relaxed),
        .withdrawals = atomic_load_explicit(&k->shared->withdrawals, memory_order_relaxed),
    };
}

void tg_keeper_stats(const struct tg_keeper *k, struct tg_executor_stats *stats)
{
    executor_stats_read(&k->shared->life.stats, stats);
}

void tg_keeper_describe(const struct tg_keeper *k, struct tg_executor_info *info)
{
    const struct tg_device_info *device = &k->shared->life.info;
    *info = (struct tg_executor_info){.backend = k->backend, .threads = device->threads};
    memcpy(info->device, device->name, sizeof(info->device));
    memcpy(info->gpu, device->gpu, sizeof(info->gpu));
}

/* ---- ending it ----------------------------------------------------------------------------------------- */

static bool ends_within(pid_t pid, int ms)
{
    int fd = pidfd_open(pid, 0);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    bool ended = fd >= 0 && poll(&p, 1, ms) == 1;
    if (fd >= 0)
        close(fd);
    return ended;
}

void tg_keeper_tell_to_stop(struct tg_keeper *k)
{
    shutdown(k->link, SHUT_WR); /* the keeper sees the end of the link; ours stays open for who waits */
}

void tg_keeper_stop(struct tg_keeper *k)
{
    if (k->pid <= 0)
        return;
    tg_keeper_tell_to_stop(k);
    if (!ends_within(k->pid, STOP_WAIT_MS))
        kill(k->pid, SIGKILL); /* and the executor with it, by its death signal */
    waitpid(k->pid, NULL, 0);
    shutdown(k->link, SHUT_RDWR); /* nobody waits for an executor that the kernel holds */
    k->pid = 0;
}

void tg_keeper_destroy(struct tg_keeper *k)
{
    if (!k)
        return;
    if (k->link >= 0)
        close(k->link);
    free(k);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a GPU serves, and whom. The others are served by the cpu beside it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "gateway/base/log.h"
#include "gateway.h"
#include "gpu/backend.h"
#include "gpu/runner.h"

static bool insists(const struct gateway *g)
{
    return g->config.executor_device == CONFIG_DEVICE_CUDA;
}

static bool allowed(const struct gateway *g)
{
    return insists(g) || g->config.executor_device == CONFIG_DEVICE_AUTO;
}

/* An instance that nobody placed goes where it can; larger batches are what a GPU is for. */
static void place(struct tg_instance *in)
{
    const struct tg_runner_cuda *part = tg_runner_cuda_part(in->runner);
    in->on_gpu = part && in->placement != TG_PLACE_CPU;
    if (in->on_gpu && in->max_batch == in->shape.max_batch)
        in->max_batch = TG_MAX(in->max_batch, part->batch_rows);
}

/* Placed on a GPU by name, or by what it is. */
static bool needs_gpu(const struct tg_instance *in)
{
    return in->placement == TG_PLACE_CUDA || !in->runner->run_batch;
}

/* Any that needs a GPU; NULL if none does. */
static const struct tg_instance *find_placed(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++)
        if (needs_gpu(g->instances[i]))
            return g->instances[i];
    return NULL;
}

/* A GPU is refused by name only if somebody asked for it by name. */
static int without_gpu(const struct gateway *g, int rc, const char *why)
{
    const struct tg_instance *placed = find_placed(g);
    if (insists(g))
        log_error("executor.device = \"cuda\": %s", why);
    else if (placed && placed->placement == TG_PLACE_CUDA)
        log_error("runner.%s.device = \"cuda\": %s", placed->name, why);
    else if (placed)
        log_error("runner.%s: a %s runner computes on a GPU only: %s", placed->name, placed->runner->type, why);
    else
        log_info("no GPU: %s", why);
    return insists(g) || placed ? rc : 0;
}

/* What was placed on a GPU must be able to run there. */
static int check_placed(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->instance_count; i++) {
        const struct tg_instance *in = g->instances[i];
        if (in->placement == TG_PLACE_CUDA && !tg_runner_cuda_part(in->runner)) {
            log_error("runner.%s.device = \"cuda\": a %s runner has no part for a GPU", in->name, in->runner->type);
            return -ENOTSUP;
        }
    }
    return 0;
}

/* ---- the look at the machine ----------------------------------------------------------------------------------- */

#define PROBE_MS 30000 /* a driver that takes longer to say what there is will not serve either */

struct probe {
    int rc;
    struct tg_error why;
};

static void probe_and_tell(int fd)
{
    struct probe p = {0};
    p.rc = tg_backend_find("cuda")->probe(&p.why);
    ssize_t n = write(fd, &p, sizeof(p));
    _exit(n == (ssize_t)sizeof(p) ? 0 : 1);
}

static void listen_to_probe(int fd, struct probe *p)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, PROBE_MS) == 1 && read(fd, p, sizeof(*p)) == (ssize_t)sizeof(*p))
        return;
    p->rc = -EIO;
    tg_error_set(&p->why, "no_driver", "the driver died or did not answer when it was asked for GPUs");
}

/* By a process of its own: who has asked the driver once cannot leave it to another process any more. */
static struct probe probe_apart(void)
{
    struct probe p = {.rc = -EIO};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        tg_error_set(&p.why, "", "%s", strerror(errno));
        return p;
    }
    pid_t pid = fork();
    if (pid == 0)
        probe_and_tell(ends[1]);
    close(ends[1]);
    if (pid < 0)
        tg_error_set(&p.why, "", "%s", strerror(errno));
    else
        listen_to_probe(ends[0], &p);
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return p;
}

bool gpu_in_process(const struct gateway *g)
{
    uint32_t mode = g->config.executor_mode;
    return g->gpu && (mode == CONFIG_EXECUTOR_AUTO || mode == CONFIG_EXECUTOR_PROCESS);
}

int gpu_choose(struct gateway *g)
{
    if (!allowed(g))
        return find_placed(g) ? without_gpu(g, -EINVAL, "executor.device leaves no GPU to it") : 0;
    int rc = check_placed(g);
    if (rc < 0)
        return rc;
    struct probe p = probe_apart();
    if (p.rc < 0)
        return without_gpu(g, p.rc, p.why.message);
    for (uint32_t i = 0; i < g->instance_count; i++) {
        place(g->instances[i]);
        g->gpu |= g->instances[i]->on_gpu;
    }
    return 0;
}

bool gpu_give_up(struct gateway *g)
{
    if (insists(g) || find_placed(g))
        return false;
    log_warn("the cpu serves what the GPU was to serve");
    for (uint32_t i = 0; i < g->instance_count; i++)
        g->instances[i]->on_gpu = false;
    g->gpu = false;
    return true;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The look at the machine's GPUs. */
#include "gpu_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "gateway/base/thread.h"

#define PROBE_MS 30000    /* a driver that takes longer to say what there is will not serve either */
#define PROBE_LOOK_MS 250 /* who wants the gateway to end meanwhile is not kept waiting */

static void probe_and_tell(const char *visible, int fd)
{
    struct gpu_probe p = {0};
    const struct tg_backend *cuda = tg_backend_find("cuda");
    if (visible && setenv("CUDA_VISIBLE_DEVICES", visible, 1) < 0)
        _exit(1);
    p.rc = cuda->probe(&p.why);
    if (p.rc == 0)
        p.count = cuda->list(p.seen, TG_ARRAY_SIZE(p.seen));
    ssize_t n = write(fd, &p, sizeof(p));
    _exit(n == (ssize_t)sizeof(p) ? 0 : 1);
}

static void listen_to_probe(int fd, struct gpu_probe *p)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int rc = 0;
    for (int ms = 0; rc == 0 && ms < PROBE_MS && !thread_told_to_end(); ms += PROBE_LOOK_MS)
        rc = poll(&wait, 1, PROBE_LOOK_MS);
    if (rc == 1 && read(fd, p, sizeof(*p)) == (ssize_t)sizeof(*p))
        return;
    p->rc = -EIO;
    tg_error_set(&p->why, "device_lost", "%s",
                 thread_told_to_end() ? "the driver has not answered yet, and the gateway is to end"
                                      : "the driver died or did not answer when it was asked for GPUs");
}

struct gpu_probe gpu_probe_apart(const char *visible)
{
    struct gpu_probe p = {.rc = -EIO};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        tg_error_set(&p.why, "", "%s", strerror(errno));
        return p;
    }
    pid_t pid = fork();
    if (pid == 0)
        probe_and_tell(visible, ends[1]);
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

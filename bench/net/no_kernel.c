/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request costs taskgate outside the kernel: a shared object to preload into `taskgate serve` with the epoll
 * loop. It stands in for the system calls of the network: CONNS connections, each of which has PIPE requests ready
 * whenever it is looked at, TURN connections a turn, and takes every answer at once. After SECONDS it prints the
 * processor time per request of the best 2 %, 10 % and 50 % of short stretches, and ends the process. The least of them
 * repeats within 1 % on a machine whose neighbours make every other figure useless.
 *
 *   LD_PRELOAD=build/bench/no_kernel.so taskset -c 0 build/gateway/taskgate serve --server.listen=127.0.0.1:9490
 *       --server.workers=1 --server.io=epoll --executor.mode=inline
 */
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define FD_BASE 100000 /* descriptors from here on are made up */
#define CONNS_MAX 16384
#define STRETCH_TURNS 8
#define STRETCHES_MAX 200000
#define WARM_UP_STRETCHES 50

static struct {
    uint32_t conns, pipe, turn, accepted, next;
    double seconds;
    struct epoll_event listener, events[CONNS_MAX];
    char requests[65536];
    size_t request_bytes;
    uint64_t begin_ns, stretch_ns, turns, answer_bytes;
    double ns[STRETCHES_MAX]; /* per request */
    uint32_t stretches;
} state;

static uint32_t setting(const char *name, uint32_t otherwise, uint32_t max)
{
    const char *text = getenv(name);
    uint32_t value = text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
    return value < 1 ? 1 : value > max ? max : value;
}

static void append_request(uint32_t n)
{
    char body[256];
    int len = snprintf(body, sizeof(body),
                       "{\"task_id\":\"00000000-0000-4000-8000-%012u\",\"intent\":\"urn:iicp:intent:x.taskgate:echo:v1\","
                       "\"payload\":{\"text\":\"ping 01234 5678\"},"
                       "\"constraints\":{\"timeout_ms\":30000,\"qos\":\"interactive\"}}",
                       n);
    size_t room = sizeof(state.requests) - state.request_bytes;
    state.request_bytes += (size_t)snprintf(state.requests + state.request_bytes, room,
                                            "POST /v1/task HTTP/1.1\r\nHost: 127.0.0.1:9490\r\n"
                                            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                                            len, body);
}

__attribute__((constructor)) static void prepare(void)
{
    state.conns = setting("CONNS", 16, CONNS_MAX);
    state.pipe = setting("PIPE", 16, 128);
    state.turn = setting("TURN", 16, 256);
    state.seconds = setting("SECONDS", 2, 60);
    for (uint32_t i = 0; i < state.pipe; i++)
        append_request(i);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(void)
{
    uint32_t n = state.stretches;
    qsort(state.ns, n, sizeof(state.ns[0]), by_value);
    fprintf(stderr, "ns/request: %.1f (best 2 %%) %.1f (10 %%) %.1f (median); %.0f bytes an answer\n", state.ns[n / 50],
            state.ns[n / 10], state.ns[n / 2],
            (double)state.answer_bytes / (double)(state.turns * state.turn * state.pipe));
    _exit(0);
}

static void note_turn(void)
{
    if (++state.turns % STRETCH_TURNS != 0)
        return;
    uint64_t now = clock_ns(CLOCK_THREAD_CPUTIME_ID), wall = clock_ns(CLOCK_MONOTONIC);
    double requests = (double)STRETCH_TURNS * state.turn * state.pipe;
    if (state.turns > WARM_UP_STRETCHES * STRETCH_TURNS)
        state.ns[state.stretches++] = (double)(now - state.stretch_ns) / requests;
    if (state.begin_ns == 0)
        state.begin_ns = wall;
    if (state.stretches == STRETCHES_MAX || (double)(wall - state.begin_ns) > state.seconds * 1e9)
        report();
    state.stretch_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* ---- the system calls ---------------------------------------------------------------------------------- */

EXPORT int epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *event)
{
    int (*real)(int, int, int, struct epoll_event *) = dlsym(RTLD_NEXT, "epoll_ctl");
    if (fd < FD_BASE) {
        if (op == EPOLL_CTL_ADD && event->events & EPOLLEXCLUSIVE)
            state.listener = *event;
        return real(epoll_fd, op, fd, event);
    }
    if (event)
        state.events[fd - FD_BASE] = *event;
    return 0;
}

EXPORT int epoll_wait(int epoll_fd, struct epoll_event *events, int max, int timeout)
{
    int (*real)(int, struct epoll_event *, int, int) = dlsym(RTLD_NEXT, "epoll_wait");
    if (state.listener.events == 0)
        return real(epoll_fd, events, max, timeout);
    if (state.accepted < state.conns) {
        events[0] = (struct epoll_event){.events = EPOLLIN, .data = state.listener.data};
        return 1;
    }
    note_turn();
    for (uint32_t i = 0; i < state.turn; i++) {
        events[i] = (struct epoll_event){.events = EPOLLIN, .data = state.events[state.next].data};
        state.next = state.next + 1 == state.conns ? 0 : state.next + 1;
    }
    return (int)state.turn;
}

EXPORT int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    if (state.accepted < state.conns)
        return FD_BASE + (int)state.accepted++;
    errno = EAGAIN;
    return -1;
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    int (*real)(int, int, int, const void *, socklen_t) = dlsym(RTLD_NEXT, "setsockopt");
    return fd < FD_BASE ? real(fd, level, name, value, len) : 0;
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *len)
{
    const struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memcpy(address, &loopback, sizeof(loopback));
    *len = sizeof(loopback);
    return 0;
}

EXPORT ssize_t recv(int fd, void *buffer, size_t len, int flags)
{
    memcpy(buffer, state.requests, state.request_bytes);
    return (ssize_t)state.request_bytes;
}

EXPORT ssize_t send(int fd, const void *data, size_t len, int flags)
{
    state.answer_bytes += len;
    return (ssize_t)len;
}

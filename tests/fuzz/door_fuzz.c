/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the front door as a whole. A gateway serves in this process, on io_uring and on epoll, and gets the input
 * as a client's bytes over a Unix socket: HTTP, the envelope, the runners' decoding, a batch, the answer.
 *   byte 0   which loop (bit 0); whether the client goes without waiting for its answer (bit 1)
 *   byte 1   where the bytes are cut in two pieces, in 256ths; 0: one piece
 * Whatever comes, the gateway ends the connection, and what it has said until then is answers of HTTP with JSON in them.
 */
#include "gateway/gateway.h"
#include "tg/json.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 32768
#define OUTPUT_MAX (4u << 20)
#define PATIENCE_MS 60000
#define NODES 65536

enum { LOOP_URING, LOOP_EPOLL, LOOPS };

static const char *const loops[LOOPS] = {"io_uring", "epoll"};
static struct door {
    struct gateway gateway;
    struct control *control;
    struct sockaddr_un address;
} doors[LOOPS];
static char folder[] = "/tmp/taskgate-door-XXXXXX";
static char output[OUTPUT_MAX + 1];

static void fail(int line, const char *text)
{
    fprintf(stderr, "line %d: %s does not hold\nthe gateway said: %s\n", line, text, output);
    abort();
}

/* What else it had served before may matter, so a finding says where it was found. */
#define must(holds) ((holds) ? (void)0 : fail(__LINE__, #holds))

/* ---- two gateways ---------------------------------------------------------------------------------------------- */

static const char settings[] = "[server]\nlisten = [\"unix:%s/%s\"]\nio = \"%s\"\nworkers = 1\n"
                               "[executor]\nmode = \"inline\"\ndevice = \"cpu\"\npower = \"power-save\"\n"
                               "[limits]\nconnections = 64\nbody_bytes = 65536\n"
                               "[log]\nlevel = \"error\"\n[admission]\nwait_ms = 0\n[iicp]\ntask_rate_limit = 0\n[node]\nhealth_file = false\n"
                               "[runner.echo]\ntype = \"echo\"\n[runner.line]\ntype = \"saxpy\"\nn = 3\n"
                               "[runner.near]\ntype = \"knn\"\ndata = \"random:64x4\"\n";

static void on_signal(void *context, int sig)
{
    (void)context, (void)sig;
}

/* A kernel may refuse io_uring: then both are epoll's. */
static void write_settings(const char *path, const char *loop)
{
    FILE *f = fopen(path, "w");
    must(f && fprintf(f, settings, folder, loop, strcmp(loop, "epoll") == 0 ? loop : "auto") > 0 && fclose(f) == 0);
}

static void open_door(struct door *d, const char *loop)
{
    char flag[] = "--config", path[64], *flags[] = {flag, path};
    struct config config;
    struct config_report report;
    struct control_options o = {"fuzz", on_signal, NULL};
    snprintf(path, sizeof(path), "%s/taskgate.toml", folder);
    write_settings(path, loop);
    must(config_load(&config, TG_ARRAY_SIZE(flags), flags, NULL, &report) == 0);
    config_report_finish(&report);
    unlink(path);
    must(control_create(&o, &d->control) == 0 && gateway_start(&d->gateway, &config, d->control) == 0);
    d->address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(d->address.sun_path, sizeof(d->address.sun_path), "%.80s/%.16s", folder, loop);
}

static void close_doors(void)
{
    for (uint32_t i = 0; i < LOOPS; i++) {
        gateway_join(&doors[i].gateway);
        control_destroy(doors[i].control);
        gateway_stop(&doors[i].gateway);
    }
    rmdir(folder);
}

static void open_doors(void)
{
    signal(SIGPIPE, SIG_IGN);
    must(mkdtemp(folder) != NULL);
    for (uint32_t i = 0; i < LOOPS; i++)
        open_door(&doors[i], loops[i]);
    atexit(close_doors);
}

/* ---- a client -------------------------------------------------------------------------------------------------- */

static int dial(const struct door *d)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd >= 0 && connect(fd, (const struct sockaddr *)&d->address, sizeof(d->address)) == 0);
    return fd;
}

/* Else the gateway has forgotten this connection. The fuzzer's own alarm may come between. */
static bool there_is_more(int fd)
{
    struct pollfd p = {fd, POLLIN, 0};
    int rc;
    while ((rc = poll(&p, 1, PATIENCE_MS)) < 0 && errno == EINTR)
        ;
    return rc == 1;
}

static size_t hear(int fd)
{
    size_t len = 0;
    for (;;) {
        must(there_is_more(fd));
        ssize_t n = recv(fd, output + len, OUTPUT_MAX - len, 0);
        output[len + (size_t)TG_MAX(n, 0)] = '\0';
        if (n <= 0)
            return len;
        len += (size_t)n;
        must(len < OUTPUT_MAX);
    }
}

/* The gateway may have ended the connection already: what it answered before that still counts. */
static void say(int fd, const uint8_t *data, size_t size, size_t cut)
{
    if (cut > 0 && send(fd, data, cut, MSG_NOSIGNAL) == (ssize_t)cut)
        sched_yield();
    if (size > cut && send(fd, data + cut, size - cut, MSG_NOSIGNAL) < 0)
        return;
    shutdown(fd, SHUT_WR);
}

/* ---- what is heard --------------------------------------------------------------------------------------------- */

#define STATUS "HTTP/1.1 "

static const char *header(const char *head, const char *end, const char *name)
{
    const char *found = memmem(head, (size_t)(end - head), name, strlen(name));
    return found ? found + strlen(name) : NULL;
}

static void check_json(const char *text, size_t len)
{
    static struct tg_json_node nodes[NODES];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES};
    struct tg_json_error err;
    must(tg_json_parse(&doc, text, len, &err) == 0);
}

/* One answer, interim or final; returns what follows. An answer to HEAD has a length and no body. */
static const char *check_answer(const char *at, const char *end, bool *last)
{
    must((size_t)(end - at) > strlen(STATUS) + 3 && memcmp(at, STATUS, strlen(STATUS)) == 0);
    int status = atoi(at + strlen(STATUS));
    must(status == 100 || (status >= 200 && status <= 505));
    const char *body = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    must(body != NULL);
    body += 4;
    *last = header(at, body, "\r\nConnection: close\r\n") != NULL;
    const char *length = header(at, body, "\r\nContent-Length: ");
    must(length || status == 100 || status == 204);
    size_t len = length ? strtoull(length, NULL, 10) : 0;
    if (len == 0 || body == end || ((size_t)(end - body) >= strlen(STATUS) && memcmp(body, STATUS, strlen(STATUS)) == 0))
        return body;
    must((size_t)(end - body) >= len);
    if (header(at, body, "\r\nContent-Type: application/json\r\n") && !header(at, body, "\r\nContent-Encoding: "))
        check_json(body, len);
    return body + len;
}

static void check(size_t len)
{
    const char *at = output, *end = output + len;
    bool last = false;
    while (at < end) {
        must(!last);
        at = check_answer(at, end, &last);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!doors[0].control)
        open_doors();
    if (size < 2)
        return 0;
    size_t len = TG_MIN(size - 2, (size_t)INPUT_MAX);
    int fd = dial(&doors[data[0] & 1]);
    say(fd, data + 2, len, len * data[1] / 256);
    if (!(data[0] & 2))
        check(hear(fd));
    close(fd);
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what the workers listen on: addresses, Unix sockets, or sockets the service manager passed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "gateway/base/log.h"
#include "gateway.h"

#define NAME_BYTES 128
#define INHERITED_MAX (WORKER_LISTENERS_MAX - CONFIG_LISTEN_MAX) /* leaves room for server.tls_listen */

/* A host may be called "unix", but no port begins with a slash. */
static bool is_file(const char *address)
{
    return strncmp(address, LISTEN_UNIX "/", strlen(LISTEN_UNIX "/")) == 0;
}

static void log_listening(int fd, const char *scheme, const char *how)
{
    char name[NAME_BYTES];
    listen_name(fd, name, sizeof(name));
    log_info("listening on %s%s%s", is_file(name) ? "" : scheme, name, how);
}

/* One socket per worker. With port 0 the kernel picks one for the first, and the others share it. */
static int listen_address(struct gateway *g, const char *address, bool tls, char *error, size_t error_len)
{
    char bound[NAME_BYTES];
    int rc = listen_check_free(address, error, error_len);
    snprintf(bound, sizeof(bound), "%s", address);
    for (uint32_t i = 0; rc == 0 && i < g->worker_count; i++) {
        struct worker *w = &g->workers[i];
        int fd = listen_open(bound, (int)g->config.server_backlog, true, error, error_len);
        if (fd < 0)
            return fd;
        w->listener_tls[w->listener_count] = tls;
        w->listeners[w->listener_count++] = fd;
        if (i > 0)
            continue;
        listen_name(fd, bound, sizeof(bound));
        log_listening(fd, tls ? "https://" : "http://", "");
    }
    return rc;
}

/* One socket for all: each worker gets a descriptor of its own, which it closes by itself. Takes over @fd. */
static int share(struct gateway *g, int fd, char *error, size_t error_len)
{
    for (uint32_t i = 0; i < g->worker_count; i++) {
        struct worker *w = &g->workers[i];
        int own = i == 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (own < 0) {
            int rc = -errno;
            snprintf(error, error_len, "cannot share a listening socket: %s", strerror(-rc));
            return rc;
        }
        w->listeners[w->listener_count++] = own;
    }
    return 0;
}

static int listen_file(struct gateway *g, const char *path, uint32_t number, char *error, size_t error_len)
{
    int fd = listen_unix_open(path, (int)g->config.server_backlog, &g->socket_files[number], error, error_len);
    int rc = fd < 0 ? fd : share(g, fd, error, error_len);
    if (rc == 0)
        log_listening(fd, "", "");
    return rc;
}

/* They were opened by someone who knows better: server.listen does not count then. */
static int listen_inherited(struct gateway *g, const int *fds, int count, char *error, size_t error_len)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = share(g, fds[i], error, error_len);
        if (rc == 0)
            log_listening(fds[i], "http://", ", passed by the service manager; server.listen is not used");
    }
    return rc;
}

static int listen_configured(struct gateway *g, char *error, size_t error_len)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < g->config.server_listen.count; i++) {
        const char *address = g->config.server_listen.address[i];
        if (is_file(address))
            rc = listen_file(g, address + strlen(LISTEN_UNIX), i, error, error_len);
        else
            rc = listen_address(g, address, false, error, error_len);
    }
    return rc;
}

/* Whoever passes sockets passes plain ones, so these are opened in any case. */
static int listen_tls(struct gateway *g, char *error, size_t error_len)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < g->config.server_tls_listen.count; i++) {
        const char *address = g->config.server_tls_listen.address[i];
        rc = listen_address(g, address, true, error, error_len);
    }
    return rc;
}

int listeners_check(const struct gateway *g)
{
    for (uint32_t i = 0; i < g->config.server_tls_listen.count; i++)
        if (is_file(g->config.server_tls_listen.address[i])) {
            log_error("server.tls_listen: %s: a Unix socket needs no TLS", g->config.server_tls_listen.address[i]);
            return -EINVAL;
        }
    return 0;
}

int listeners_open(struct gateway *g)
{
    char error[256] = "";
    int fds[INHERITED_MAX];
    int rc = listen_inherit(fds, INHERITED_MAX, error, sizeof(error));
    if (rc > 0)
        rc = listen_inherited(g, fds, rc, error, sizeof(error));
    else if (rc == 0)
        rc = listen_configured(g, error, sizeof(error));
    if (rc == 0)
        rc = listen_tls(g, error, sizeof(error));
    if (rc < 0)
        log_error("%s", error[0] ? error : strerror(-rc));
    return rc;
}

void listeners_remove_files(struct gateway *g)
{
    for (uint32_t i = 0; i < CONFIG_LISTEN_MAX; i++)
        listen_unix_remove(&g->socket_files[i]);
}

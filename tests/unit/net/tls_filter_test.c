/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter on a real loop, with more connections waiting for their peers than there are buffers: a
 * situation that no small test from outside reaches, because the kernel buffers too much.
 */
#include "tls_files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include "gateway/base/clock.h"
#include "gateway/net/tls_conn.h"

#define CONNS 300 /* the 64 KiB class has 256 buffers */
#define ANSWER_BYTES 60000
#define TIMER_KIND 7

struct client {
    int fd;
    SSL *ssl;
    bool ready;
    size_t got;
};

static struct {
    struct net *net;
    struct net_conn conns[CONNS + 8];
    uint32_t accepted, received, sent, failed, closed;
    int listener, wake_fd, plain_fd;
    char last[64];
} user;

static struct client clients[CONNS];
static struct metrics metrics;
static struct timer_wheel wheel;
static struct tls_store *store;
static SSL_CTX *client_ctx;
static char answer[ANSWER_BYTES];

/* ---- the user ------------------------------------------------------------------------------------ */

static struct net_conn *on_accepted(void *owner, int fd)
{
    (void)owner;
    int small = 1; /* the kernel's least */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    struct net_conn *nc = &user.conns[user.accepted];
    *nc = (struct net_conn){.fd = fd, .index = user.accepted++};
    return nc;
}

static void on_received(void *owner, struct net_conn *nc, char *data, size_t len)
{
    (void)owner;
    user.received++;
    snprintf(user.last, sizeof(user.last), "%.*s", (int)len, data);
    if (data[0] == '?')
        user.net->ops->send(user.net, nc, answer, sizeof(answer));
}

static void on_eof(void *owner, struct net_conn *nc)
{
    (void)owner;
    user.net->ops->close(user.net, nc);
}

static void on_failed(void *owner, struct net_conn *nc, int error)
{
    (void)owner;
    (void)error;
    user.failed++;
    user.net->ops->close(user.net, nc);
}

static void on_sent(void *owner, struct net_conn *nc, int result)
{
    (void)owner;
    (void)nc;
    user.sent += result == 0;
}

static void on_closed(void *owner, struct net_conn *nc)
{
    (void)owner;
    cr_assert_eq(nc->fd, -1);
    user.closed++;
}

static struct net_conn *conn_at(void *owner, uint32_t index)
{
    (void)owner;
    return &user.conns[index];
}

static const struct net_handlers handlers = {on_accepted, on_received, on_eof, on_failed,
                                             on_sent,     on_closed,   conn_at};

/* ---- both ends ----------------------------------------------------------------------------------- */

static int listen_here(struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)at, len) == 0 && listen(fd, 1024) == 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)at, &len), 0);
    return fd;
}

static int connect_to(const struct sockaddr_in *at)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0), small = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    cr_assert_eq(connect(fd, (const struct sockaddr *)at, sizeof(*at)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void begin(const char *wanted)
{
    char certificate[64], key[64], text[TLS_ERROR_BYTES];
    tls_folder_make();
    tls_issue_ec("c");
    struct tls_settings s = {.certificate = tls_path(certificate, "c.pem"),
                             .key = tls_path(key, "c.key"),
                             .handshake_ns = 600 * NS_PER_S};
    cr_assert_eq(tls_store_open(&s, 1, &store, text), 0, "%s", text);
    tls_folder_remove();
    timer_wheel_init(&wheel, clock_now_ns());
    user.wake_fd = eventfd(0, EFD_CLOEXEC);
    struct tls_options o = {
        .wanted = wanted,
        .net = {&handlers, NULL, .wake_fd = user.wake_fd, .conns_max = CONNS + 8, .buffers = 64,
                .buffer_bytes = 16384},
        .context = tls_store_context(store, 0),
        .wheel = &wheel,
        .timer_kind = TIMER_KIND,
        .metrics = &metrics,
    };
    if (tls_create(&o, &user.net, text, sizeof(text)) < 0)
        cr_skip_test("%s is refused here", wanted);
    cr_assert_str_eq(user.net->ops->name, wanted);
    client_ctx = SSL_CTX_new(TLS_client_method());
    for (size_t i = 0; i < sizeof(answer); i++)
        answer[i] = (char)('a' + i % 23);
}

static void end(void)
{
    for (uint32_t i = 0; i < CONNS; i++) {
        SSL_free(clients[i].ssl);
        if (clients[i].fd > 0)
            close(clients[i].fd);
    }
    user.net->ops->destroy(user.net);
    SSL_CTX_free(client_ctx);
    tls_store_close(store);
    close(user.listener);
    close(user.wake_fd);
}

static void turn(void)
{
    user.net->ops->turn(user.net, NS_PER_MS);
}

static void connect_clients(uint32_t count)
{
    struct sockaddr_in at;
    user.listener = listen_here(&at);
    cr_assert_eq(tls_listen(user.net, user.listener), 0);
    for (uint32_t i = 0; i < count; i++) {
        clients[i].fd = connect_to(&at);
        clients[i].ssl = SSL_new(client_ctx);
        SSL_set_fd(clients[i].ssl, clients[i].fd);
    }
    for (uint32_t ready = 0; ready < count; turn()) {
        ready = 0;
        for (uint32_t i = 0; i < count; i++) {
            clients[i].ready = clients[i].ready || SSL_connect(clients[i].ssl) == 1;
            ready += clients[i].ready;
        }
    }
    while (atomic_load_explicit(&metrics.counters[METRIC_TLS_HANDSHAKES], memory_order_relaxed) < count)
        turn();
}

static void ask_all(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(SSL_write(clients[i].ssl, "?", 1), 1);
    while (user.received < count)
        turn();
    for (int i = 0; i < 20; i++)
        turn();
}

static void drink(struct client *c)
{
    char piece[16384];
    int n;
    while ((n = SSL_read(c->ssl, piece, sizeof(piece))) > 0) {
        cr_assert_eq(memcmp(piece, answer + c->got, (size_t)n), 0);
        c->got += (size_t)n;
    }
}

static void open_windows(void)
{
    int large = 1 << 20;
    for (uint32_t i = 0; i < CONNS; i++)
        setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVBUF, &large, sizeof(large));
    for (uint32_t i = 0; i < CONNS; i++)
        setsockopt(user.conns[i].fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof(large));
}

static uint32_t buffers_used(void)
{
    const struct tls *f = (struct tls *)user.net;
    uint32_t used = 0;
    for (uint32_t c = 0; c < f->buffers.class_count; c++)
        used += f->buffers.classes[c].used;
    return used;
}

/* ---- cases --------------------------------------------------------------------------------------- */

static void more_answers_than_buffers(const char *wanted)
{
    begin(wanted);
    connect_clients(CONNS);
    ask_all(CONNS);
    struct tls *f = (struct tls *)user.net;
    cr_assert_not_null(f->starved, "the buffers were to run out");
    cr_assert_eq(user.sent, 0);
    struct net_conn *gone = f->starved->outer; /* one that waits for a buffer goes away */
    user.net->ops->close(user.net, gone);
    open_windows();
    for (uint32_t done = 0; done < CONNS - 1; turn()) {
        done = 0;
        for (uint32_t i = 0; i < CONNS; i++) {
            if (clients[i].got < ANSWER_BYTES)
                drink(&clients[i]);
            done += clients[i].got == ANSWER_BYTES;
        }
    }
    while (user.sent < CONNS - 1)
        turn();
    cr_assert_null(f->starved);
    cr_assert_eq(buffers_used(), 0);
    cr_assert_eq(user.closed, 1);
    end();
}

Test(tls_filter, who_finds_no_buffer_is_served_later_on_epoll)
{
    more_answers_than_buffers("epoll");
}

Test(tls_filter, who_finds_no_buffer_is_served_later_on_io_uring)
{
    more_answers_than_buffers("io_uring");
}

static void cut_with_answers_under_way(const char *wanted)
{
    begin(wanted);
    connect_clients(CONNS);
    ask_all(CONNS);
    for (uint32_t i = 0; i < CONNS; i++)
        user.net->ops->close(user.net, &user.conns[i]);
    while (user.closed < CONNS)
        turn();
    cr_assert_eq(buffers_used(), 0);
    cr_assert_eq(user.sent + user.failed, 0, "after close() nothing but closed() follows");
    end();
}

Test(tls_filter, closing_everything_gives_all_buffers_back_on_epoll)
{
    cut_with_answers_under_way("epoll");
}

Test(tls_filter, closing_everything_gives_all_buffers_back_on_io_uring)
{
    cut_with_answers_under_way("io_uring");
}

static void destroyed_in_the_middle(const char *wanted)
{
    begin(wanted);
    connect_clients(40);
    ask_all(40);
    end(); /* what was left open must not leak: AddressSanitizer looks */
}

Test(tls_filter, a_loop_may_be_destroyed_with_connections_open)
{
    destroyed_in_the_middle("epoll");
}

static void plain_beside_tls(const char *wanted)
{
    struct sockaddr_in at;
    char back[ANSWER_BYTES];
    begin(wanted);
    connect_clients(3);
    int listener = listen_here(&at);
    cr_assert_eq(user.net->ops->listen(user.net, listener), 0);
    int fd = connect_to(&at);
    cr_assert_eq(write(fd, "?plain", 6), 6);
    while (user.received < 1)
        turn();
    cr_assert_str_eq(user.last, "?plain");
    size_t got = 0;
    while (got < sizeof(back)) {
        ssize_t n = read(fd, back + got, sizeof(back) - got);
        got += n > 0 ? (size_t)n : 0;
        turn();
    }
    cr_assert_eq(memcmp(back, answer, sizeof(back)), 0);
    while (user.sent < 1)
        turn();
    close(fd);
    while (user.closed < 1)
        turn();
    close(listener);
    end();
}

Test(tls_filter, a_plain_listener_passes_bytes_untouched_on_epoll)
{
    plain_beside_tls("epoll");
}

Test(tls_filter, a_plain_listener_passes_bytes_untouched_on_io_uring)
{
    plain_beside_tls("io_uring");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever waits to be let in, while the loop cannot or will not accept, must not keep the loop awake. */
#include "gateway/net/net.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "gateway/base/clock.h"

enum { CONNS = 4, TURNS = 200 };

static struct net_conn conns[CONNS];
static uint32_t accepted_count;
static struct sockaddr_in address;
static int listener;

static struct net_conn *accepted(void *owner, int fd)
{
    (void)owner;
    cr_assert_lt(accepted_count, CONNS);
    conns[accepted_count] = (struct net_conn){.fd = fd, .index = accepted_count};
    return &conns[accepted_count++];
}

static struct net_conn *conn_at(void *owner, uint32_t index)
{
    (void)owner;
    return &conns[index];
}

static void begin(const char *wanted, struct net **net)
{
    static const struct net_handlers handlers = {.accepted = accepted, .conn = conn_at}; /* clients say nothing */
    struct net_options o = {.handlers = &handlers, .wake_fd = eventfd(0, EFD_CLOEXEC), .conns_max = CONNS,
                            .buffers = 16, .buffer_bytes = 4096};
    char why[128];
    socklen_t len = sizeof(address);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    cr_assert(bind(listener, (struct sockaddr *)&address, len) == 0 && listen(listener, 16) == 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    if (net_create(wanted, &o, net, why, sizeof(why)) < 0)
        cr_skip_test("%s is refused here", wanted);
    cr_assert_eq((*net)->ops->listen(*net, listener), 0);
}

static void turn(struct net *net)
{
    net->ops->turn(net, NS_PER_MS);
}

/* A loop that somebody keeps awake has an event in every turn. */
static bool becomes_quiet(struct net *net)
{
    for (int i = 0; i < TURNS; i++)
        if (net->ops->turn(net, NS_PER_MS) == 0)
            return true;
    return false;
}

/* No new descriptor can be had; returns what was possible before. */
static struct rlimit no_more_descriptors(void)
{
    struct rlimit before, now;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(listener);
    close(next);
    now = (struct rlimit){(rlim_t)next, before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

static int connect_client(int fd)
{
    return connect(fd, (const struct sockaddr *)&address, sizeof(address));
}

static void without_descriptors(const char *loop)
{
    struct net *net;
    begin(loop, &net);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct rlimit before = no_more_descriptors(); /* io_uring looks at the limit when it begins to accept */
    cr_assert_eq(connect_client(client), 0);
    cr_expect(becomes_quiet(net), "who cannot be accepted keeps the loop awake");
    cr_expect_eq(accepted_count, 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (accepted_count == 0) /* the test's own time limit ends it */
        turn(net);
    net->ops->destroy(net);
}

Test(accept, without_descriptors_on_io_uring)
{
    without_descriptors("io_uring");
}

Test(accept, without_descriptors_on_epoll)
{
    without_descriptors("epoll");
}

/* A service manager holds the socket on, so that closing our descriptor ends nothing. */
static void after_the_last_one(const char *loop)
{
    struct net *net;
    begin(loop, &net);
    int theirs = dup(listener), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    turn(net);
    net->ops->accept_stop(net);
    close(listener);
    turn(net);
    cr_assert_eq(connect_client(client), 0);
    cr_expect(becomes_quiet(net), "who will not be accepted keeps the loop awake");
    cr_expect_eq(accepted_count, 0);
    net->ops->destroy(net);
    close(theirs);
}

Test(accept, after_the_last_one_on_io_uring)
{
    after_the_last_one("io_uring");
}

Test(accept, after_the_last_one_on_epoll)
{
    after_the_last_one("epoll");
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The gate with real sockets in front and a recorder behind: who is let in, counted, and what the recorder sees. */
#include "gateway/net/gate.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNS = 4 };

static struct {
    struct net_conn conns[CONNS];
    uint32_t taken;
    char text[4096];
    size_t len;
    int failed, closed, eofs;
} seen;

static struct tg_arena arena;
static struct peers peers;
static struct buffer_pool buffers;
static struct metrics metrics;
static struct address_prefix trusted;
static struct gate gate;
static struct net_options loop; /* what the network loop gets to see */

static struct net_conn *accepted(void *owner, int fd)
{
    cr_assert_eq(owner, &seen);
    if (seen.taken == CONNS)
        return NULL;
    seen.conns[seen.taken] = (struct net_conn){.fd = fd, .index = seen.taken};
    return &seen.conns[seen.taken++];
}

static void received(void *owner, struct net_conn *nc, char *data, size_t len)
{
    (void)owner, (void)nc;
    memcpy(seen.text + seen.len, data, len);
    seen.len += len;
}

static void eof(void *owner, struct net_conn *nc)
{
    (void)owner, (void)nc;
    seen.eofs++;
}

static void failed(void *owner, struct net_conn *nc, int error)
{
    (void)owner, (void)nc;
    cr_assert_lt(error, 0);
    seen.failed++;
}

static void closed(void *owner, struct net_conn *nc)
{
    (void)owner, (void)nc;
    seen.closed++;
}

static const struct net_handlers recorder = {
    .accepted = accepted, .received = received, .eof = eof, .failed = failed, .closed = closed};

static void make(uint32_t limit, const char *trust)
{
    cr_assert_eq(tg_arena_init(&arena, 16 << 20, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(peers_init(&peers, &arena, CONNS), 0);
    cr_assert_eq(buffer_pool_init(&buffers, &arena, 4096 - sizeof(struct buffer), 8192, 2), 0);
    atomic_store_explicit(&peers.limit, limit, memory_order_relaxed);
    gate = (struct gate){.peers = &peers, .metrics = &metrics, .buffers = &buffers};
    if (trust) {
        cr_assert_null(address_prefix_parse((struct tg_str){trust, strlen(trust)}, &trusted));
        gate.proxy = true;
        gate.trusted = &trusted;
        gate.trusted_count = 1;
    }
    cr_assert_eq(gate_init(&gate, &arena, CONNS), 0);
    loop = (struct net_options){.handlers = &recorder, .owner = &seen};
    gate_attach(&gate, &loop);
}

/* A connection from 127.0.0.1; the client's end stays open. */
static int incoming(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_eq(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
    cr_assert_eq(listen(listener, 1), 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    cr_assert_eq(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
    int fd = accept(listener, NULL, NULL);
    cr_assert_geq(fd, 0);
    close(listener);
    return fd;
}

static struct net_conn *come(int fd)
{
    return loop.handlers->accepted(loop.owner, fd);
}

static void say(struct net_conn *nc, const char *text)
{
    char copy[4096];
    memcpy(copy, text, strlen(text));
    loop.handlers->received(loop.owner, nc, copy, strlen(text));
}

static void expect_text(const char *want)
{
    cr_assert_eq(seen.len, strlen(want), "%.*s", (int)seen.len, seen.text);
    cr_assert_eq(memcmp(seen.text, want, seen.len), 0);
    seen.len = 0;
}

static uint64_t counted(enum metric which)
{
    return atomic_load_explicit(&metrics.counters[which], memory_order_relaxed);
}

#define HEADER "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"

Test(gate, without_limits_everybody_comes_in)
{
    make(0, NULL);
    for (uint32_t i = 0; i < CONNS; i++) {
        struct net_conn *nc = come(incoming());
        cr_assert_eq(nc, &seen.conns[i]);
        say(nc, "hello");
        expect_text("hello");
        cr_assert_eq(gate.conns[i].peer, 0);
    }
    loop.handlers->eof(loop.owner, &seen.conns[0]);
    loop.handlers->closed(loop.owner, &seen.conns[0]);
    cr_assert(seen.eofs == 1 && seen.closed == 1);
}

Test(gate, a_peer_over_its_limit_is_turned_away_until_one_of_its_connections_closes)
{
    make(2, NULL);
    struct net_conn *a = come(incoming()), *b = come(incoming());
    cr_assert(a && b);
    cr_assert_null(come(incoming()));
    cr_assert_eq(counted(METRIC_PEER_REFUSED), 1);
    loop.handlers->closed(loop.owner, a);
    cr_assert_not_null(come(incoming()));
}

Test(gate, who_finds_no_slot_is_not_counted)
{
    make(CONNS, NULL);
    seen.taken = CONNS;
    cr_assert_null(come(incoming()));
    seen.taken = 0;
    for (int i = 0; i < CONNS; i++)
        cr_assert_not_null(come(incoming()));
    cr_assert_null(come(incoming()));
    cr_assert_eq(counted(METRIC_PEER_REFUSED), 1);
}

Test(gate, local_sockets_have_no_peer_to_count)
{
    int pair[2];
    make(1, "10.0.0.0/8");
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        struct net_conn *nc = come(pair[0]);
        cr_assert_not_null(nc);
        say(nc, "no header");
        expect_text("no header");
    }
}

Test(gate, takes_the_header_off_whatever_way_it_comes)
{
    static const char all[] = HEADER "GET /";
    for (size_t cut = 1; cut < sizeof(all) - 1; cut++) {
        char first[64] = {0};
        make(0, "127.0.0.0/8");
        seen.taken = 0;
        struct net_conn *nc = come(incoming());
        memcpy(first, all, cut);
        say(nc, first);
        say(nc, all + cut);
        expect_text("GET /");
        say(nc, "PROXY is a word like others now");
        expect_text("PROXY is a word like others now");
        cr_assert_eq(buffers.classes[0].used, 0);
        close(nc->fd);
        tg_arena_finish(&arena);
    }
    cr_assert_eq(counted(METRIC_PROXY_REFUSED), 0);
}

Test(gate, byte_by_byte_it_is_the_same)
{
    make(0, "127.0.0.1");
    struct net_conn *nc = come(incoming());
    for (const char *p = HEADER "GET"; *p; p++)
        say(nc, (char[]){*p, 0});
    expect_text("GET");
    cr_assert_eq(seen.failed, 0);
}

Test(gate, only_the_trusted_may_come)
{
    make(0, "10.0.0.0/8");
    cr_assert_null(come(incoming()));
    cr_assert_eq(counted(METRIC_PROXY_REFUSED), 1);
    cr_assert_eq(seen.taken, 0);
}

Test(gate, a_malformed_header_ends_the_connection)
{
    make(0, "127.0.0.1");
    struct net_conn *nc = come(incoming());
    say(nc, "PRO");
    say(nc, "XY TCP4 nonsense\r\nGET / HTTP/1.1\r\n");
    cr_assert_eq(seen.failed, 1);
    expect_text("");
    cr_assert_eq(counted(METRIC_PROXY_REFUSED), 1);
    loop.handlers->closed(loop.owner, nc);
    cr_assert_eq(buffers.classes[0].used, 0);
}

Test(gate, counts_the_address_that_the_header_carries)
{
    make(1, "127.0.0.1");
    struct net_conn *a = come(incoming()), *b = come(incoming()), *c = come(incoming());
    say(a, HEADER);
    say(b, "PROXY TCP4 192.0.2.2 198.51.100.2 56324 443\r\n");
    cr_assert_eq(seen.failed, 0, "the balancer's own address does not count");
    say(c, HEADER "GET /");
    cr_assert_eq(seen.failed, 1);
    cr_assert_eq(counted(METRIC_PEER_REFUSED), 1);
    expect_text("");
    loop.handlers->closed(loop.owner, c);
    loop.handlers->closed(loop.owner, a);
    struct net_conn *d = come(incoming());
    say(d, HEADER);
    cr_assert_eq(seen.failed, 1);
}

Test(gate, without_a_buffer_a_header_in_pieces_is_refused)
{
    make(0, "127.0.0.1");
    while (buffer_get(&buffers, 100))
        ;
    struct net_conn *whole = come(incoming()), *pieces = come(incoming());
    say(whole, HEADER);
    cr_assert_eq(seen.failed, 0);
    say(pieces, "PROXY ");
    cr_assert_eq(seen.failed, 1);
}

Test(gate, a_connection_closed_within_its_header_leaves_nothing)
{
    make(1, "127.0.0.1");
    struct net_conn *nc = come(incoming());
    say(nc, "PROXY ");
    cr_assert_eq(buffers.classes[0].used, 1);
    loop.handlers->closed(loop.owner, nc);
    cr_assert_eq(buffers.classes[0].used, 0);
    cr_assert_eq(seen.closed, 1);
}

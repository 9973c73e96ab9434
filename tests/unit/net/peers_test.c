/* SPDX-License-Identifier: Apache-2.0 */
/* Connections per peer: limits, the table's fullness, removal, and several threads at once. */
#include "gateway/net/peers.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct tg_arena arena;
static struct peers peers;

static void make(uint32_t connections, uint32_t limit)
{
    cr_assert_eq(tg_arena_init(&arena, peers_bytes(connections) + 65536, TG_ARENA_PRIVATE), 0);
    cr_assert_eq(peers_init(&peers, &arena, connections), 0);
    atomic_store_explicit(&peers.limit, limit, memory_order_relaxed);
}

static uint32_t used(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < PEERS_SHARDS; i++)
        sum += peers.shards[i].used;
    return sum;
}

static uint64_t key(const char *text)
{
    struct address a;
    cr_assert(address_parse((struct tg_str){text, strlen(text)}, strchr(text, ':') != NULL, &a));
    return peers_key(&a);
}

Test(peers, each_has_its_share)
{
    make(100, 3);
    for (int i = 0; i < 3; i++)
        cr_assert(peers_enter(&peers, key("192.0.2.1")));
    cr_assert_not(peers_enter(&peers, key("192.0.2.1")));
    cr_assert(peers_enter(&peers, key("192.0.2.2")));
    peers_leave(&peers, key("192.0.2.1"));
    cr_assert(peers_enter(&peers, key("192.0.2.1")));
    cr_assert_not(peers_enter(&peers, key("192.0.2.1")));
}

Test(peers, a_new_limit_holds_for_who_comes_next)
{
    make(100, 5);
    for (int i = 0; i < 5; i++)
        cr_assert(peers_enter(&peers, 7));
    atomic_store_explicit(&peers.limit, 2, memory_order_relaxed);
    for (int i = 0; i < 4; i++) {
        cr_assert_not(peers_enter(&peers, 7));
        peers_leave(&peers, 7);
    }
    cr_assert(peers_enter(&peers, 7));
    cr_assert_not(peers_enter(&peers, 7));
    atomic_store_explicit(&peers.limit, 0, memory_order_relaxed);
    cr_assert(peers_enter(&peers, 7));
}

Test(peers, an_ipv6_peer_is_its_64)
{
    cr_assert_eq(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
    cr_assert_neq(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    cr_assert_neq(key("192.0.2.1"), key("192.0.2.2"));
    cr_assert_eq(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    cr_assert_neq(key("::1"), 0);
    cr_assert_neq(key("0.0.0.0"), key("::1"));
}

/* A model: plain counts by number. */
Test(peers, agrees_with_plain_counting)
{
    enum { PEERS = 3000, STEPS = 300000 };
    static uint32_t counts[PEERS];
    uint32_t live = 0, x = 1;
    make(PEERS, 4);
    for (int i = 0; i < STEPS; i++) {
        x = x * 1664525u + 1013904223u;
        uint32_t p = (x >> 8) % PEERS;
        if (x >> 31) {
            bool ok = peers_enter(&peers, p + 1);
            cr_assert_eq(ok, counts[p] < 4, "step %d", i);
            live += ok && counts[p]++ == 0;
        } else if (counts[p] > 0) {
            peers_leave(&peers, p + 1);
            live -= --counts[p] == 0;
        }
        cr_assert_eq(used(), live, "step %d", i);
    }
    for (uint32_t p = 0; p < PEERS; p++)
        while (counts[p]-- > 0)
            peers_leave(&peers, p + 1);
    cr_assert_eq(used(), 0);
}

Test(peers, has_room_for_every_connection_to_be_somebody_elses)
{
    make(16384, 1);
    for (uint64_t p = 1; p <= 16384; p++)
        cr_assert(peers_enter(&peers, p << 20), "peer %lu", (unsigned long)p);
    cr_assert_eq(used(), 16384);
}

Test(peers, a_full_table_refuses_and_goes_on)
{
    uint64_t first = 0, p = 0;
    make(1, 0);
    while (peers_enter(&peers, ++p))
        first = first ? first : p;
    cr_assert_gt(p, 64);
    cr_assert_not(peers_enter(&peers, p));
    cr_assert(peers_enter(&peers, first), "who is counted already needs no entry");
    for (uint64_t q = 1; q < p; q++)
        peers_leave(&peers, q);
    peers_leave(&peers, first);
    cr_assert_eq(used(), 0);
}

static void *come_and_go(void *argument)
{
    uint32_t x = *(uint32_t *)argument;
    uint32_t inside[8] = {0};
    for (int i = 0; i < 40000; i++) {
        x = x * 1664525u + 1013904223u;
        uint32_t p = x >> 29;
        if (inside[p] > 0 && (x & 65536)) {
            peers_leave(&peers, p + 1);
            inside[p]--;
        } else if (peers_enter(&peers, p + 1)) {
            inside[p]++;
        }
    }
    for (uint32_t p = 0; p < 8; p++)
        while (inside[p]-- > 0)
            peers_leave(&peers, p + 1);
    return NULL;
}

Test(peers, workers_count_together)
{
    pthread_t threads[4];
    uint32_t seeds[4] = {1, 2, 3, 4};
    make(1000, 5);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, come_and_go, &seeds[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(used(), 0);
}

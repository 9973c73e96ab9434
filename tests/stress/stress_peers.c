/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several workers count connections of the same few peers at once: nobody ever has more than the limit, and when all
 * have left the table is empty.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/net/peers.h"
#include "tests/support/stress.h"

enum { THREADS = 4, PEERS = 16, LIMIT = 3 };

static struct peers peers;
static struct stress run;
static _Atomic uint32_t inside[PEERS]; /* counted by the test itself, around the table's own counting */

struct visitor {
    uint64_t random;
    uint32_t held[PEERS];
    uint64_t refused;
};

static void leave(struct visitor *v, uint32_t p)
{
    atomic_fetch_sub_explicit(&inside[p], 1, memory_order_relaxed); /* before the table lets another one in */
    peers_leave(&peers, p + 1);
    v->held[p]--;
}

static void enter(struct visitor *v, uint32_t p)
{
    if (!peers_enter(&peers, p + 1)) {
        v->refused++;
        return;
    }
    v->held[p]++;
    STRESS_CHECK(atomic_fetch_add_explicit(&inside[p], 1, memory_order_relaxed) < LIMIT);
}

static void *come_and_go(void *argument)
{
    struct visitor *v = argument;
    for (uint64_t i = 0; i < run.count / THREADS; i++) {
        uint32_t p = stress_below(&v->random, PEERS);
        if (v->held[p] > 0 && stress_below(&v->random, 2))
            leave(v, p);
        else
            enter(v, p);
        if (i % 1024 == 0)
            stress_progress();
    }
    for (uint32_t p = 0; p < PEERS; p++)
        while (v->held[p] > 0)
            leave(v, p);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct visitor visitors[THREADS];
    pthread_t threads[THREADS];
    struct tg_arena arena;
    uint64_t refused = 0;
    run = stress_begin(argc, argv, 0, 2000000, 200000);
    STRESS_CHECK(tg_arena_init(&arena, peers_bytes(PEERS) + 65536, TG_ARENA_PRIVATE) == 0);
    STRESS_CHECK(peers_init(&peers, &arena, PEERS) == 0);
    atomic_store_explicit(&peers.limit, LIMIT, memory_order_relaxed);
    for (uint32_t i = 0; i < THREADS; i++) {
        visitors[i].random = run.seed + i;
        STRESS_CHECK(pthread_create(&threads[i], NULL, come_and_go, &visitors[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        refused += visitors[i].refused;
    }
    for (uint32_t i = 0; i < PEERS_SHARDS; i++)
        STRESS_CHECK(peers.shards[i].used == 0);
    STRESS_CHECK(refused > 0);
    printf("%llu refused, table empty\n", (unsigned long long)refused);
    tg_arena_finish(&arena);
    return 0;
}

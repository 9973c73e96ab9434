/* SPDX-License-Identifier: Apache-2.0 */
/* Connections per peer: linear probing, and entries moved back on removal so that no tombstones gather. */
#include "gateway/base/spin.h"
#include "peers.h"

#include <errno.h>
#include <string.h>

#define IPV4_KEY 0xff00000000000000u /* ff00::/8 is multicast: no connection comes from there */

/* Twice the fair share of a shard, and some: the hash scatters evenly, so none fills up before all slots are taken. */
static uint32_t shard_entries(uint32_t connections)
{
    uint32_t wanted = connections / PEERS_SHARDS * 2 + 64, n = 64;
    while (n < wanted)
        n *= 2;
    return n;
}

size_t peers_bytes(uint32_t connections)
{
    return (size_t)shard_entries(connections) * sizeof(struct peers_entry) * PEERS_SHARDS + 4096;
}

int peers_init(struct peers *p, struct tg_arena *arena, uint32_t connections)
{
    uint32_t n = shard_entries(connections);
    struct peers_entry *entries = tg_arena_alloc(arena, (size_t)n * sizeof(*entries) * PEERS_SHARDS, 64);
    if (!entries)
        return -ENOMEM;
    random_bytes(&p->key, sizeof(p->key));
    p->mask = n - 1;
    for (uint32_t i = 0; i < PEERS_SHARDS; i++)
        p->shards[i].entries = entries + (size_t)i * n;
    return 0;
}

uint64_t peers_key(const struct address *a)
{
    uint64_t key = 0;
    if (address_is_ipv4(a)) {
        for (size_t i = 12; i < 16; i++)
            key = key << 8 | a->bytes[i];
        return IPV4_KEY | key;
    }
    for (size_t i = 0; i < 8; i++)
        key = key << 8 | a->bytes[i];
    return key ? key : 1; /* ::/64, where ::1 is; nothing real is in 0:0:0:1::/64 */
}

/* ---- one shard ------------------------------------------------------------------------------------------- */

static uint32_t home(const struct peers *p, uint64_t hash)
{
    return (uint32_t)(hash >> 32) & p->mask;
}

/* Its entry, or the free one where it would go. */
static uint32_t find(const struct peers *p, const struct peers_shard *s, uint64_t peer, uint64_t hash)
{
    uint32_t at = home(p, hash);
    while (s->entries[at].peer != 0 && s->entries[at].peer != peer)
        at = (at + 1) & p->mask;
    return at;
}

static uint64_t hash_of(const struct peers *p, uint64_t peer)
{
    return siphash(&p->key, &peer, sizeof(peer));
}

/* Free entry @hole, then let entries behind it that would be found no more move up. */
static void take_out(struct peers *p, struct peers_shard *s, uint32_t hole)
{
    uint32_t at = hole;
    s->used--;
    for (;;) {
        s->entries[hole] = (struct peers_entry){0};
        uint32_t away, from;
        do {
            at = (at + 1) & p->mask;
            if (s->entries[at].peer == 0)
                return;
            away = (at - home(p, hash_of(p, s->entries[at].peer))) & p->mask; /* how far from where it wants to be */
            from = (at - hole) & p->mask;
        } while (away < from);
        s->entries[hole] = s->entries[at];
        hole = at;
    }
}

/* ---- the table -------------------------------------------------------------------------------------------- */

bool peers_enter(struct peers *p, uint64_t peer)
{
    uint64_t hash = hash_of(p, peer);
    uint32_t limit = peers_limit(p);
    struct peers_shard *s = &p->shards[hash % PEERS_SHARDS];
    spin_lock(&s->held);
    struct peers_entry *e = &s->entries[find(p, s, peer, hash)];
    bool fresh = e->peer == 0;
    /* One entry stays free, so that every search ends. */
    bool ok = fresh ? s->used < p->mask : limit == 0 || e->count < limit;
    if (ok) {
        s->used += fresh;
        e->peer = peer;
        e->count++;
    }
    spin_unlock(&s->held);
    return ok;
}

void peers_leave(struct peers *p, uint64_t peer)
{
    uint64_t hash = hash_of(p, peer);
    struct peers_shard *s = &p->shards[hash % PEERS_SHARDS];
    spin_lock(&s->held);
    uint32_t at = find(p, s, peer, hash);
    TG_ASSERT(s->entries[at].peer == peer && s->entries[at].count > 0);
    if (--s->entries[at].count == 0)
        take_out(p, s, at);
    spin_unlock(&s->held);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The table of nodes, and the small tables that go with registering and awarding. */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "state.h"

/* ---- records ------------------------------------------------------------------------------------------- */

void record_drop(struct record *r)
{
    free(r->text);
    free(r->doc.nodes);
    *r = (struct record){0};
}

bool record_keep(struct record *r, struct tg_str text)
{
    struct tg_json_error why;
    uint32_t capacity = (uint32_t)TG_JSON_NODES_MAX(text.len);
    struct record fresh = {.text = malloc(text.len + 1), .doc.capacity = capacity};
    fresh.doc.nodes = calloc(capacity, sizeof(struct tg_json_node));
    if (!fresh.text || !fresh.doc.nodes)
        goto drop;
    memcpy(fresh.text, text.ptr, text.len);
    if (tg_json_parse(&fresh.doc, fresh.text, text.len, &why) != 0)
        goto drop;
    record_drop(r);
    *r = fresh;
    return true;
drop:
    record_drop(&fresh);
    return false;
}

/* ---- nodes --------------------------------------------------------------------------------------------- */

struct devnet_node *devnet_node_find(struct devnet *d, const char *id)
{
    DEVNET_FOREACH(n, d)
    if (strcmp(n->id, id) == 0)
        return n;
    return NULL;
}

struct devnet_node *devnet_node_add(struct devnet *d, const char *id)
{
    for (uint32_t i = 0; i < DEVNET_NODES_MAX; i++) {
        struct devnet_node *n = &d->nodes[i];
        if (n->id[0])
            continue;
        *n = (struct devnet_node){.available = true, .multiplier = 1};
        memcpy(n->id, id, strnlen(id, NODE_ID_MAX));
        return n;
    }
    return NULL;
}

void devnet_node_remove(struct devnet_node *n)
{
    record_drop(&n->registration);
    record_drop(&n->health_models);
    free(n->cx_public_key);
    *n = (struct devnet_node){0};
}

void devnet_forget_nodes(struct devnet *d)
{
    DEVNET_FOREACH(n, d)
    devnet_node_remove(n);
    memset(d->addresses, 0, sizeof(d->addresses));
    memset(d->nonces, 0, sizeof(d->nonces));
}

void devnet_stale_nodes(struct devnet *d)
{
    DEVNET_FOREACH(n, d)
    n->heard_ns = 0;
}

uint32_t devnet_nodes_of(const struct devnet *d, const char *peer)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < DEVNET_NODES_MAX; i++)
        count += d->nodes[i].id[0] && strcmp(d->nodes[i].peer, peer) == 0;
    return count;
}

bool devnet_node_stale(const struct devnet *d, const struct devnet_node *n)
{
    return n->heard_ns == 0 || clock_now_ns() - n->heard_ns > d->options->stale_ms * NS_PER_MS;
}

static bool serves_no_model(const struct devnet_node *n)
{
    return n->health_models.text && tg_json_count(n->health_models.doc.nodes) == 0;
}

bool devnet_node_listed(const struct devnet *d, const struct devnet_node *n)
{
    bool distrusted = d->options->strict && n->challenge_failed;
    return !devnet_node_stale(d, n) && !n->draining && !serves_no_model(n) && !distrusted;
}

uint64_t devnet_node_tasks(const struct devnet_node *n)
{
    return n->tasks_success + n->tasks_failed;
}

/* A newcomer begins at 0.8, as if eight of ten tasks had gone well. */
double devnet_node_reputation(const struct devnet_node *n)
{
    return ((double)n->tasks_success + 8) / ((double)devnet_node_tasks(n) + 10);
}

/* ---- addresses and nonces ------------------------------------------------------------------------------ */

/* The address's row, else the one that is free or has been quiet for longest. */
static struct devnet_address *address_row(struct devnet *d, const char *peer)
{
    struct devnet_address *oldest = d->addresses;
    for (uint32_t i = 0; i < DEVNET_ADDRESSES_MAX; i++) {
        if (strcmp(d->addresses[i].peer, peer) == 0)
            return &d->addresses[i];
        if (d->addresses[i].since_ns < oldest->since_ns)
            oldest = &d->addresses[i];
    }
    *oldest = (struct devnet_address){0};
    memcpy(oldest->peer, peer, strnlen(peer, PEER_MAX - 1));
    return oldest;
}

bool devnet_address_admit(struct devnet *d, const char *peer)
{
    struct devnet_address *a = address_row(d, peer);
    uint64_t now = clock_now_ns();
    if (a->since_ns == 0 || now - a->since_ns >= 60 * NS_PER_S) {
        a->since_ns = now;
        a->count = 0;
    }
    return ++a->count <= d->options->register_limit;
}

bool devnet_nonce_take(struct devnet *d, const char *nonce, time_t until)
{
    time_t now = devnet_now(d);
    for (uint32_t i = 0; i < DEVNET_NONCES_MAX; i++)
        if (d->nonces[i].until >= now && strcmp(d->nonces[i].text, nonce) == 0)
            return false;
    struct devnet_nonce *n = &d->nonces[d->nonce_next++ % DEVNET_NONCES_MAX];
    *n = (struct devnet_nonce){.until = until};
    memcpy(n->text, nonce, strnlen(nonce, sizeof(n->text) - 1));
    return true;
}

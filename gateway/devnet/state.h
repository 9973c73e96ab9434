/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the directory knows: nodes, faults, its key, its clock. One struct under one mutex; everything below
 * is called with the lock held unless it says otherwise.
 */
#ifndef TG_DEVNET_STATE_H
#define TG_DEVNET_STATE_H

#include <pthread.h>
#include <time.h>

#include "faults.h"
#include "gateway/base/crypto.h"
#include "options.h"
#include "tg/json.h"

#define DEVNET_NODES_MAX 1024
#define DEVNET_NONCES_MAX 4096
#define DEVNET_BATCHES_KEPT 8
#define DEVNET_ADDRESSES_MAX 64

#define NODE_ID_MAX 36
#define NODE_URL_MAX 255
#define NODE_TOKEN_CHARS 40
#define NODE_HMAC_KEY_MAX 128
#define NODE_BATCH_ID_MAX 64
#define CHALLENGE_CHARS 32
#define PEER_MAX 46

/* A JSON text of our own and its tape. */
struct record {
    char *text;
    struct tg_json_doc doc;
};

struct devnet_node {
    char id[NODE_ID_MAX + 1]; /* empty: the slot is free */
    char token[NODE_TOKEN_CHARS + 1], proxy_token[NODE_TOKEN_CHARS + 1];
    /* Proves ownership as the current one does: the reply that carried its successor may have been lost. */
    char token_before[NODE_TOKEN_CHARS + 1];
    char hmac_key[NODE_HMAC_KEY_MAX + 1];
    char endpoint[NODE_URL_MAX + 1], transport_endpoint[NODE_URL_MAX + 1], relay_endpoint[NODE_URL_MAX + 1];
    char region[65], peer[PEER_MAX];
    struct record registration;  /* the latest accepted body */
    struct record health_models; /* the latest list reported; text NULL: none ever was */
    char *cx_public_key;         /* JSON, NULL: none */
    char cx_key[64];             /* its key alone: it never changes */

    /* Of the first registration; afterwards only heartbeats change the price. */
    double multiplier;
    bool pricing_signed, allow_remote_inference, relay_capable, operator_verified;

    double load;
    uint32_t active_jobs;
    bool available, draining;
    uint64_t heard_ns; /* monotonic; 0: stale on request */
    time_t last_seen;

    char challenge[2][CHALLENGE_CHARS + 1]; /* the one just issued, and the one before it */
    bool challenge_failed;                  /* the latest answer was wrong */
    char batches[DEVNET_BATCHES_KEPT][NODE_BATCH_ID_MAX + 1];
    uint32_t batch_next;

    uint64_t registrations, heartbeats, tasks_success, tasks_failed;
    uint64_t batches_accepted, batches_repeated, challenges_passed, challenges_failed, awards;
    double credits;
};

/* Registrations of one address in the current minute. */
struct devnet_address {
    char peer[PEER_MAX];
    uint64_t since_ns;
    uint32_t count;
};

struct devnet_nonce {
    char text[65];
    time_t until;
};

struct devnet {
    pthread_mutex_t lock;
    const struct devnet_options *options; /* constant, needs no lock */
    int stop_fd;                          /* readable once the directory stops; constant */
    char url[96];                         /* constant once serving */

    uint8_t seed[CRYPTO_HASH_BYTES]; /* everything random follows from it */
    uint64_t drawn;
    uint32_t key_generation;
    uint8_t key_seed[CRYPTO_KEY_BYTES], public_key[CRYPTO_KEY_BYTES];
    int64_t clock_skew_s;
    uint64_t restarts;

    struct devnet_node nodes[DEVNET_NODES_MAX];
    struct devnet_address addresses[DEVNET_ADDRESSES_MAX];
    struct devnet_nonce nonces[DEVNET_NONCES_MAX];
    uint32_t nonce_next;
    struct faults faults;

    uint32_t connections;
    uint64_t requests, failures; /* failures: answers with a status of 400 or more */
};

/** Keys follow from @o's seed. NULL: out of memory, or no crypto. Called before there are threads. */
struct devnet *devnet_create(const struct devnet_options *o, struct crypto *crypto);
void devnet_destroy(struct devnet *d);

/** Any thread, no lock: wait, but not beyond the end. False if the directory stops. */
bool devnet_sleep(const struct devnet *d, uint64_t ms);

/* ---- what follows from the seed ------------------------------------------------------------------------ */

/** @chars hexadecimal digits (64 at most) and a NUL. */
void devnet_random_hex(struct devnet *d, struct crypto *crypto, char *out, size_t chars);
void devnet_random_uuid(struct devnet *d, struct crypto *crypto, char out[37]);
int devnet_rotate_key(struct devnet *d, struct crypto *crypto);

/* ---- time ---------------------------------------------------------------------------------------------- */

/** The directory's idea of it: the machine's clock and the skew. */
time_t devnet_now(const struct devnet *d);

/* ---- nodes --------------------------------------------------------------------------------------------- */

struct devnet_node *devnet_node_find(struct devnet *d, const char *id);
/** A free slot, zero but for its id; NULL if there is none. */
struct devnet_node *devnet_node_add(struct devnet *d, const char *id);
void devnet_node_remove(struct devnet_node *n);
void devnet_forget_nodes(struct devnet *d);
void devnet_stale_nodes(struct devnet *d);
uint32_t devnet_nodes_of(const struct devnet *d, const char *peer);

bool devnet_node_stale(const struct devnet *d, const struct devnet_node *n);
/** Shown to those who look for nodes. */
bool devnet_node_listed(const struct devnet *d, const struct devnet_node *n);
double devnet_node_reputation(const struct devnet_node *n);
uint64_t devnet_node_tasks(const struct devnet_node *n);

/** Copies and parses. False: no memory, or no JSON. Needs no lock, the record aside. */
bool record_keep(struct record *r, struct tg_str text);
void record_drop(struct record *r);

/** Counts one more registration. False: too many this minute. */
bool devnet_address_admit(struct devnet *d, const char *peer);
/** False if it was seen and is not yet over. */
bool devnet_nonce_take(struct devnet *d, const char *nonce, time_t until);

/* Loops over the slots in use. */
#define DEVNET_FOREACH(n, d)                                                                                 \
    for (struct devnet_node *n = (d)->nodes; n < (d)->nodes + DEVNET_NODES_MAX; n++)                         \
        if (n->id[0])

#endif

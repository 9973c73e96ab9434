/* SPDX-License-Identifier: Apache-2.0 */
/* A directory for the simulated world: registers, checks tokens, challenges and receipts, counts; and can be
 * ill. */
#ifndef TG_SIM_DIRECTORY_H
#define TG_SIM_DIRECTORY_H

#include "gateway/control/directory.h"
#include "sim_host.h"

enum sim_fault {
    SIM_WELL,
    SIM_DOWN,       /* connection refused */
    SIM_LOST_REPLY, /* the request arrives and counts, its answer does not */
    SIM_STATUS,     /* answers `fault_status` */
    SIM_GARBAGE,    /* 200 and HTML */
};

#define SIM_BATCHES_MAX 4096
#define SIM_NONCES_MAX 1024

struct sim_directory {
    struct sim *sim;
    struct crypto *crypto;
    /* what it knows of the node */
    bool registered, listed, reply_lost;
    uint32_t issued;                          /* tokens so far: "token-3", "key-3" */
    char challenge[33], challenge_before[33]; /* before: the answer that brought the newer one may be lost */
    char batches[SIM_BATCHES_MAX][IICP_BATCH_ID_MAX + 1];
    uint32_t batch_count;
    uint64_t success, failed; /* told, each batch once */
    char nonces[SIM_NONCES_MAX][33];
    uint32_t nonce_count;
    /* how it behaves */
    enum sim_fault fault;
    const char *fault_path; /* part of the address; NULL: all */
    uint32_t fault_status, retry_after_s;
    const char *fault_body;
    const char *public_key;                           /* NULL: it has none */
    const char *assigned;                             /* its name for the node; NULL: "n1" */
    bool keep_key;                                    /* registration answers without a key */
    const char *batch_reply;                          /* instead of the batch id */
    uint32_t next_heartbeat_ms, registry_ms, tags_ms; /* the latter: latencies, if not 0 */
    const char *models;                               /* of the backend: body of /api/tags */
    /* what it saw */
    uint32_t registers, beats, challenges_right, challenges_wrong, deregistered, awards, award_conflicts,
        bad_signatures, wrong_tokens, registry_looks, key_looks;
    struct sim_ask last_register, last_beat, last_award;
};

void sim_directory_init(struct sim_directory *d, struct sim *sim, struct crypto *crypto);
/** Its sim_answer. */
void sim_directory_answer(void *context, const struct sim_ask *ask, struct sim_reply *reply);

#endif

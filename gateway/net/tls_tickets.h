/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys of session tickets. Every worker computes them alone, from a seed they all share and the hour: nothing
 * is exchanged, yet each opens what another sealed. A step forward destroys what came before, so a ticket
 * recorded today cannot be opened with the memory of tomorrow. Thread: one owner.
 */
#ifndef TG_TLS_TICKETS_H
#define TG_TLS_TICKETS_H

#include <openssl/evp.h>
#include "tls.h"

#define TLS_TICKET_EPOCH_S 7200u /* a ticket is taken for one to two of these */
#define TLS_TICKET_NAME_BYTES 16

struct tls_ticket_key {
    uint8_t name[TLS_TICKET_NAME_BYTES];
    uint8_t cipher[32], mac[32];
};

struct tls_tickets {
    OSSL_LIB_CTX *library;
    EVP_CIPHER *cipher;
    uint64_t epoch;
    bool has_before;
    uint8_t seed[TLS_SEED_BYTES]; /* of the epoch */
    struct tls_ticket_key now, before;
};

/** Epoch 0 of @seed. Returns 0 or -ENOMEM. */
int tls_tickets_init(struct tls_tickets *t, OSSL_LIB_CTX *library, const uint8_t seed[TLS_SEED_BYTES]);
void tls_tickets_finish(struct tls_tickets *t);

/** Step forward to @epoch; an earlier one changes nothing. Returns 0 or -ENOMEM. */
int tls_tickets_advance(struct tls_tickets *t, uint64_t epoch);

/** The key of a ticket's name; NULL if unknown or too old. *renew: it was sealed in the epoch before. */
const struct tls_ticket_key *tls_tickets_find(const struct tls_tickets *t, const uint8_t *name, bool *renew);

#endif

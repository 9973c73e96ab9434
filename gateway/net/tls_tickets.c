/* SPDX-License-Identifier: Apache-2.0 */
/* Ticket keys: a hash chain over the epochs. */
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>
#include "tls_tickets.h"

/* 32 bytes that say nothing about the seed or each other, one set per label. */
static int derive(const struct tls_tickets *t, const char *label, uint8_t out[32])
{
    size_t len = 0;
    const unsigned char *made = EVP_Q_mac(t->library, "HMAC", NULL, "SHA256", NULL, t->seed, sizeof(t->seed),
                                          (const unsigned char *)label, strlen(label), out, 32, &len);
    return made && len == 32 ? 0 : -ENOMEM;
}

static int derive_key(const struct tls_tickets *t, struct tls_ticket_key *key)
{
    uint8_t name[32];
    int rc = derive(t, "ticket name", name);
    if (rc == 0)
        rc = derive(t, "ticket cipher", key->cipher);
    if (rc == 0)
        rc = derive(t, "ticket mac", key->mac);
    if (rc == 0)
        memcpy(key->name, name, sizeof(key->name));
    return rc;
}

int tls_tickets_init(struct tls_tickets *t, OSSL_LIB_CTX *library, const uint8_t seed[TLS_SEED_BYTES])
{
    *t = (struct tls_tickets){.library = library};
    memcpy(t->seed, seed, sizeof(t->seed));
    t->cipher = EVP_CIPHER_fetch(library, "AES-256-CBC", NULL);
    return t->cipher ? derive_key(t, &t->now) : -ENOMEM;
}

void tls_tickets_finish(struct tls_tickets *t)
{
    EVP_CIPHER_free(t->cipher);
    OPENSSL_cleanse(t, sizeof(*t));
}

static int step(struct tls_tickets *t)
{
    struct tls_tickets next = *t;
    int rc = derive(t, "next epoch", next.seed);
    if (rc == 0)
        rc = derive_key(&next, &next.now);
    if (rc == 0) {
        next.before = t->now;
        next.has_before = true;
        next.epoch++;
        *t = next;
    }
    OPENSSL_cleanse(&next, sizeof(next));
    return rc;
}

int tls_tickets_advance(struct tls_tickets *t, uint64_t epoch)
{
    int rc = 0;
    while (rc == 0 && t->epoch < epoch)
        rc = step(t);
    return rc;
}

const struct tls_ticket_key *tls_tickets_find(const struct tls_tickets *t, const uint8_t *name, bool *renew)
{
    if (memcmp(name, t->now.name, sizeof(t->now.name)) == 0) {
        *renew = false;
        return &t->now;
    }
    if (t->has_before && memcmp(name, t->before.name, sizeof(t->before.name)) == 0) {
        *renew = true;
        return &t->before;
    }
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Randomness: keys from the kernel, and a fast generator for ids that need not be secret. */
#ifndef TG_RANDOM_H
#define TG_RANDOM_H

#include "tg/def.h"

/** Fill from the kernel's generator. Stops the process if there is none. Thread: any; start-up only. */
void random_bytes(void *out, size_t len);

/* xoshiro256**; one per thread. */
struct random_state {
    uint64_t s[4];
};

void random_seed(struct random_state *r);

static inline uint64_t random_rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

static inline uint64_t random_u64(struct random_state *r)
{
    uint64_t result = random_rotl(r->s[1] * 5, 7) * 9, t = r->s[1] << 17;
    r->s[2] ^= r->s[0];
    r->s[3] ^= r->s[1];
    r->s[1] ^= r->s[2];
    r->s[0] ^= r->s[3];
    r->s[2] ^= t;
    r->s[3] = random_rotl(r->s[3], 45);
    return result;
}

/* SipHash-2-4: a keyed hash whose buckets a stranger cannot aim at. */
struct siphash_key {
    uint64_t k0, k1;
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len);

#endif

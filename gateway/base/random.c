/* SPDX-License-Identifier: Apache-2.0 */
/* Seeding, and SipHash-2-4 (Aumasson, Bernstein: "SipHash: a fast short-input PRF", 2012). */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include "random.h"

void random_bytes(void *out, size_t len)
{
    char *p = out;
    while (len > 0) {
        ssize_t n = getrandom(p, len, 0);
        TG_ASSERT(n > 0 || errno == EINTR);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
}

void random_seed(struct random_state *r)
{
    do
        random_bytes(r, sizeof(*r));
    while ((r->s[0] | r->s[1] | r->s[2] | r->s[3]) == 0);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = random_rotl(v[1], 13) ^ v[0];
    v[0] = random_rotl(v[0], 32);
    v[2] += v[3];
    v[3] = random_rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = random_rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = random_rotl(v[1], 17) ^ v[2];
    v[2] = random_rotl(v[2], 32);
}

static inline void sip_word(uint64_t v[4], uint64_t m)
{
    v[3] ^= m;
    sip_round(v);
    sip_round(v);
    v[0] ^= m;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t v[4] = {key->k0 ^ 0x736f6d6570736575ull, key->k1 ^ 0x646f72616e646f6dull,
                     key->k0 ^ 0x6c7967656e657261ull, key->k1 ^ 0x7465646279746573ull};
    uint64_t tail = (uint64_t)len << 56, m;
    size_t words = len / 8;
    for (size_t i = 0; i < words; i++) {
        memcpy(&m, p + 8 * i, 8);
        sip_word(v, m);
    }
    for (size_t i = 0; i < len % 8; i++)
        tail |= (uint64_t)p[8 * words + i] << (8 * i);
    sip_word(v, tail);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

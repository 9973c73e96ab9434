/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash against its paper, and the generators against the mistakes one makes with them. */
#include <criterion/criterion.h>
#include <string.h>
#include "gateway/base/random.h"

/* Key 00 01 ... 0f, message 00 01 ... (n-1): the paper's appendix, and its authors' published vectors. */
static const struct {
    size_t len;
    uint64_t hash;
} vectors[] = {
    {0, 0x726fdb47dd0e0e31u}, {1, 0x74f839c593dc67fdu}, {2, 0x0d6c8009d9a94f5au},  {3, 0x85676696d7fb7e2du},
    {7, 0xab0200f58b01d137u}, {8, 0x93f5f5799a932462u}, {15, 0xa129ca6149be45e5u},
};

static const struct siphash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

Test(siphash, gives_the_published_values)
{
    unsigned char message[16];
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (unsigned char)i;
    for (size_t i = 0; i < TG_ARRAY_SIZE(vectors); i++)
        cr_assert_eq(siphash(&key, message, vectors[i].len), vectors[i].hash, "%zu bytes", vectors[i].len);
}

Test(siphash, does_not_mind_where_the_bytes_lie)
{
    char memory[64 + 8];
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(memory + shift, "the same forty bytes, wherever they are", 40);
        cr_assert_eq(siphash(&key, memory + shift, 40),
                     siphash(&key, "the same forty bytes, wherever they are", 40));
    }
}

Test(siphash, every_bit_of_key_and_message_matters)
{
    char message[24] = "twenty-three bytes here";
    uint64_t plain = siphash(&key, message, 23);
    for (size_t bit = 0; bit < 23 * 8; bit++) {
        message[bit / 8] ^= (char)(1 << bit % 8);
        cr_assert_neq(siphash(&key, message, 23), plain, "bit %zu", bit);
        message[bit / 8] ^= (char)(1 << bit % 8);
    }
    for (uint32_t bit = 0; bit < 64; bit++) {
        struct siphash_key first = {key.k0 ^ 1ull << bit, key.k1}, second = {key.k0, key.k1 ^ 1ull << bit};
        cr_assert(siphash(&first, message, 23) != plain && siphash(&second, message, 23) != plain);
    }
}

Test(random, two_generators_are_seeded_differently)
{
    struct random_state a, b;
    random_seed(&a);
    random_seed(&b);
    cr_assert_neq(random_u64(&a), random_u64(&b));
}

/* First value by hand from the definition: rotl(s1 * 5, 7) * 9 with s = {1, 2, 3, 4}. */
Test(random, follows_the_definition_of_xoshiro256)
{
    struct random_state r = {{1, 2, 3, 4}};
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    for (size_t i = 0; i < TG_ARRAY_SIZE(expected); i++)
        cr_assert_eq(random_u64(&r), expected[i], "value %zu", i);
}

Test(random, every_byte_asked_for_is_filled)
{
    unsigned char bytes[64], seen[64] = {0};
    for (int round = 0; round < 16; round++) {
        memset(bytes, 0, sizeof(bytes));
        random_bytes(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes); i++)
            seen[i] |= bytes[i];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        cr_assert_neq(seen[i], 0, "byte %zu stayed zero sixteen times", i);
}

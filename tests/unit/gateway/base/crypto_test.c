/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes, signatures and sealed boxes against the vectors of their standards and of the IICP contract. */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include "gateway/base/crypto.h"
#include "gateway/base/hex.h"

static struct crypto *c;

static void set_up(void)
{
    c = crypto_create();
    cr_assert_not_null(c);
}

static void tear_down(void)
{
    crypto_destroy(c);
}

TestSuite(crypto, .init = set_up, .fini = tear_down);

static void bytes_of(const char *hex, uint8_t *out, size_t n)
{
    cr_assert(hex_read(out, n, (struct tg_str){hex, strlen(hex)}), "%s", hex);
}

static void expect_hex(const void *bytes, size_t n, const char *wanted)
{
    char text[256];
    cr_assert_leq(n, 128);
    hex_write(text, bytes, n);
    cr_expect(tg_str_eq((struct tg_str){text, 2 * n}, (struct tg_str){wanted, strlen(wanted)}), "%.*s",
              (int)(2 * n), text);
}

static struct tg_str str(const void *p, size_t n)
{
    return (struct tg_str){p, n};
}

/* ---- hashes ------------------------------------------------------------------------------------------- */

Test(crypto, sha256_of_nothing_and_of_abc)
{
    uint8_t out[32];
    cr_expect_eq(crypto_sha256(c, TG_STR(""), out), 0);
    expect_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cr_expect_eq(crypto_sha256(c, TG_STR("abc"), out), 0);
    expect_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

Test(crypto, sha256_in_pieces_is_sha256_of_the_whole)
{
    uint8_t whole[32], pieces[32];
    crypto_sha256(c, TG_STR("worker-1:relay-a"), whole);
    cr_expect_eq(crypto_sha256_begin(c), 0);
    cr_expect_eq(crypto_sha256_add(c, TG_STR("worker-1:")), 0);
    cr_expect_eq(crypto_sha256_add(c, TG_STR("")), 0);
    cr_expect_eq(crypto_sha256_add(c, TG_STR("relay-a")), 0);
    cr_expect_eq(crypto_sha256_end(c, pieces), 0);
    cr_expect_eq(memcmp(whole, pieces, 32), 0);
}

Test(crypto, relay_ranks_of_the_contract)
{
    uint8_t a[32], b[32];
    crypto_sha256(c, TG_STR("worker-1:relay-a"), a);
    crypto_sha256(c, TG_STR("worker-1:relay-b"), b);
    expect_hex(a, 4, "3644713f");
    expect_hex(b, 4, "8ecc3211");
}

Test(crypto, hmac_of_rfc_4231_case_2)
{
    uint8_t out[32];
    cr_expect_eq(crypto_hmac(c, TG_STR("Jefe"), TG_STR("what do ya want for nothing?"), out), 0);
    expect_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

Test(crypto, hmac_with_a_key_longer_than_a_block)
{
    uint8_t out[32], key[131];
    memset(key, 0xaa, sizeof(key));
    cr_expect_eq(crypto_hmac(c, str(key, sizeof(key)),
                             TG_STR("Test Using Larger Than Block-Size Key - Hash Key First"), out),
                 0);
    expect_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

Test(crypto, hmac_with_an_empty_key_does_not_take_the_one_before)
{
    uint8_t first[32], later[32];
    cr_expect_eq(crypto_hmac(c, TG_STR(""), TG_STR(""), first), 0);
    expect_hex(first, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    crypto_hmac(c, TG_STR("secret"), TG_STR("x"), later);
    cr_expect_eq(crypto_hmac(c, (struct tg_str){NULL, 0}, (struct tg_str){NULL, 0}, later), 0);
    cr_expect_eq(memcmp(first, later, 32), 0);
}

Test(crypto, gossip_signature_of_the_contract)
{
    uint8_t out[32];
    crypto_hmac(c, TG_STR("mesh-secret"), TG_STR("{\"known_peers\":[]}"), out);
    expect_hex(out, 32, "eced0512aad07f572d1bd323c595fa6115047573785f4a7eb561226d5f1c9207");
}

Test(crypto, hkdf_of_rfc_5869_case_1)
{
    uint8_t ikm[22], salt[13], info[10], out[42];
    memset(ikm, 0x0b, sizeof(ikm));
    bytes_of("000102030405060708090a0b0c", salt, sizeof(salt));
    bytes_of("f0f1f2f3f4f5f6f7f8f9", info, sizeof(info));
    cr_expect_eq(crypto_hkdf(c, str(ikm, sizeof(ikm)), str(salt, sizeof(salt)), str(info, sizeof(info)), out,
                             sizeof(out)),
                 0);
    expect_hex(out, sizeof(out),
               "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
}

Test(crypto, hkdf_of_rfc_5869_case_3_without_salt_and_info)
{
    uint8_t ikm[22], out[42];
    memset(ikm, 0x0b, sizeof(ikm));
    cr_expect_eq(crypto_hkdf(c, str(ikm, sizeof(ikm)), TG_STR(""), TG_STR(""), out, sizeof(out)), 0);
    expect_hex(out, sizeof(out),
               "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

Test(crypto, hkdf_yields_255_hashes_at_most)
{
    static uint8_t out[256 * 32];
    cr_expect_eq(crypto_hkdf(c, TG_STR("k"), TG_STR("s"), TG_STR("i"), out, 255 * 32), 0);
    cr_expect_eq(crypto_hkdf(c, TG_STR("k"), TG_STR("s"), TG_STR("i"), out, 255 * 32 + 1), -EINVAL);
}

/* ---- X25519 ------------------------------------------------------------------------------------------- */

Test(crypto, x25519_of_rfc_7748_section_6)
{
    uint8_t bob[32], alice_public[32], out[32];
    bytes_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb", bob, 32);
    bytes_of("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a", alice_public, 32);
    cr_expect_eq(crypto_x25519_public(c, bob, out), 0);
    expect_hex(out, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    cr_expect_eq(crypto_x25519(c, bob, alice_public, out), 0);
    expect_hex(out, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
}

Test(crypto, x25519_of_rfc_7748_section_5)
{
    uint8_t scalar[32], u[32], out[32];
    bytes_of("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4", scalar, 32);
    bytes_of("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c", u, 32);
    cr_expect_eq(crypto_x25519(c, scalar, u, out), 0);
    expect_hex(out, 32, "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
}

Test(crypto, x25519_with_another_private_key_in_between_is_the_same_again)
{
    uint8_t one[32], two[32], peer[32], first[32], other[32], again[32];
    memset(one, 0x11, 32);
    memset(two, 0x22, 32);
    crypto_x25519_public(c, two, peer);
    cr_expect_eq(crypto_x25519(c, one, peer, first), 0);
    cr_expect_eq(crypto_x25519(c, two, peer, other), 0);
    cr_expect_eq(crypto_x25519(c, one, peer, again), 0);
    cr_expect_eq(memcmp(first, again, 32), 0);
    cr_expect_neq(memcmp(first, other, 32), 0);
}

Test(crypto, x25519_refuses_peer_keys_of_small_order)
{
    uint8_t own[32], peer[32] = {0}, secret[32];
    memset(own, 0x11, 32);
    cr_expect_eq(crypto_x25519(c, own, peer, secret), -EINVAL);
    peer[0] = 1;
    cr_expect_eq(crypto_x25519(c, own, peer, secret), -EINVAL);
    peer[0] = 9;
    cr_expect_eq(crypto_x25519(c, own, peer, secret), 0);
}

/* ---- AES-256-GCM -------------------------------------------------------------------------------------- */

static const uint8_t zeros[32];

Test(crypto, gcm_of_the_specification_cases_13_and_14)
{
    uint8_t out[32];
    cr_expect_eq(crypto_seal(c, zeros, zeros, TG_STR(""), TG_STR(""), out), 0);
    expect_hex(out, 16, "530f8afbc74536b9a963b4f1c4cb738b");
    cr_expect_eq(crypto_seal(c, zeros, zeros, TG_STR(""), str(zeros, 16), out), 0);
    expect_hex(out, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

Test(crypto, what_is_sealed_in_place_opens_in_place)
{
    uint8_t key[32] = {7}, nonce[12] = {3}, text[5 + 16] = "hello";
    cr_expect_eq(crypto_seal(c, key, nonce, TG_STR("aad"), str(text, 5), text), 0);
    cr_expect_neq(memcmp(text, "hello", 5), 0);
    cr_expect_eq(crypto_open(c, key, nonce, TG_STR("aad"), str(text, sizeof(text)), text), 0);
    cr_expect_eq(memcmp(text, "hello", 5), 0);
}

Test(crypto, any_changed_bit_keeps_it_closed_and_leaves_no_plaintext)
{
    uint8_t key[32] = {7}, nonce[12] = {3}, sealed[5 + 16], out[5];
    crypto_seal(c, key, nonce, TG_STR("aad"), TG_STR("hello"), sealed);
    for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        memset(out, 1, sizeof(out));
        cr_expect_eq(crypto_open(c, key, nonce, TG_STR("aad"), str(sealed, sizeof(sealed)), out), -EBADMSG);
        cr_expect_eq(memcmp(out, zeros, sizeof(out)), 0);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_expect_eq(crypto_open(c, key, nonce, TG_STR("aad"), str(sealed, sizeof(sealed)), out), 0);
}

Test(crypto, another_key_nonce_or_aad_keeps_it_closed)
{
    uint8_t key[32] = {7}, nonce[12] = {3}, other_key[32] = {8}, other_nonce[12] = {4}, sealed[21], out[5];
    crypto_seal(c, key, nonce, TG_STR("aad"), TG_STR("hello"), sealed);
    cr_expect_eq(crypto_open(c, other_key, nonce, TG_STR("aad"), str(sealed, 21), out), -EBADMSG);
    cr_expect_eq(crypto_open(c, key, other_nonce, TG_STR("aad"), str(sealed, 21), out), -EBADMSG);
    cr_expect_eq(crypto_open(c, key, nonce, TG_STR("aae"), str(sealed, 21), out), -EBADMSG);
    cr_expect_eq(crypto_open(c, key, nonce, TG_STR(""), str(sealed, 21), out), -EBADMSG);
}

Test(crypto, less_than_a_tag_is_nothing_sealed)
{
    uint8_t key[32] = {7}, nonce[12] = {3}, out[1];
    for (size_t len = 0; len < CRYPTO_TAG_BYTES; len++)
        cr_expect_eq(crypto_open(c, key, nonce, TG_STR(""), str(zeros, len), out), -EBADMSG);
}

/* ---- Ed25519 ------------------------------------------------------------------------------------------ */

Test(crypto, ed25519_of_rfc_8032_test_1)
{
    uint8_t seed[32], public_key[32], signature[64];
    bytes_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", seed, 32);
    cr_expect_eq(crypto_ed25519_public(c, seed, public_key), 0);
    expect_hex(public_key, 32, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    cr_expect_eq(crypto_ed25519_sign(c, seed, TG_STR(""), signature), 0);
    expect_hex(signature, 64,
               "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
               "46bd25bf5f"
               "0595bbe24655141438e7a100b");
    cr_expect_eq(crypto_ed25519_verify(c, public_key, TG_STR(""), signature), 0);
}

Test(crypto, ed25519_refuses_another_message_key_or_signature)
{
    uint8_t seed[32] = {1}, other_seed[32] = {2}, key[32], other_key[32], signature[64];
    crypto_ed25519_public(c, seed, key);
    crypto_ed25519_public(c, other_seed, other_key);
    crypto_ed25519_sign(c, seed, TG_STR("message"), signature);
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), signature), 0);
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("massage"), signature), -EBADMSG);
    cr_expect_eq(crypto_ed25519_verify(c, other_key, TG_STR("message"), signature), -EBADMSG);
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), signature), 0);
    signature[40] ^= 1;
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), signature), -EBADMSG);
}

Test(crypto, ed25519_verifies_with_the_same_key_after_signing_with_another)
{
    uint8_t seed[32] = {1}, other_seed[32] = {2}, key[32], one[64], two[64];
    crypto_ed25519_public(c, seed, key);
    crypto_ed25519_sign(c, seed, TG_STR("message"), one);
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), one), 0);
    cr_expect_eq(crypto_ed25519_sign(c, other_seed, TG_STR("message"), two), 0);
    cr_expect_neq(memcmp(one, two, sizeof(one)), 0);
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), two), -EBADMSG);
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), one), 0);
}

Test(crypto, ed25519_with_a_key_that_is_no_point_verifies_nothing)
{
    uint8_t key[32] = {2}, signature[64] = {0};
    cr_expect_eq(crypto_ed25519_verify(c, key, TG_STR("message"), signature), -EBADMSG);
}

/* ---- the rest ----------------------------------------------------------------------------------------- */

Test(crypto, equality_looks_at_length_and_every_byte)
{
    cr_expect(crypto_equal(TG_STR(""), TG_STR("")));
    cr_expect(crypto_equal(TG_STR("abc"), TG_STR("abc")));
    cr_expect_not(crypto_equal(TG_STR("abc"), TG_STR("abd")));
    cr_expect_not(crypto_equal(TG_STR("abc"), TG_STR("xbc")));
    cr_expect_not(crypto_equal(TG_STR("abc"), TG_STR("ab")));
}

Test(crypto, random_bytes_differ_each_time)
{
    uint8_t a[12], b[12];
    cr_expect_eq(crypto_random(c, a, sizeof(a)), 0);
    cr_expect_eq(crypto_random(c, b, sizeof(b)), 0);
    cr_expect_neq(memcmp(a, b, sizeof(a)), 0);
}

Test(crypto, two_structs_do_not_share_anything)
{
    struct crypto *other = crypto_create();
    uint8_t one[32], two[32];
    cr_assert_not_null(other);
    crypto_sha256_begin(c);
    crypto_sha256_add(c, TG_STR("a"));
    crypto_sha256(other, TG_STR("something else"), two);
    crypto_destroy(other);
    crypto_sha256_add(c, TG_STR("bc"));
    cr_expect_eq(crypto_sha256_end(c, one), 0);
    expect_hex(one, 4, "ba7816bf");
}

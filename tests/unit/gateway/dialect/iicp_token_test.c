/* SPDX-License-Identifier: Apache-2.0 */
/* Consumer tokens: one that another library signed, and every way to forge one. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_token.h"

#define INTENT "urn:iicp:intent:llm:chat:v1"
#define CLAIMS                                                                                               \
    "{\"v\":1,\"iss\":\"d\",\"sub\":\"c-1\",\"aud\":\"n1\",\"intent\":\"" INTENT                             \
    "\",\"iat\":1000,\"exp\":1300}"
/* Python's cryptography package made it, with the same seed and claims like these. */
#define PYTHON_CLAIMS                                                                                        \
    "eyJ2IjoxLCJpc3MiOiJodHRwczovL2RpcmVjdG9yeS5leGFtcGxlIiwic3ViIjoiYy0xIiwiYXVkIjoibjEiLCJpbnRlbnQiOiJ1cm" \
    "46aWljcDpp"                                                                                             \
    "bnRlbnQ6bGxtOmNoYXQ6djEiLCJpYXQiOjEwMDAsImV4cCI6MTMwMH0"
#define PYTHON_SIGNATURE                                                                                     \
    "0296432ab0cfc0b3bdfee226d351652610a94e59586ce9a1a38ffd1f11e713aceaaf2125eedf77f0979efe48b914c4fec014dc" \
    "049de9c9af"                                                                                             \
    "afa442de73745d03"

static struct crypto *c;
static struct iicp_keys keys;
static struct iicp_token_cache cache;
static struct iicp_token_scope scope = {TG_STR_INIT("n1"), TG_STR_INIT(INTENT), 1100};
static uint8_t seed[32], other_seed[32];

static void set_up(void)
{
    memset(seed, 0x33, sizeof(seed));
    memset(other_seed, 0x44, sizeof(other_seed));
    c = crypto_create();
    cr_assert_not_null(c);
    cr_assert_eq(crypto_ed25519_public(c, seed, keys.directory_key), 0);
    keys.has_directory_key = true;
}

static void tear_down(void)
{
    crypto_destroy(c);
}

TestSuite(iicp_token, .init = set_up, .fini = tear_down);

/* What a directory does. */
static struct tg_str sign_as(const uint8_t *key, const char *label, struct tg_str claims)
{
    static char text[8192];
    uint8_t signature[64];
    int start = snprintf(text, sizeof(text), "%s", label);
    size_t len = (size_t)start + base64_write(text + start, claims.ptr, claims.len);
    cr_assert_eq(crypto_ed25519_sign(c, key, (struct tg_str){text, len}, signature), 0);
    text[len++] = '.';
    hex_write(text + len, signature, sizeof(signature));
    return (struct tg_str){text + start, len + 128 - (size_t)start};
}

static struct tg_str signed_token(const char *claims)
{
    return sign_as(seed, "iicp:consumer-token:v1\n", (struct tg_str){claims, strlen(claims)});
}

/* Without a cache, then twice with one: the answer must be the same. */
static void expect(struct tg_str token, enum iicp_token_result wanted)
{
    struct iicp_token_cache *caches[] = {NULL, &cache, &cache};
    for (size_t i = 0; i < TG_ARRAY_SIZE(caches); i++) {
        enum iicp_token_result r = iicp_token_verify(c, &keys, caches[i], token, &scope);
        cr_expect_eq(r, wanted, "%zu: %s", i, iicp_token_reason(r).ptr);
    }
}

static void expect_claims(const char *claims, enum iicp_token_result wanted)
{
    expect(signed_token(claims), wanted);
}

/* ---- good ones ---------------------------------------------------------------------------------------- */

Test(iicp_token, one_that_another_library_signed)
{
    expect(TG_STR(PYTHON_CLAIMS "." PYTHON_SIGNATURE), IICP_TOKEN_OK);
}

Test(iicp_token, one_for_this_node_and_intent)
{
    expect_claims(CLAIMS, IICP_TOKEN_OK);
    cr_expect_eq(iicp_token_status(IICP_TOKEN_OK), TG_OK);
}

Test(iicp_token, one_for_every_intent)
{
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_OK);
}

Test(iicp_token, it_outlives_its_expiry_by_ten_seconds)
{
    scope.unix_s = 1310;
    expect_claims(CLAIMS, IICP_TOKEN_OK);
    scope.unix_s = 1311;
    expect_claims(CLAIMS, IICP_TOKEN_EXPIRED);
}

/* ---- forged ones -------------------------------------------------------------------------------------- */

Test(iicp_token, signed_with_another_key)
{
    expect(sign_as(other_seed, "iicp:consumer-token:v1\n", TG_STR(CLAIMS)), IICP_TOKEN_SIGNATURE);
}

Test(iicp_token, signed_for_another_purpose)
{
    expect(sign_as(seed, "iicp:relay-bind-ticket:v1\n", TG_STR(CLAIMS)), IICP_TOKEN_SIGNATURE);
    expect(sign_as(seed, "", TG_STR(CLAIMS)), IICP_TOKEN_SIGNATURE);
}

Test(iicp_token, for_another_node)
{
    expect_claims("{\"v\":1,\"aud\":\"n2\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_AUDIENCE);
    expect_claims("{\"v\":1,\"aud\":\"\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_AUDIENCE);
    expect_claims("{\"v\":1,\"aud\":\"n11\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_AUDIENCE);
    expect_claims("{\"v\":1,\"aud\":\"*\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_AUDIENCE);
}

Test(iicp_token, for_another_intent)
{
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"urn:iicp:intent:llm:chat:v2\",\"exp\":1300}",
                  IICP_TOKEN_INTENT);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"\",\"exp\":1300}", IICP_TOKEN_INTENT);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"**\",\"exp\":1300}", IICP_TOKEN_INTENT);
}

Test(iicp_token, expired)
{
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1089}", IICP_TOKEN_EXPIRED);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":-1}", IICP_TOKEN_EXPIRED);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1090}", IICP_TOKEN_OK);
}

Test(iicp_token, of_another_version)
{
    expect_claims("{\"v\":2,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_VERSION);
    expect_claims("{\"v\":\"1\",\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_VERSION);
    expect_claims("{\"v\":1.0,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_VERSION);
}

Test(iicp_token, with_claims_missing_or_of_the_wrong_type)
{
    expect_claims("{\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_CLAIMS);
    expect_claims("{\"v\":1,\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_CLAIMS);
    expect_claims("{\"v\":1,\"aud\":[\"n1\"],\"intent\":\"*\",\"exp\":1300}", IICP_TOKEN_CLAIMS);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":null,\"exp\":1300}", IICP_TOKEN_CLAIMS);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"*\"}", IICP_TOKEN_CLAIMS);
    expect_claims("{\"v\":1,\"aud\":\"n1\",\"intent\":\"*\",\"exp\":\"1300\"}", IICP_TOKEN_CLAIMS);
    expect_claims("[]", IICP_TOKEN_CLAIMS);
    expect_claims("{", IICP_TOKEN_CLAIMS);
    expect_claims("null", IICP_TOKEN_CLAIMS);
}

Test(iicp_token, with_more_claims_than_anybody_needs)
{
    char claims[512] = "[0";
    for (int i = 0; i < 70; i++)
        strcat(claims, ",0");
    strcat(claims, "]");
    expect_claims(claims, IICP_TOKEN_CLAIMS);
}

Test(iicp_token, cut_at_any_place)
{
    struct tg_str whole = TG_STR(PYTHON_CLAIMS "." PYTHON_SIGNATURE);
    for (size_t len = 0; len < whole.len; len++) {
        enum iicp_token_result r =
            iicp_token_verify(c, &keys, &cache, (struct tg_str){whole.ptr, len}, &scope);
        cr_expect_eq(r, IICP_TOKEN_MALFORMED, "%zu characters: %s", len, iicp_token_reason(r).ptr);
    }
}

Test(iicp_token, with_any_character_changed)
{
    char text[] = PYTHON_CLAIMS "." PYTHON_SIGNATURE;
    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char before = text[i];
        text[i] = before == '0' ? '1' : '0';
        enum iicp_token_result r =
            iicp_token_verify(c, &keys, &cache, (struct tg_str){text, sizeof(text) - 1}, &scope);
        cr_expect(r == IICP_TOKEN_SIGNATURE || r == IICP_TOKEN_MALFORMED, "%zu: %s", i,
                  iicp_token_reason(r).ptr);
        text[i] = before;
    }
}

Test(iicp_token, with_padding)
{
    expect(TG_STR(PYTHON_CLAIMS "=." PYTHON_SIGNATURE), IICP_TOKEN_SIGNATURE);
    /* Even where the directory itself signed the padding. */
    char text[1024] = "iicp:consumer-token:v1\n";
    uint8_t signature[64];
    size_t label = strlen(text), len = label + base64_write(text + label, CLAIMS, sizeof(CLAIMS) - 1);
    cr_assert_eq((len - label) % 4, 3);
    text[len++] = '=';
    crypto_ed25519_sign(c, seed, (struct tg_str){text, len}, signature);
    text[len++] = '.';
    hex_write(text + len, signature, 64);
    expect((struct tg_str){text + label, len + 128 - label}, IICP_TOKEN_MALFORMED);
}

Test(iicp_token, with_something_behind_or_a_third_part)
{
    expect(TG_STR(PYTHON_CLAIMS "." PYTHON_SIGNATURE "0"), IICP_TOKEN_MALFORMED);
    expect(TG_STR(PYTHON_CLAIMS "." PYTHON_SIGNATURE "." PYTHON_SIGNATURE), IICP_TOKEN_SIGNATURE);
    expect(TG_STR("." PYTHON_SIGNATURE), IICP_TOKEN_MALFORMED);
    expect(TG_STR(""), IICP_TOKEN_MALFORMED);
    expect((struct tg_str){NULL, 0}, IICP_TOKEN_MALFORMED);
}

Test(iicp_token, longer_than_any_directory_makes_them)
{
    static char text[IICP_CONSUMER_TOKEN_MAX + 1];
    memset(text, 'A', sizeof(text));
    expect((struct tg_str){text, sizeof(text)}, IICP_TOKEN_TOO_LONG);
    memset(text + sizeof(text) - 129, '0', 128);
    text[sizeof(text) - 130] = '.';
    expect((struct tg_str){text, sizeof(text) - 1}, IICP_TOKEN_SIGNATURE);
}

Test(iicp_token, without_a_key_to_verify_it)
{
    keys.has_directory_key = false;
    expect_claims(CLAIMS, IICP_TOKEN_NO_KEY);
}

Test(iicp_token, every_refusal_looks_the_same_to_the_client)
{
    for (int r = IICP_TOKEN_OK + 1; r < IICP_TOKEN_FAILED; r++)
        cr_expect_eq(iicp_token_status((enum iicp_token_result)r), TG_UNAUTHORIZED);
    cr_expect_eq(tg_status_info(TG_UNAUTHORIZED)->http, 401);
}

/* ---- the cache ---------------------------------------------------------------------------------------- */

Test(iicp_token, the_signature_is_verified_once)
{
    struct tg_str token = signed_token(CLAIMS);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_OK);
    cr_expect_eq(cache.misses, 1);
    cr_expect_eq(cache.hits, 4);
}

Test(iicp_token, a_known_token_still_expires_and_is_for_one_intent)
{
    struct tg_str token = signed_token(CLAIMS);
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_OK);
    scope.intent = TG_STR("urn:iicp:intent:llm:embedding:v1");
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_INTENT);
    scope.intent = TG_STR(INTENT);
    scope.unix_s = 2000;
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_EXPIRED);
    cr_expect_eq(cache.hits, 2);
}

Test(iicp_token, a_new_directory_key_makes_known_tokens_unknown)
{
    struct tg_str token = signed_token(CLAIMS);
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_OK);
    crypto_ed25519_public(c, other_seed, keys.directory_key);
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_SIGNATURE);
}

Test(iicp_token, refused_tokens_push_nothing_out)
{
    struct tg_str token = TG_STR(PYTHON_CLAIMS "." PYTHON_SIGNATURE);
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_OK);
    char forged[] = PYTHON_CLAIMS "." PYTHON_SIGNATURE;
    for (int i = 0; i < 400; i++) {
        snprintf(forged + sizeof(forged) - 5, 5, "%04d", i);
        cr_expect_eq(iicp_token_verify(c, &keys, &cache, (struct tg_str){forged, sizeof(forged) - 1}, &scope),
                     IICP_TOKEN_SIGNATURE);
    }
    cr_expect_eq(iicp_token_verify(c, &keys, &cache, token, &scope), IICP_TOKEN_OK);
    cr_expect_eq(cache.hits, 1);
}

Test(iicp_token, more_tokens_than_the_cache_holds_are_verified_again)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 2 * IICP_TOKEN_SETS * IICP_TOKEN_WAYS; i++) {
            char claims[128];
            snprintf(claims, sizeof(claims),
                     "{\"v\":1,\"sub\":\"c-%d\",\"aud\":\"n1\",\"intent\":\"*\",\"exp\":1300}", i);
            cr_expect_eq(iicp_token_verify(c, &keys, &cache, signed_token(claims), &scope), IICP_TOKEN_OK);
        }
    }
    cr_expect_gt(cache.misses, 2u * IICP_TOKEN_SETS * IICP_TOKEN_WAYS);
}

/* ---- tokens that are compared -------------------------------------------------------------------------- */

Test(iicp_token, the_nodes_own_token_and_no_other)
{
    strcpy(keys.node_token, "abcdefghij");
    cr_expect(iicp_token_is_node(&keys, TG_STR("abcdefghij")));
    cr_expect_not(iicp_token_is_node(&keys, TG_STR("abcdefghiJ")));
    cr_expect_not(iicp_token_is_node(&keys, TG_STR("abcdefghi")));
    cr_expect_not(iicp_token_is_node(&keys, TG_STR("abcdefghijk")));
    cr_expect_not(iicp_token_is_node(&keys, TG_STR("")));
}

Test(iicp_token, a_node_without_token_takes_none)
{
    cr_expect_not(iicp_token_is_node(&keys, TG_STR("")));
    cr_expect_not(iicp_token_is_node(&keys, (struct tg_str){NULL, 0}));
    cr_expect_not(iicp_token_is_node(&keys, (struct tg_str){"\0", 1}));
}

static void expect_bearer(struct tg_str header, const char *wanted)
{
    struct tg_str got = iicp_token_bearer(header);
    cr_expect(tg_str_eq(got, (struct tg_str){wanted, strlen(wanted)}), "\"%.*s\" gave \"%.*s\"",
              (int)header.len, header.ptr, (int)got.len, got.ptr);
}

Test(iicp_token, what_follows_bearer)
{
    expect_bearer(TG_STR("Bearer abc.d-e_f~+/="), "abc.d-e_f~+/=");
    expect_bearer(TG_STR("bearer abc"), "abc");
    expect_bearer(TG_STR("BEARER \t abc \t"), "abc");
}

Test(iicp_token, what_is_no_bearer_token)
{
    expect_bearer(TG_STR(""), "");
    expect_bearer(TG_STR("Bearer"), "");
    expect_bearer(TG_STR("Bearer "), "");
    expect_bearer(TG_STR("Bearerabc"), "");
    expect_bearer(TG_STR("Basic abc"), "");
    expect_bearer(TG_STR("abc"), "");
    expect_bearer(TG_STR("Bearer a b"), "");
    expect_bearer(TG_STR("Bearer a\x80"), "");
    expect_bearer(TG_STR("\x02"
                         "earer abc"),
                  "");
}

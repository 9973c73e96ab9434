/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What confidential tasks and tokens cost a worker: opening a request and sealing its reply at three sizes,
 * and the parts by themselves. One thread, warm contexts; the median of many rounds. The envelope is parsed
 * once and only opened again and again, as parsing is paid for by plain tasks too.
 *
 *     bench-cx
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "gateway/base/base64.h"
#include "gateway/base/clock.h"
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_cx.h"
#include "gateway/dialect/iicp_sign.h"
#include "gateway/dialect/iicp_token.h"

#define ROUNDS 201
#define ROUND_NS NS_PER_MS
#define PLAIN_MAX 65536
#define TEXT_MAX (2 * PLAIN_MAX)
#define TASK_ID TG_STR("6f1c2a7e-53a3-4a54-9f6b-1f2f0e8d9a10")
#define INTENT TG_STR("urn:iicp:intent:llm:chat:v1")

static struct crypto *crypto;
static struct iicp_keys keys;
static struct tg_json_node nodes[64];
static struct tg_json_doc envelope = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
static struct iicp_cx_opened opened;
static char envelope_text[TEXT_MAX], out[TEXT_MAX], reply_text[PLAIN_MAX + CRYPTO_TAG_BYTES], data[PLAIN_MAX];
static size_t plain_len;

static void require(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "bench-cx: %s failed\n", what);
    exit(1);
}

/* ---- measuring ---------------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double time_of(void (*once)(void), uint32_t count)
{
    uint64_t start = clock_now_ns();
    for (uint32_t i = 0; i < count; i++)
        once();
    return (double)(clock_now_ns() - start) / count;
}

static void measure(const char *what, size_t bytes, void (*once)(void))
{
    double rounds[ROUNDS];
    time_of(once, 8); /* warms up */
    double guess = time_of(once, 8);
    uint32_t count = (uint32_t)((double)ROUND_NS / guess) + 1;
    for (int i = 0; i < ROUNDS; i++)
        rounds[i] = time_of(once, count);
    qsort(rounds, ROUNDS, sizeof(rounds[0]), by_value);
    printf("%-34s %6zu B %10.2f %10.2f\n", what, bytes, rounds[0] / 1e3, rounds[ROUNDS / 2] / 1e3);
}

/* ---- a request, as its client makes it ------------------------------------------------------------------
 */

static void write_member(struct tg_json_writer *w, struct tg_str key, const void *bytes, size_t n)
{
    static char text[TEXT_MAX];
    tg_json_write_key(w, key);
    tg_json_write_string(w, (struct tg_str){text, base64_write(text, bytes, n)});
}

static void seal_body(const uint8_t *secret, const uint8_t *nonce, struct tg_str aad, uint8_t *sealed)
{
    uint8_t key[CRYPTO_KEY_BYTES];
    char info[128];
    int len = snprintf(info, sizeof(info), "IICP-CX-v1%s%s", TASK_ID.ptr, INTENT.ptr);
    struct tg_str ikm = {(const char *)secret, 32}, salt = {(const char *)nonce, 12},
                  info_str = {info, (size_t)len};
    require(crypto_hkdf(crypto, ikm, salt, info_str, key, sizeof(key)) == 0, "a key");
    require(crypto_seal(crypto, key, nonce, aad, (struct tg_str){data, plain_len}, sealed) == 0, "sealing");
}

static void make_envelope(void)
{
    static uint8_t sealed[PLAIN_MAX + CRYPTO_TAG_BYTES];
    uint8_t own[32], ephemeral[32], secret[32], nonce[12] = {1};
    struct tg_json_error err;
    struct tg_json_writer w;
    char aad[128];
    int aad_len = snprintf(aad, sizeof(aad), "%s|%s", TASK_ID.ptr, INTENT.ptr);
    memset(own, 0x22, sizeof(own));
    require(crypto_x25519_public(crypto, own, ephemeral) == 0 &&
                crypto_x25519(crypto, own, keys.cx_public, secret) == 0,
            "keys");
    seal_body(secret, nonce, (struct tg_str){aad, (size_t)aad_len}, sealed);
    tg_json_writer_init(&w, envelope_text, sizeof(envelope_text));
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "version");
    tg_json_write_u64(&w, 1);
    TG_JSON_KEY(&w, "recipient_key_id");
    tg_json_write_string(&w, (struct tg_str){keys.cx_key_id, IICP_CX_KEY_ID_BYTES});
    write_member(&w, TG_STR("kem_ciphertext"), ephemeral, sizeof(ephemeral));
    write_member(&w, TG_STR("nonce"), nonce, sizeof(nonce));
    write_member(&w, TG_STR("aad"), aad, (size_t)aad_len);
    write_member(&w, TG_STR("encrypted_body"), sealed, plain_len + CRYPTO_TAG_BYTES);
    tg_json_write_end_object(&w);
    require(!w.overflow && tg_json_parse(&envelope, w.buf, w.len, &err) == 0, "an envelope");
}

static void open_request(void)
{
    require(iicp_cx_open(crypto, &keys, &envelope, nodes, TASK_ID, INTENT, out, sizeof(out), &opened) ==
                IICP_CX_DONE,
            "opening");
}

static void seal_reply(void)
{
    struct tg_json_writer w;
    struct iicp_cx_reply reply = {opened.secret, TASK_ID, reply_text, plain_len, sizeof(reply_text)};
    tg_json_writer_init(&w, out, sizeof(out));
    require(iicp_cx_seal(crypto, &reply, &w) == IICP_CX_DONE, "sealing a reply");
}

static void open_and_seal(void)
{
    open_request();
    seal_reply();
}

/* ---- the parts ---------------------------------------------------------------------------------------- */

static uint8_t hash[32], signature[64], peer[32];
static struct iicp_token_cache cache;
static char token[512];
static size_t token_len;
static const struct iicp_token_scope scope = {TG_STR_INIT("n1"), TG_STR_INIT("urn:iicp:intent:llm:chat:v1"),
                                              1100};

static void sha256(void)
{
    crypto_sha256(crypto, (struct tg_str){data, plain_len}, hash);
}

static void hmac(void)
{
    crypto_hmac(crypto, TG_STR("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"),
                (struct tg_str){data, plain_len}, hash);
}

static void hkdf(void)
{
    crypto_hkdf(crypto, (struct tg_str){data, 32}, (struct tg_str){data, 12},
                (struct tg_str){data, plain_len}, hash, 32);
}

static void x25519(void)
{
    require(crypto_x25519(crypto, keys.cx_private, peer, hash) == 0, "X25519");
}

static void seal(void)
{
    crypto_seal(crypto, hash, hash, (struct tg_str){data, 64}, (struct tg_str){data, plain_len},
                (uint8_t *)out);
}

static void encode(void)
{
    base64_write(out, data, plain_len);
}

static void decode(void)
{
    require(base64_read(data, sizeof(data), (struct tg_str){out, BASE64_CHARS(plain_len)}) > 0, "base64");
}

static void ed25519_verify(void)
{
    require(crypto_ed25519_verify(crypto, keys.directory_key, (struct tg_str){data, plain_len}, signature) ==
                0,
            "Ed25519");
}

static void token_first(void)
{
    require(iicp_token_verify(crypto, &keys, NULL, (struct tg_str){token, token_len}, &scope) ==
                IICP_TOKEN_OK,
            "a token");
}

static void token_again(void)
{
    require(iicp_token_verify(crypto, &keys, &cache, (struct tg_str){token, token_len}, &scope) ==
                IICP_TOKEN_OK,
            "a token");
}

static void make_token(const uint8_t *seed)
{
    static const char label[] = "iicp:consumer-token:v1\n";
    static const char claims[] =
        "{\"v\":1,\"iss\":\"https://directory.example\",\"sub\":\"c-1\",\"aud\":\"n1\","
        "\"intent\":\"urn:iicp:intent:llm:chat:v1\",\"iat\":1000,\"exp\":1300}";
    char text[512];
    uint8_t mark[64];
    size_t start = sizeof(label) - 1;
    memcpy(text, label, start);
    size_t len = base64_write(text + start, claims, sizeof(claims) - 1);
    require(crypto_ed25519_sign(crypto, seed, (struct tg_str){text, start + len}, mark) == 0, "signing");
    memcpy(token, text + start, len);
    token[len] = '.';
    hex_write(token + len + 1, mark, sizeof(mark));
    token_len = len + 129;
}

static void prepare(void)
{
    uint8_t seed[32], ephemeral[32];
    memset(seed, 0x33, sizeof(seed));
    memset(ephemeral, 0x22, sizeof(ephemeral));
    memset(data, 'x', sizeof(data));
    crypto = crypto_create();
    require(crypto && iicp_cx_key_generate(crypto, &keys) == 0, "the key");
    require(crypto_x25519_public(crypto, ephemeral, peer) == 0, "the peer's key");
    require(crypto_ed25519_public(crypto, seed, keys.directory_key) == 0, "the directory's key");
    keys.has_directory_key = true;
    plain_len = 200;
    require(crypto_ed25519_sign(crypto, seed, (struct tg_str){data, plain_len}, signature) == 0, "signing");
    make_token(seed);
}

int main(void)
{
    static const size_t sizes[] = {200, 4096, PLAIN_MAX};
    prepare();
    printf("%-34s %8s %10s %10s   (us each; %d rounds)\n", "", "", "best", "median", ROUNDS);
    for (size_t i = 0; i < TG_ARRAY_SIZE(sizes); i++) {
        plain_len = sizes[i];
        make_envelope();
        measure("confidential task: open", plain_len, open_request);
        measure("confidential task: seal", plain_len, seal_reply);
        measure("confidential task: open and seal", plain_len, open_and_seal);
        measure("SHA-256", plain_len, sha256);
        measure("HMAC-SHA-256", plain_len, hmac);
        measure("AES-256-GCM seal", plain_len, seal);
        measure("base64url write", plain_len, encode);
        encode();
        measure("base64url read", plain_len, decode);
        memset(data, 'x', sizeof(data));
    }
    plain_len = 73;
    measure("HKDF-SHA-256", plain_len, hkdf);
    measure("X25519, own key kept", 32, x25519);
    plain_len = 200;
    measure("Ed25519 verify", plain_len, ed25519_verify);
    measure("consumer token, first time", token_len, token_first);
    measure("consumer token, known", token_len, token_again);
    crypto_destroy(crypto);
    return 0;
}

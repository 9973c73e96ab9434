/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: confidential envelopes. The input is a request as it is posted; it is opened with the key of
 * the contract's test vectors. What opens was sealed for its task, and sealing it again gives the same bytes.
 * Then the input is what an honest client sends: it opens, and with any bit changed it does not.
 */
#include "gateway/base/base64.h"
#include "gateway/dialect/iicp_cx.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096
#define NODES_MAX TG_JSON_NODES_MAX(INPUT_MAX)

static struct crypto *crypto;
static struct iicp_keys keys;
static struct tg_json_node nodes[NODES_MAX];

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void start(void)
{
    uint8_t private_key[CRYPTO_KEY_BYTES];
    memset(private_key, 0x11, sizeof(private_key));
    crypto = crypto_create();
    require(crypto && iicp_cx_key_set(crypto, &keys, private_key) == 0);
}

static struct tg_str name_of(const struct tg_json_doc *doc, struct tg_str key, char *out, size_t cap)
{
    const struct tg_json_node *n = tg_json_get(doc, doc->nodes, key);
    int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(doc, n, out, cap) : -1;
    return (struct tg_str){out, len < 0 ? 0 : (size_t)len};
}

/* ---- sealing as a client does -------------------------------------------------------------------------- */

static size_t join(char *out, struct tg_str a, struct tg_str b, struct tg_str c)
{
    const struct tg_str parts[] = {a, b, c};
    size_t len = 0;
    for (size_t i = 0; i < TG_ARRAY_SIZE(parts); len += parts[i++].len)
        memcpy(out + len, parts[i].ptr, parts[i].len);
    return len;
}

static void seal(const uint8_t *secret, const uint8_t *nonce, struct tg_str task_id, struct tg_str intent,
                 struct tg_str plain, uint8_t *out)
{
    char info[1024], aad[1024];
    uint8_t key[CRYPTO_KEY_BYTES];
    struct tg_str info_str = {info, join(info, TG_STR("IICP-CX-v1"), task_id, intent)};
    struct tg_str aad_str = {aad, join(aad, task_id, TG_STR("|"), intent)};
    struct tg_str ikm = {(const char *)secret, IICP_CX_SECRET_BYTES},
                  salt = {(const char *)nonce, CRYPTO_NONCE_BYTES};
    require(crypto_hkdf(crypto, ikm, salt, info_str, key, sizeof(key)) == 0);
    require(crypto_seal(crypto, key, nonce, aad_str, plain, out) == 0);
}

/* ---- the input as a request -----------------------------------------------------------------------------
 */

static void check_opened(const struct tg_json_doc *doc, const struct tg_json_node *conf,
                         struct tg_str task_id, struct tg_str intent, const struct iicp_cx_opened *opened)
{
    static char body[INPUT_MAX];
    static uint8_t again[INPUT_MAX];
    char text[256];
    uint8_t nonce[CRYPTO_NONCE_BYTES];
    int64_t len = tg_json_unescape(doc, tg_json_get(doc, conf, TG_STR("nonce")), text, sizeof(text));
    require(len >= 0 &&
            base64_read(nonce, sizeof(nonce), (struct tg_str){text, (size_t)len}) == (int64_t)sizeof(nonce));
    len = tg_json_unescape(doc, tg_json_get(doc, conf, TG_STR("encrypted_body")), body, sizeof(body));
    require(len >= 0);
    len = base64_read(body, sizeof(body), (struct tg_str){body, (size_t)len});
    require(len == (int64_t)(opened->plain.len + CRYPTO_TAG_BYTES));
    seal(opened->secret, nonce, task_id, intent, opened->plain, again);
    require(memcmp(again, body, (size_t)len) == 0);
}

static void fuzz_request(const uint8_t *data, size_t size)
{
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES_MAX};
    struct tg_json_error err;
    struct iicp_cx_opened opened;
    char id_text[IICP_CX_TASK_ID_MAX + 1], intent_text[IICP_CX_INTENT_MAX + 1];
    if (tg_json_parse(&doc, (const char *)data, size, &err) < 0)
        return;
    struct tg_str task_id = name_of(&doc, TG_STR("task_id"), id_text, sizeof(id_text));
    struct tg_str intent = name_of(&doc, TG_STR("intent"), intent_text, sizeof(intent_text));
    const struct tg_json_node *conf = tg_json_get(&doc, doc.nodes, TG_STR("iicp_conf"));
    if (!conf)
        return;
    char *out = malloc(size); /* to the byte, so that the address sanitizer guards its end */
    require(out);
    if (iicp_cx_open(crypto, &keys, &doc, conf, task_id, intent, out, size, &opened) == IICP_CX_DONE)
        check_opened(&doc, conf, task_id, intent, &opened);
    free(out);
}

/* ---- the input as a plaintext ---------------------------------------------------------------------------
 */

static void write_member(struct tg_json_writer *w, struct tg_str key, const void *bytes, size_t n)
{
    static char text[BASE64_CHARS(INPUT_MAX + CRYPTO_TAG_BYTES)];
    tg_json_write_key(w, key);
    tg_json_write_string(w, (struct tg_str){text, base64_write(text, bytes, n)});
}

static enum iicp_cx_result open_sealed(const uint8_t *ephemeral, const uint8_t *sealed, size_t len,
                                       struct iicp_cx_opened *o)
{
    static char text[2 * INPUT_MAX + 1024], out[INPUT_MAX + CRYPTO_TAG_BYTES];
    static const uint8_t nonce[CRYPTO_NONCE_BYTES];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES_MAX};
    struct tg_json_error err;
    struct tg_json_writer w;
    tg_json_writer_init(&w, text, sizeof(text));
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "version");
    tg_json_write_u64(&w, 1);
    TG_JSON_KEY(&w, "recipient_key_id");
    tg_json_write_string(&w, (struct tg_str){keys.cx_key_id, IICP_CX_KEY_ID_BYTES});
    write_member(&w, TG_STR("kem_ciphertext"), ephemeral, CRYPTO_KEY_BYTES);
    write_member(&w, TG_STR("nonce"), nonce, sizeof(nonce));
    write_member(&w, TG_STR("aad"), "t|i", 3);
    write_member(&w, TG_STR("encrypted_body"), sealed, len);
    tg_json_write_end_object(&w);
    require(!w.overflow && tg_json_parse(&doc, w.buf, w.len, &err) == 0);
    return iicp_cx_open(crypto, &keys, &doc, doc.nodes, TG_STR("t"), TG_STR("i"), out, sizeof(out), o);
}

static void fuzz_plain(const uint8_t *data, size_t size)
{
    static uint8_t sealed[INPUT_MAX + CRYPTO_TAG_BYTES];
    static const uint8_t nonce[CRYPTO_NONCE_BYTES];
    uint8_t private_key[CRYPTO_KEY_BYTES], ephemeral[CRYPTO_KEY_BYTES], secret[IICP_CX_SECRET_BYTES];
    struct iicp_cx_opened opened;
    struct tg_str plain = {(const char *)data, size};
    size_t len = size + CRYPTO_TAG_BYTES, bit = size * 2654435761u % (8 * len);
    memset(private_key, 0x22, sizeof(private_key));
    require(crypto_x25519_public(crypto, private_key, ephemeral) == 0);
    require(crypto_x25519(crypto, keys.cx_private, ephemeral, secret) == 0);
    seal(secret, nonce, TG_STR("t"), TG_STR("i"), plain, sealed);
    require(open_sealed(ephemeral, sealed, len, &opened) == IICP_CX_DONE && tg_str_eq(opened.plain, plain));
    sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    require(open_sealed(ephemeral, sealed, len, &opened) == IICP_CX_SEALED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!crypto)
        start();
    size = TG_MIN(size, (size_t)INPUT_MAX);
    fuzz_request(data, size);
    fuzz_plain(data, size);
    return 0;
}

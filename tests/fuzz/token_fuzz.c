/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: consumer tokens and Authorization headers. The input is taken for a token, for the header, and
 * for claims that the directory signed. A token that was cached gets the same verdict, and only claims that
 * say what is asked for are accepted.
 */
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "gateway/dialect/iicp_token.h"
#include "tg/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 2048
#define LABEL "iicp:consumer-token:v1\n"

static struct crypto *crypto;
static struct iicp_keys keys;
static struct iicp_token_cache cache;
static uint8_t seed[CRYPTO_KEY_BYTES];
static const struct iicp_token_scope scope = {TG_STR_INIT("n1"), TG_STR_INIT("urn:iicp:intent:llm:chat:v1"),
                                              1100};

static void require(bool holds)
{
    if (!holds)
        abort();
}

static void start(void)
{
    memset(seed, 0x33, sizeof(seed));
    crypto = crypto_create();
    require(crypto && crypto_ed25519_public(crypto, seed, keys.directory_key) == 0);
    keys.has_directory_key = true;
    strcpy(keys.node_token, "own-token");
}

/* Memory to the byte, so that the address sanitizer guards both ends. */
static char *copy_of(const void *bytes, size_t n)
{
    char *copy = malloc(n ? n : 1);
    require(copy);
    memcpy(copy, bytes, n);
    return copy;
}

static enum iicp_token_result verify(const void *token, size_t n)
{
    char *copy = copy_of(token, n);
    struct tg_str text = {copy, n};
    enum iicp_token_result r = iicp_token_verify(crypto, &keys, NULL, text, &scope);
    require(iicp_token_verify(crypto, &keys, &cache, text, &scope) == r);
    require(iicp_token_verify(crypto, &keys, &cache, text, &scope) == r);
    free(copy);
    return r;
}

static void fuzz_header(const uint8_t *data, size_t size)
{
    char *copy = copy_of(data, size);
    struct tg_str token = iicp_token_bearer((struct tg_str){copy, size});
    require(token.len == 0 || (token.ptr >= copy + 7 && token.ptr + token.len <= copy + size));
    require(iicp_token_is_node(&keys, token) == tg_str_eq(token, TG_STR("own-token")));
    free(copy);
}

/* ---- claims that were signed ----------------------------------------------------------------------------
 */

static bool says(const struct tg_json_doc *doc, struct tg_str key, struct tg_str value)
{
    const struct tg_json_node *n = tg_json_get(doc, doc->nodes, key);
    return n && n->type == TG_JSON_STRING && tg_json_string_eq(doc, n, value);
}

static bool acceptable(const uint8_t *claims, size_t size)
{
    static struct tg_json_node nodes[64];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = 64};
    struct tg_json_error err;
    if (tg_json_parse(&doc, (const char *)claims, size, &err) < 0)
        return false;
    const struct tg_json_node *v = tg_json_get(&doc, nodes, TG_STR("v")),
                              *exp = tg_json_get(&doc, nodes, TG_STR("exp"));
    return v && v->type == TG_JSON_INT && v->i64 == 1 && says(&doc, TG_STR("aud"), scope.node_id) &&
           (says(&doc, TG_STR("intent"), scope.intent) || says(&doc, TG_STR("intent"), TG_STR("*"))) && exp &&
           tg_json_is_number(exp) && tg_json_number(exp) >= 1090;
}

static void fuzz_claims(const uint8_t *claims, size_t size)
{
    static char text[sizeof(LABEL) + BASE64_CHARS(INPUT_MAX) + 130];
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    size_t label = sizeof(LABEL) - 1, len = label;
    memcpy(text, LABEL, label);
    len += base64_write(text + len, claims, size);
    require(crypto_ed25519_sign(crypto, seed, (struct tg_str){text, len}, signature) == 0);
    text[len++] = '.';
    hex_write(text + len, signature, sizeof(signature));
    len += 2 * sizeof(signature);
    enum iicp_token_result r = verify(text + label, len - label);
    if (len - label > IICP_CONSUMER_TOKEN_MAX)
        require(r == IICP_TOKEN_TOO_LONG);
    else if (size == 0)
        require(r == IICP_TOKEN_MALFORMED);
    else
        require((r == IICP_TOKEN_OK) == acceptable(claims, size) && r != IICP_TOKEN_SIGNATURE &&
                r != IICP_TOKEN_FAILED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!crypto)
        start();
    size = TG_MIN(size, (size_t)INPUT_MAX);
    verify(data, size);
    fuzz_header(data, size);
    fuzz_claims(data, size);
    return 0;
}

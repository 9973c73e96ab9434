/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials of those who submit tasks. */
#include <errno.h>
#include <string.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "iicp_token.h"
#include "tg/json.h"

#define LABEL "iicp:consumer-token:v1\n"
#define SIGNATURE_CHARS (2 * CRYPTO_SIGNATURE_BYTES)
#define CLAIMS_NODES_MAX 64 /* fifteen are usual */

static const struct tg_str reasons[IICP_TOKEN_RESULT_COUNT] = {
#define TOKEN(ident, reason) TG_STR_INIT(reason),
#include "iicp_token.def"
#undef TOKEN
};

struct tg_str iicp_token_reason(enum iicp_token_result r)
{
    return reasons[r];
}

enum tg_status iicp_token_status(enum iicp_token_result r)
{
    return r == IICP_TOKEN_OK ? TG_OK : r == IICP_TOKEN_FAILED ? TG_INTERNAL : TG_UNAUTHORIZED;
}

/* ---- the two parts ------------------------------------------------------------------------------------ */

struct parts {
    struct tg_str claims; /* base64url, as it came: the signature is over this text */
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
};

static bool split(struct tg_str token, struct parts *p)
{
    if (token.len < SIGNATURE_CHARS + 2)
        return false;
    p->claims = (struct tg_str){token.ptr, token.len - SIGNATURE_CHARS - 1};
    struct tg_str signature = {token.ptr + p->claims.len + 1, SIGNATURE_CHARS};
    return token.ptr[p->claims.len] == '.' && hex_read(p->signature, sizeof(p->signature), signature);
}

/* ---- the signature ------------------------------------------------------------------------------------ */

static enum iicp_token_result verify_signature(struct crypto *c, const uint8_t *directory_key,
                                               const struct parts *p)
{
    char message[sizeof(LABEL) + IICP_CONSUMER_TOKEN_MAX];
    size_t label = sizeof(LABEL) - 1;
    memcpy(message, LABEL, label);
    memcpy(message + label, p->claims.ptr, p->claims.len);
    int rc = crypto_ed25519_verify(c, directory_key, (struct tg_str){message, label + p->claims.len},
                                   p->signature);
    return rc == 0 ? IICP_TOKEN_OK : rc == -EBADMSG ? IICP_TOKEN_SIGNATURE : IICP_TOKEN_FAILED;
}

static bool digest_of(struct crypto *c, const uint8_t *directory_key, struct tg_str token, uint8_t *digest)
{
    return crypto_sha256_begin(c) == 0 &&
           crypto_sha256_add(c, (struct tg_str){(const char *)directory_key, CRYPTO_KEY_BYTES}) == 0 &&
           crypto_sha256_add(c, token) == 0 && crypto_sha256_end(c, digest) == 0;
}

/* The one that is found, or comes new, moves to the front; a new one pushes out the one unused for longest.
 */
static void move_to_front(uint8_t (*set)[CRYPTO_HASH_BYTES], uint32_t way, const uint8_t *digest)
{
    memmove(set[1], set[0], (size_t)way * CRYPTO_HASH_BYTES);
    memcpy(set[0], digest, CRYPTO_HASH_BYTES);
}

static bool cached(struct iicp_token_cache *cache, const uint8_t *digest)
{
    uint8_t(*set)[CRYPTO_HASH_BYTES] = cache->seen[digest[0] % IICP_TOKEN_SETS];
    for (uint32_t way = 0; way < IICP_TOKEN_WAYS; way++) {
        if (memcmp(set[way], digest, CRYPTO_HASH_BYTES) == 0) {
            move_to_front(set, way, digest);
            cache->hits++;
            return true;
        }
    }
    cache->misses++;
    return false;
}

static enum iicp_token_result check_signature(struct crypto *c, const struct iicp_keys *keys,
                                              struct iicp_token_cache *cache, struct tg_str token,
                                              const struct parts *p)
{
    uint8_t digest[CRYPTO_HASH_BYTES];
    if (!cache)
        return verify_signature(c, keys->directory_key, p);
    if (!digest_of(c, keys->directory_key, token, digest))
        return IICP_TOKEN_FAILED;
    if (cached(cache, digest))
        return IICP_TOKEN_OK;
    enum iicp_token_result r = verify_signature(c, keys->directory_key, p);
    if (r == IICP_TOKEN_OK)
        move_to_front(cache->seen[digest[0] % IICP_TOKEN_SETS], IICP_TOKEN_WAYS - 1, digest);
    return r;
}

/* ---- the claims --------------------------------------------------------------------------------------- */

static bool is_string(const struct tg_json_node *n)
{
    return n && n->type == TG_JSON_STRING;
}

static enum iicp_token_result check_claims(const struct tg_json_doc *doc,
                                           const struct iicp_token_scope *scope)
{
    const struct tg_json_node *version = tg_json_get(doc, doc->nodes, TG_STR("v"));
    const struct tg_json_node *audience = tg_json_get(doc, doc->nodes, TG_STR("aud"));
    const struct tg_json_node *intent = tg_json_get(doc, doc->nodes, TG_STR("intent"));
    const struct tg_json_node *expiry = tg_json_get(doc, doc->nodes, TG_STR("exp"));
    if (!version || !is_string(audience) || !is_string(intent) || !expiry || !tg_json_is_number(expiry))
        return IICP_TOKEN_CLAIMS;
    if (version->type != TG_JSON_INT || version->i64 != 1)
        return IICP_TOKEN_VERSION;
    if (!tg_json_string_eq(doc, audience, scope->node_id))
        return IICP_TOKEN_AUDIENCE;
    if (!tg_json_string_eq(doc, intent, TG_STR("*")) && !tg_json_string_eq(doc, intent, scope->intent))
        return IICP_TOKEN_INTENT;
    return (double)scope->unix_s <= tg_json_number(expiry) + IICP_TOKEN_LEEWAY_S ? IICP_TOKEN_OK
                                                                                 : IICP_TOKEN_EXPIRED;
}

static enum iicp_token_result read_claims(struct tg_str claims, const struct iicp_token_scope *scope)
{
    char text[BASE64_BYTES(IICP_CONSUMER_TOKEN_MAX) + 1];
    struct tg_json_node nodes[CLAIMS_NODES_MAX];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = CLAIMS_NODES_MAX};
    struct tg_json_error err;
    int64_t len = base64_read(text, sizeof(text), claims);
    if (len < 0)
        return IICP_TOKEN_MALFORMED;
    if (tg_json_parse(&doc, text, (size_t)len, &err) < 0)
        return IICP_TOKEN_CLAIMS;
    return check_claims(&doc, scope);
}

enum iicp_token_result iicp_token_verify(struct crypto *c, const struct iicp_keys *keys,
                                         struct iicp_token_cache *cache, struct tg_str token,
                                         const struct iicp_token_scope *scope)
{
    struct parts p;
    if (token.len > IICP_CONSUMER_TOKEN_MAX)
        return IICP_TOKEN_TOO_LONG;
    if (!split(token, &p))
        return IICP_TOKEN_MALFORMED;
    if (!keys->has_directory_key)
        return IICP_TOKEN_NO_KEY;
    enum iicp_token_result r = check_signature(c, keys, cache, token, &p);
    return r == IICP_TOKEN_OK ? read_claims(p.claims, scope) : r;
}

/* ---- tokens that are only compared --------------------------------------------------------------------- */

bool iicp_token_is_node(const struct iicp_keys *keys, struct tg_str given)
{
    struct tg_str own = {keys->node_token, strnlen(keys->node_token, sizeof(keys->node_token))};
    return own.len > 0 && crypto_equal(own, given);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Visible characters only: a token with a space inside would be two. */
static bool is_one_word(struct tg_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    return true;
}

struct tg_str iicp_token_bearer(struct tg_str h)
{
    static const char scheme[] = "bearer";
    size_t at = sizeof(scheme) - 1;
    if (h.len <= at || !is_space(h.ptr[at]))
        return (struct tg_str){NULL, 0};
    for (size_t i = 0; i < at; i++)
        if ((h.ptr[i] | 0x20) != scheme[i])
            return (struct tg_str){NULL, 0};
    while (at < h.len && is_space(h.ptr[at]))
        at++;
    while (h.len > at && is_space(h.ptr[h.len - 1]))
        h.len--;
    struct tg_str token = {h.ptr + at, h.len - at};
    return is_one_word(token) ? token : (struct tg_str){NULL, 0};
}

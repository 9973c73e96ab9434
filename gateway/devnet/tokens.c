/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/directory-key, POST /v1/consumer-token, POST /v1/relay/ticket, and tokens for nodes' own calls. */
#include "tokens.h"

#include <stdio.h>
#include <string.h>

#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "handlers.h"
#include "rules.h"
#include "text.h"

#define CONSUMER_LIFETIME_S 300
#define TICKET_LIFETIME_S 120
#define CLAIMS_MAX 1024
#define TOKEN_MAX (BASE64_CHARS(CLAIMS_MAX) + 2 * CRYPTO_SIGNATURE_BYTES + 2)

void devnet_directory_key(struct exchange *x)
{
    char hex[2 * CRYPTO_KEY_BYTES + 1] = "";
    exchange_lock(x);
    hex_write(hex, x->d->public_key, CRYPTO_KEY_BYTES);
    exchange_unlock(x);
    exchange_begin(x, 200);
    exchange_text(x, "public_key", hex);
    exchange_text(x, "algorithm", "ed25519");
    exchange_end(x);
}

/* ---- claims and their signature ------------------------------------------------------------------------ */

static void claim(struct tg_json_writer *w, const char *key, const char *value)
{
    tg_json_write_key(w, text_of(key));
    tg_json_write_string(w, text_of(value));
}

static void claim_times(struct exchange *x, struct tg_json_writer *w, uint32_t lifetime_s, time_t *end)
{
    time_t now = devnet_now(x->d);
    *end = now + (time_t)lifetime_s;
    TG_JSON_KEY(w, "iat");
    tg_json_write_i64(w, now);
    TG_JSON_KEY(w, "exp");
    tg_json_write_i64(w, *end);
    tg_json_write_end_object(w);
}

/* "<claims in base64url>.<128 hex digits>", signed with a line that names the purpose before it. */
static bool seal(struct exchange *x, const char *purpose, const struct tg_json_writer *claims,
                 char out[TOKEN_MAX])
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    char message[TOKEN_MAX + 64];
    if (claims->overflow)
        return false;
    size_t len = base64_write(out, claims->buf, claims->len);
    int n = snprintf(message, sizeof(message), "%s\n%.*s", purpose, (int)len, out);
    if (crypto_ed25519_sign(x->crypto, x->d->key_seed, (struct tg_str){message, (size_t)n}, signature) != 0)
        return false;
    out[len++] = '.';
    hex_write(out + len, signature, sizeof(signature));
    out[len + 2 * sizeof(signature)] = '\0';
    return true;
}

static void cannot_sign(struct exchange *x)
{
    exchange_error(x, 500, "internal_error", "the token could not be signed");
}

/* ---- consumer tokens ----------------------------------------------------------------------------------- */

static void issue_consumer_token(struct exchange *x, const struct devnet_node *n)
{
    char target[NODE_ID_MAX + 1], intent[256], buf[CLAIMS_MAX], token[TOKEN_MAX];
    struct tg_json_writer w;
    time_t end;
    exchange_member(x, "target_node_id", target, sizeof(target));
    exchange_member(x, "intent", intent, sizeof(intent));
    if (!devnet_node_find(x->d, target)) {
        exchange_error(x, 404, "IICP-E003", "target node not found");
        return;
    }
    tg_json_writer_init(&w, buf, sizeof(buf));
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "v");
    tg_json_write_i64(&w, 1);
    claim(&w, "iss", x->d->url);
    claim(&w, "sub", n->id);
    claim(&w, "aud", target);
    claim(&w, "intent", intent);
    claim_times(x, &w, CONSUMER_LIFETIME_S, &end);
    if (!seal(x, "iicp:consumer-token:v1", &w, token)) {
        cannot_sign(x);
        return;
    }
    exchange_begin(x, 201);
    exchange_text(x, "token", token);
    exchange_time(x, "expires_at", end);
    exchange_text(x, "target_node_id", target);
    exchange_text(x, "intent", intent);
    exchange_end(x);
}

void devnet_consumer_token(struct exchange *x)
{
    exchange_lock(x);
    const struct devnet_node *n = exchange_caller(x);
    if (n && rules_hold(x, "consumer_token"))
        issue_consumer_token(x, n);
    exchange_unlock(x);
}

/* ---- relay tickets ------------------------------------------------------------------------------------- */

static void issue_ticket(struct exchange *x, const struct devnet_node *n)
{
    char relay[NODE_ID_MAX + 1], jti[33], buf[CLAIMS_MAX], ticket[TOKEN_MAX];
    struct tg_json_writer w;
    time_t end;
    bool named = exchange_member(x, "relay_node_id", relay, sizeof(relay)) && relay[0];
    if (named && !devnet_node_find(x->d, relay)) {
        exchange_error(x, 404, "IICP-E003", "relay node not found");
        return;
    }
    devnet_random_hex(x->d, x->crypto, jti, 32);
    tg_json_writer_init(&w, buf, sizeof(buf));
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "v");
    tg_json_write_i64(&w, 1);
    claim(&w, "typ", "relay-bind-ticket");
    claim(&w, "jti", jti);
    claim(&w, "iss", x->d->url);
    claim(&w, "sub", n->id);
    claim(&w, "aud", named ? relay : "*");
    claim_times(x, &w, TICKET_LIFETIME_S, &end);
    if (!seal(x, "iicp:relay-bind-ticket:v1", &w, ticket)) {
        cannot_sign(x);
        return;
    }
    exchange_begin(x, 201);
    exchange_text(x, "ticket", ticket);
    exchange_time(x, "expires_at", end);
    exchange_text(x, "worker_node_id", n->id);
    exchange_text(x, "relay_node_id", named ? relay : "*");
    exchange_text(x, "algorithm", "ed25519");
    exchange_end(x);
}

void devnet_relay_ticket(struct exchange *x)
{
    exchange_lock(x);
    const struct devnet_node *n = exchange_caller(x);
    if (n && rules_hold(x, "relay_ticket"))
        issue_ticket(x, n);
    exchange_unlock(x);
}

/* ---- JWT (RFC 7519, EdDSA) ----------------------------------------------------------------------------- */

/* {"alg":"EdDSA","typ":"JWT"} */
#define JWT_HEADER "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9."

bool jwt_issue(struct devnet *d, struct crypto *crypto, const char *node_id, char out[JWT_TEXT_MAX])
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    char claims[128];
    int n = snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"exp\":%lld}", node_id,
                     (long long)devnet_now(d) + JWT_LIFETIME_S);
    size_t len = sizeof(JWT_HEADER) - 1;
    memcpy(out, JWT_HEADER, len);
    len += base64_write(out + len, claims, (size_t)n);
    if (crypto_ed25519_sign(crypto, d->key_seed, (struct tg_str){out, len}, signature) != 0)
        return false;
    out[len++] = '.';
    len += base64_write(out + len, signature, sizeof(signature));
    out[len] = '\0';
    return true;
}

static bool claims_hold(const struct devnet *d, struct tg_str text, char node_id[NODE_ID_MAX + 1])
{
    struct tg_json_node nodes[TG_JSON_NODES_MAX(JWT_TEXT_MAX)];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
    struct tg_json_error why;
    if (tg_json_parse(&doc, text.ptr, text.len, &why) != 0)
        return false;
    const struct tg_json_node *end = tg_json_get(&doc, doc.nodes, TG_STR("exp"));
    return end && end->type == TG_JSON_INT && end->i64 >= devnet_now(d) &&
           text_member(&doc, doc.nodes, "sub", node_id, NODE_ID_MAX + 1);
}

bool jwt_verify(struct devnet *d, struct crypto *crypto, struct tg_str token, char node_id[NODE_ID_MAX + 1])
{
    uint8_t signature[CRYPTO_SIGNATURE_BYTES];
    char claims[JWT_TEXT_MAX];
    size_t begin = sizeof(JWT_HEADER) - 1;
    node_id[0] = '\0';
    if (token.len <= begin || token.len >= JWT_TEXT_MAX || memcmp(token.ptr, JWT_HEADER, begin) != 0)
        return false;
    const char *dot = memchr(token.ptr + begin, '.', token.len - begin);
    if (!dot)
        return false;
    struct tg_str signed_part = {token.ptr, (size_t)(dot - token.ptr)};
    struct tg_str rest = {dot + 1, token.len - signed_part.len - 1};
    if (base64_read(signature, sizeof(signature), rest) != CRYPTO_SIGNATURE_BYTES ||
        crypto_ed25519_verify(crypto, d->public_key, signed_part, signature) != 0)
        return false;
    int64_t len =
        base64_read(claims, sizeof(claims), (struct tg_str){token.ptr + begin, signed_part.len - begin});
    return len > 0 && claims_hold(d, (struct tg_str){claims, (size_t)len}, node_id);
}

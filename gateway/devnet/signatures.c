/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical texts that nodes and operators sign. */
#include "signatures.h"

#include <stdio.h>

#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "text.h"

bool signature_hmac_holds(struct crypto *crypto, const char *key, struct tg_str message, const char *hex)
{
    uint8_t expected[CRYPTO_HASH_BYTES], given[CRYPTO_HASH_BYTES];
    if (!hex_read(given, sizeof(given), text_of(hex)) ||
        crypto_hmac(crypto, text_of(key), message, expected) != 0)
        return false;
    return crypto_equal((struct tg_str){(const char *)given, sizeof(given)},
                        (struct tg_str){(const char *)expected, sizeof(expected)});
}

/* ---- pricing ------------------------------------------------------------------------------------------- */

/* {"credit_cost_multiplier":N,"pricing_model":"..."}: these two, in this order, numbers at their shortest. */
static struct tg_str pricing_message(const struct tg_json_doc *doc, const struct tg_json_node *pricing,
                                     char *buf, size_t cap)
{
    const struct tg_json_node *n = tg_json_get(doc, pricing, TG_STR("credit_cost_multiplier"));
    char model[32];
    struct tg_json_writer w;
    if (!text_member(doc, pricing, "pricing_model", model, sizeof(model)))
        memcpy(model, "per_token", sizeof("per_token"));
    tg_json_writer_init(&w, buf, cap);
    tg_json_write_begin_object(&w);
    TG_JSON_KEY(&w, "credit_cost_multiplier");
    tg_json_write_f64(&w, n && tg_json_is_number(n) ? tg_json_number(n) : 1.0);
    TG_JSON_KEY(&w, "pricing_model");
    tg_json_write_string(&w, text_of(model));
    tg_json_write_end_object(&w);
    return (struct tg_str){w.buf, w.len};
}

bool signature_pricing_holds(struct crypto *crypto, const char *key, const struct tg_json_doc *doc,
                             const struct tg_json_node *pricing, bool *present)
{
    char hex[2 * CRYPTO_HASH_BYTES + 1], buf[128];
    *present = text_member(doc, pricing, "declaration_signature", hex, sizeof(hex));
    if (!*present)
        return true;
    return key[0] && signature_hmac_holds(crypto, key, pricing_message(doc, pricing, buf, sizeof(buf)), hex);
}

/* ---- operators ----------------------------------------------------------------------------------------- */

static int64_t decode(const char *base64, uint8_t *out, size_t cap)
{
    char url[128];
    size_t len;
    if (!text_base64url(text_of(base64), url, sizeof(url), &len))
        return -1;
    return base64_read(out, cap, (struct tg_str){url, len});
}

const char *signature_delegation_wrong(struct crypto *crypto, const struct tg_json_doc *doc,
                                       const struct tg_json_node *delegation, const char *id, time_t now)
{
    char node[64], operator_text[129], sig[129], message[320];
    uint8_t key[CRYPTO_KEY_BYTES], signature[CRYPTO_SIGNATURE_BYTES];
    const struct tg_json_node *not_after = tg_json_get(doc, delegation, TG_STR("not_after"));
    text_member(doc, delegation, "node_id", node, sizeof(node));
    text_member(doc, delegation, "operator_pub", operator_text, sizeof(operator_text));
    text_member(doc, delegation, "sig", sig, sizeof(sig));
    if (strcmp(node, id) != 0)
        return "is for another node";
    if (!not_after || not_after->type != TG_JSON_INT || not_after->i64 < now)
        return "is over";
    if (decode(operator_text, key, sizeof(key)) != sizeof(key) ||
        decode(sig, signature, sizeof(signature)) != sizeof(signature))
        return "is not made of an Ed25519 key and signature";
    int len =
        snprintf(message, sizeof(message), "{\"node_id\":\"%s\",\"not_after\":%lld,\"operator_pub\":\"%s\"}",
                 node, (long long)not_after->i64, operator_text);
    if (crypto_ed25519_verify(crypto, key, (struct tg_str){message, (size_t)len}, signature) != 0)
        return "has a signature that does not verify";
    return NULL;
}

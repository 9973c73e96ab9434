/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of this node. */
#include <errno.h>
#include <math.h>
#include "gateway/base/hex.h"
#include "gateway/base/number.h"
#include "iicp_sign.h"

#define MESSAGE_MAX 1024
#define INTEGRAL_BELOW 1e15

static int sign(struct crypto *c, struct tg_str key, struct tg_str message, char out[IICP_SIGNATURE_CHARS])
{
    uint8_t mac[CRYPTO_HASH_BYTES];
    if (key.len == 0)
        return -EINVAL;
    int rc = crypto_hmac(c, key, message, mac);
    if (rc == 0)
        hex_write(out, mac, sizeof(mac));
    return rc;
}

/* Signs what was put together, if it fitted. */
static int sign_written(struct crypto *c, struct tg_str key, const struct tg_json_writer *w,
                        char out[IICP_SIGNATURE_CHARS])
{
    return w->overflow ? -EINVAL : sign(c, key, (struct tg_str){w->buf, w->len}, out);
}

int iicp_sign_challenge(struct crypto *c, struct tg_str hmac_key, struct tg_str challenge,
                        char out[IICP_SIGNATURE_CHARS])
{
    return sign(c, hmac_key, challenge, out);
}

/* ---- pricing ------------------------------------------------------------------------------------------ */

/* Integral values as integers, so that 1.0 is 1 and no minus stands before 0; others in the fewest digits. */
static void write_multiplier(struct tg_json_writer *w, double v)
{
    if (isfinite(v) && fabs(v) < INTEGRAL_BELOW && v == trunc(v))
        tg_json_write_i64(w, (int64_t)v);
    else
        tg_json_write_f64(w, v);
}

void iicp_pricing_text(double multiplier, struct tg_str model, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "credit_cost_multiplier");
    write_multiplier(w, multiplier);
    TG_JSON_KEY(w, "pricing_model");
    tg_json_write_string(w, model);
    tg_json_write_end_object(w);
}

int iicp_sign_pricing(struct crypto *c, struct tg_str hmac_key, double multiplier, struct tg_str model,
                      char out[IICP_SIGNATURE_CHARS])
{
    char text[MESSAGE_MAX];
    struct tg_json_writer w;
    if (!isfinite(multiplier))
        return -EINVAL;
    tg_json_writer_init(&w, text, sizeof(text));
    iicp_pricing_text(multiplier, model, &w);
    return sign_written(c, hmac_key, &w, out);
}

/* ---- receipts ----------------------------------------------------------------------------------------- */

/* task_id:tokens:parent:session:nonce:response_hash[:requester]; of parent task and session there are none.
 */
int iicp_sign_receipt(struct crypto *c, struct tg_str hmac_key, const struct iicp_receipt *r,
                      char out[IICP_SIGNATURE_CHARS])
{
    char text[MESSAGE_MAX], tokens[TG_NUMBER_TEXT_MAX];
    struct tg_json_writer w;
    if (r->nonce.len != IICP_RECEIPT_NONCE_CHARS || r->response_hash.len != IICP_SIGNATURE_CHARS)
        return -EINVAL;
    tg_json_writer_init(&w, text, sizeof(text));
    tg_json_write_verbatim(&w, r->task_id);
    tg_json_write_verbatim(&w, TG_STR(":"));
    tg_json_write_verbatim(&w, (struct tg_str){tokens, tg_u64_print(r->tokens, tokens)});
    tg_json_write_verbatim(&w, TG_STR(":::"));
    tg_json_write_verbatim(&w, r->nonce);
    tg_json_write_verbatim(&w, TG_STR(":"));
    tg_json_write_verbatim(&w, r->response_hash);
    tg_json_write_verbatim(&w, r->requester.len ? TG_STR(":") : TG_STR(""));
    tg_json_write_verbatim(&w, r->requester);
    return sign_written(c, hmac_key, &w, out);
}

/* Thousandths have three places, so rounding to four changes nothing. */
double iicp_receipt_amount(uint64_t tokens)
{
    return (double)TG_MAX(tokens, UINT64_C(1)) / 1000;
}

static bool hash_piece(void *crypto, struct tg_str piece)
{
    return crypto_sha256_add(crypto, piece) == 0;
}

int iicp_result_hash(struct crypto *c, const struct tg_json_doc *doc, const struct tg_json_node *result,
                     struct json_canonical_room room, uint8_t out[CRYPTO_HASH_BYTES])
{
    int rc = crypto_sha256_begin(c);
    if (rc == 0)
        rc = json_canonical(doc, result, JSON_CANONICAL_PYTHON, room, hash_piece, c);
    if (rc == -ENOSPC)
        return rc;
    return rc == 0 ? crypto_sha256_end(c, out) : -EIO;
}

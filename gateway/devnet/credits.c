/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/credits/award: a receipt for a task, and what it earns. */
#include <math.h>
#include <stdio.h>

#include "handlers.h"
#include "rules.h"
#include "signatures.h"
#include "text.h"

struct receipt {
    char task[129], nonce[65], signature[65], hash[65], querying[129], expires[41];
    int64_t tokens;
    double amount;
    time_t expires_at;
};

static void read_receipt(struct exchange *x, struct receipt *r)
{
    const struct tg_json_node *root = exchange_root(x);
    exchange_member(x, "task_id", r->task, sizeof(r->task));
    exchange_member(x, "nonce", r->nonce, sizeof(r->nonce));
    exchange_member(x, "signature", r->signature, sizeof(r->signature));
    exchange_member(x, "response_hash", r->hash, sizeof(r->hash));
    exchange_member(x, "querying_node_id", r->querying, sizeof(r->querying));
    exchange_member(x, "expires_at", r->expires, sizeof(r->expires));
    text_time_read(text_of(r->expires), &r->expires_at);
    r->tokens = tg_json_get(&x->doc, root, TG_STR("tokens_used"))->i64;
    r->amount = tg_json_number(tg_json_get(&x->doc, root, TG_STR("amount")));
}

/* Two empty fields: a parent task and a session, which single tasks have not. */
static bool signature_holds(struct exchange *x, const struct devnet_node *n, const struct receipt *r)
{
    char message[512];
    int len = snprintf(message, sizeof(message), "%s:%lld:::%s:%s%s%s", r->task, (long long)r->tokens,
                       r->nonce, r->hash, r->querying[0] ? ":" : "", r->querying);
    return signature_hmac_holds(x->crypto, n->hmac_key, (struct tg_str){message, (size_t)len}, r->signature);
}

/* A thousandth a token, one at least, in ten-thousandths; half of the last digit is rounding. */
static bool amount_fits(const struct receipt *r)
{
    double most = (double)TG_MAX(r->tokens, 1) / 1000;
    return isfinite(r->amount) && r->amount <= most + 0.00005 + 1e-9;
}

static const char *receipt_wrong(struct exchange *x, const struct devnet_node *n, const struct receipt *r)
{
    if (!signature_holds(x, n, r))
        return "the receipt's signature does not verify";
    if (r->expires_at < devnet_now(x->d))
        return "the receipt is over";
    if (!amount_fits(r))
        return "the amount is too high for the tokens";
    return NULL;
}

static void award(struct exchange *x, struct devnet_node *n)
{
    struct receipt r = {0};
    read_receipt(x, &r);
    const char *wrong = receipt_wrong(x, n, &r);
    if (wrong) {
        exchange_error(x, 422, "IICP-E027", wrong);
        return;
    }
    if (!devnet_nonce_take(x->d, r.nonce, r.expires_at)) {
        exchange_error(x, 409, "nonce_replay", "this receipt was redeemed already");
        return;
    }
    n->credits += r.amount;
    n->awards++;
    exchange_begin(x, 201);
    exchange_text(x, "node_id", n->id);
    exchange_number(x, "awarded", r.amount);
    exchange_number(x, "balance", n->credits);
    exchange_text(x, "task_id", r.task);
    exchange_end(x);
}

void devnet_award(struct exchange *x)
{
    exchange_lock(x);
    struct devnet_node *n = exchange_caller(x);
    if (n && rules_hold(x, "award"))
        award(x, n);
    exchange_unlock(x);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Sending receipts: a few at a time, with a pause for all of them while the directory is in trouble. */
#include <stdio.h>
#include <time.h>
#include "gateway/base/clock.h"
#include "gateway/base/hex.h"
#include "gateway/base/log.h"
#include "gateway/dialect/iicp_sign.h"
#include "receipts.h"

#define VALID_MS 300000
#define PAUSE_FIRST_NS (2 * NS_PER_S)
#define PAUSE_MAX_NS (30 * NS_PER_S)
#define RETRY_AFTER_MAX_S 120u
#define SYNC_NS NS_PER_S
#define BODY_BYTES_MAX 4096

int receipts_init(struct receipts *r, const struct directory_link *link, struct auth *auth,
                  struct directory_metrics *metrics, uint32_t capacity, const char *path)
{
    *r = (struct receipts){.link = link, .auth = auth, .metrics = metrics, .pause_ns = PAUSE_FIRST_NS};
    int rc = receipt_list_init(&r->all, capacity);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < RECEIPTS_IN_FLIGHT; i++)
        r->calls[i].owner = r;
    receipt_file_open(&r->file, path, &r->all);
    if (r->all.used)
        log_info("receipts: %u from before are still to be delivered", r->all.used);
    return 0;
}

uint32_t receipts_count(const struct receipts *r)
{
    return r->all.used;
}

static uint64_t now_ns(const struct receipts *r)
{
    return r->link->host->now_ns(r->link->host->context);
}

static int64_t unix_ms(const struct receipts *r)
{
    return r->link->host->unix_ms(r->link->host->context);
}

/* ---- coming and going ------------------------------------------------------------------------------- */

static void end(struct receipts *r, struct receipt *receipt, enum directory_counter how)
{
    directory_count(r->metrics, how);
    receipt_file_end(&r->file, receipt);
    receipt_give(&r->all, receipt);
}

static struct receipt *make_room(struct receipts *r)
{
    struct receipt *oldest = receipt_queue_pop(&r->all.waiting);
    if (oldest)
        end(r, oldest, DIRECTORY_COUNTER_RECEIPTS_DROPPED);
    else
        directory_count(r->metrics, DIRECTORY_COUNTER_RECEIPTS_DROPPED); /* the new one, then */
    return receipt_take(&r->all);
}

void receipts_add(struct receipts *r, const struct iicp_event *e)
{
    if (!auth_complete(r->auth))
        return;
    struct receipt *x = receipt_take(&r->all);
    if (!x)
        x = make_room(r);
    if (!x)
        return;
    x->id_len = e->id_len;
    x->requester_len = e->requester_len;
    memcpy(x->id, e->id, e->id_len);
    memcpy(x->requester, e->requester, e->requester_len);
    memcpy(x->hash, e->result_hash, sizeof(x->hash));
    x->tokens = e->tokens;
    x->expires_ms = unix_ms(r) + VALID_MS;
    r->link->host->random(r->link->host->context, x->nonce, sizeof(x->nonce));
    receipt_file_add(&r->file, x);
    receipt_queue_append(&r->all.waiting, x);
}

/* ---- answers ---------------------------------------------------------------------------------------- */

/* Several may fail for the same outage: the first of them sets the pause, and lets the next one be longer. */
static void pause_all(struct receipts *r, uint32_t retry_after_s)
{
    uint64_t now = now_ns(r);
    if (now < r->pause_until_ns)
        return;
    r->pause_until_ns = now + TG_MAX(r->pause_ns, TG_MIN(retry_after_s, RETRY_AFTER_MAX_S) * NS_PER_S);
    r->pause_ns = TG_MIN(2 * r->pause_ns, PAUSE_MAX_NS);
}

static void again(struct receipt_call *c, uint32_t retry_after_s)
{
    pause_all(c->owner, retry_after_s);
    receipt_queue_prepend(&c->owner->all.waiting, c->receipt);
}

static bool refused_for_good(const struct receipt_call *c, uint32_t status)
{
    bool theirs =
        status == 401 || status == 404 || status == 408 || status == 410 || status == 429 || status >= 500;
    bool old_key = c->generation != c->owner->auth->generation; /* the next try is signed with the new one */
    return !theirs && !old_key && status >= 400;
}

static void refused(struct receipt_call *c, const struct call_reply *reply)
{
    struct receipts *r = c->owner;
    struct iicp_refusal why;
    iicp_read_refusal(reply->doc, &why);
    if (!r->complained)
        log_warn("receipts: refused: %u %s %s%s%s", reply->status, why.code, why.message,
                 why.fields[0] ? ": " : "", why.fields);
    r->complained = true;
    end(r, c->receipt, DIRECTORY_COUNTER_RECEIPTS_REFUSED);
}

static void answered(void *context, const struct call_reply *reply)
{
    struct receipt_call *c = context;
    struct receipts *r = c->owner;
    bool object = reply->doc && reply->doc->nodes[0].type == TG_JSON_OBJECT;
    bool taken = reply->status == 201 || (reply->status == 200 && object); /* 200 is any proxy's page, too */
    if (taken || reply->status == 409) { /* 409: it has had this nonce before */
        end(r, c->receipt, DIRECTORY_COUNTER_RECEIPTS_SENT);
        r->pause_until_ns = 0;
        r->pause_ns = PAUSE_FIRST_NS;
        r->complained = false;
    } else if (refused_for_good(c, reply->status)) {
        refused(c, reply);
    } else {
        again(c, reply->retry_after_s);
    }
    c->receipt = NULL;
}

/* ---- sending ---------------------------------------------------------------------------------------- */

/* RFC 3339, as "2026-11-20T15:04:15Z". */
static size_t write_time(char out[32], int64_t unix_ms_)
{
    time_t t = (time_t)(unix_ms_ / 1000);
    struct tm utc = {0};
    gmtime_r(&t, &utc);
    return strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* False if it could not be signed. */
static bool write_body(struct receipts *r, const struct receipt *x, struct tg_json_writer *w)
{
    char nonce[2 * RECEIPT_NONCE_BYTES], hash[2 * CRYPTO_HASH_BYTES], signature[IICP_SIGNATURE_CHARS],
        when[32];
    hex_write(nonce, x->nonce, sizeof(x->nonce));
    hex_write(hash, x->hash, sizeof(x->hash));
    struct iicp_receipt facts = {.task_id = {x->id, x->id_len},
                                 .tokens = x->tokens,
                                 .nonce = {nonce, sizeof(nonce)},
                                 .response_hash = {hash, sizeof(hash)},
                                 .requester = {x->requester, x->requester_len}};
    struct tg_str key = {r->auth->hmac_key, strlen(r->auth->hmac_key)};
    if (iicp_sign_receipt(r->link->crypto, key, &facts, signature) < 0)
        return false;
    iicp_write_award(&(struct iicp_award){.node_id = {r->auth->node_id, strlen(r->auth->node_id)},
                                          .task_id = facts.task_id,
                                          .tokens = x->tokens,
                                          .amount = iicp_receipt_amount(x->tokens),
                                          .nonce = facts.nonce,
                                          .expires_at = {when, write_time(when, x->expires_ms)},
                                          .signature = {signature, sizeof(signature)},
                                          .response_hash = facts.response_hash,
                                          .querying_node_id = facts.requester},
                     w);
    return !w->overflow;
}

static void send_receipt(struct receipt_call *c, struct receipt *x)
{
    struct receipts *r = c->owner;
    char body[BODY_BYTES_MAX];
    struct tg_json_writer w;
    tg_json_writer_init(&w, body, sizeof(body));
    if (!write_body(r, x, &w)) {
        end(r, x, DIRECTORY_COUNTER_RECEIPTS_REFUSED);
        return;
    }
    c->receipt = x;
    c->generation = r->auth->generation;
    call_directory(&c->call, r->link,
                   &(struct call_request){.method = "POST",
                                          .url = "/v1/credits/award",
                                          .token = r->auth->node_token,
                                          .body = {body, w.len}},
                   answered, c);
}

static struct receipt *next_valid(struct receipts *r)
{
    int64_t now = unix_ms(r);
    struct receipt *x = receipt_queue_pop(&r->all.waiting);
    while (x && x->expires_ms <= now) {
        end(r, x, DIRECTORY_COUNTER_RECEIPTS_EXPIRED);
        x = receipt_queue_pop(&r->all.waiting);
    }
    return x;
}

/* After a pause one goes ahead alone; the others follow once it is through. */
static uint32_t allowed(const struct receipts *r)
{
    return r->pause_until_ns ? 1 : RECEIPTS_IN_FLIGHT;
}

static uint32_t in_flight(const struct receipts *r)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < RECEIPTS_IN_FLIGHT; i++)
        n += r->calls[i].receipt != NULL;
    return n;
}

static void send_some(struct receipts *r)
{
    for (unsigned i = 0; i < RECEIPTS_IN_FLIGHT && in_flight(r) < allowed(r); i++) {
        struct receipt *x = r->calls[i].receipt ? NULL : next_valid(r);
        if (x)
            send_receipt(&r->calls[i], x);
    }
}

static void compact(struct receipts *r)
{
    struct receipt *others[RECEIPTS_IN_FLIGHT];
    for (unsigned i = 0; i < RECEIPTS_IN_FLIGHT; i++)
        others[i] = r->calls[i].receipt;
    r->file.broken = receipt_file_compact(&r->file, &r->all, others, RECEIPTS_IN_FLIGHT) < 0;
}

uint64_t receipts_turn(struct receipts *r, uint64_t now)
{
    if (now >= r->file_due_ns) {
        if (receipt_file_is_long(&r->file, &r->all))
            compact(r);
        receipt_file_sync(&r->file);
        r->file_due_ns = now + SYNC_NS;
    }
    if (auth_complete(r->auth) && now >= r->pause_until_ns)
        send_some(r);
    uint64_t next = r->file.unsynced || r->file.broken ? r->file_due_ns : UINT64_MAX;
    return r->all.waiting.head && now < r->pause_until_ns ? TG_MIN(next, r->pause_until_ns) : next;
}

void receipts_finish(struct receipts *r)
{
    for (unsigned i = 0; i < RECEIPTS_IN_FLIGHT; i++)
        call_cancel(&r->calls[i].call);
    receipt_file_close(&r->file);
    receipt_list_finish(&r->all);
}

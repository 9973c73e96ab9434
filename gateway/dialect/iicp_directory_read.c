/* SPDX-License-Identifier: Apache-2.0 */
/* Replies of a directory. Nothing in them is trusted: texts are bounded, and credentials must fit into a
 * header. */
#include <errno.h>
#include <stdio.h>
#include "gateway/base/hex.h"
#include "iicp_directory.h"

static const struct tg_json_node *root(const struct tg_json_doc *doc)
{
    return doc->nodes[0].type == TG_JSON_OBJECT ? &doc->nodes[0] : NULL;
}

static const struct tg_json_node *typed(const struct tg_json_doc *doc, const struct tg_json_node *object,
                                        const char *key, enum tg_json_type type)
{
    const struct tg_json_node *n =
        object ? tg_json_get(doc, object, (struct tg_str){key, strlen(key)}) : NULL;
    return n && n->type == type ? n : NULL;
}

/* Copy a string node whole, or leave @out empty: also if a NUL in it would make it look shorter than it is.
 */
static bool copy_text(const struct tg_json_doc *doc, const struct tg_json_node *n, char *out, size_t cap)
{
    out[0] = '\0';
    if (!n || n->type != TG_JSON_STRING)
        return false;
    int64_t len = tg_json_unescape(doc, n, out, cap - 1);
    bool fine = len > 0 && !memchr(out, '\0', (size_t)len);
    out[fine ? len : 0] = '\0';
    return fine;
}

/* What we send back in a header or as a key: visible ASCII only, so that no reply can forge a line of ours.
 */
static bool copy_token(const struct tg_json_doc *doc, const struct tg_json_node *object, const char *key,
                       char *out, size_t cap)
{
    bool fine = copy_text(doc, typed(doc, object, key, TG_JSON_STRING), out, cap);
    for (const char *p = out; fine && *p; p++)
        fine = *p > ' ' && *p < 0x7f;
    if (!fine)
        out[0] = '\0';
    return fine;
}

/* A count of seconds or milliseconds; 0 if it is none. */
static uint32_t count_of(const struct tg_json_doc *doc, const struct tg_json_node *object, const char *key)
{
    const struct tg_json_node *n =
        object ? tg_json_get(doc, object, (struct tg_str){key, strlen(key)}) : NULL;
    double v = n && tg_json_is_number(n) ? tg_json_number(n) : 0;
    return v >= 1 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

static double number_or(const struct tg_json_doc *doc, const struct tg_json_node *object, const char *key,
                        double otherwise)
{
    const struct tg_json_node *n = tg_json_get(doc, object, (struct tg_str){key, strlen(key)});
    return n && tg_json_is_number(n) ? tg_json_number(n) : otherwise;
}

int iicp_read_registered(const struct tg_json_doc *doc, struct iicp_registered *out)
{
    const struct tg_json_node *o = root(doc);
    struct iicp_registered r = {0};
    if (!copy_token(doc, o, "node_token", r.node_token, sizeof(r.node_token)) &&
        !copy_token(doc, o, "token", r.node_token, sizeof(r.node_token)))
        return -EBADMSG;
    copy_token(doc, o, "node_id", r.node_id, sizeof(r.node_id));
    copy_token(doc, o, "node_hmac_key", r.hmac_key, sizeof(r.hmac_key));
    r.recovered = typed(doc, o, "recovered", TG_JSON_TRUE) != NULL;
    *out = r;
    return 0;
}

/* ---- refusals --------------------------------------------------------------------------------------- */

/* As much of a text as fits, in one line. */
static void put_text(const struct tg_json_doc *doc, const struct tg_json_node *n, char *out, size_t cap)
{
    char text[1024];
    size_t used = strlen(out);
    if (!copy_text(doc, n, text, sizeof(text)))
        return;
    for (const char *p = text; *p && used + 1 < cap; p++)
        out[used++] = *p >= 0 && *p < ' ' ? ' ' : *p;
    out[used] = '\0';
}

static void put_plain(const char *text, char *out, size_t cap)
{
    size_t used = strlen(out);
    (void)snprintf(out + used, cap - used, "%s", text);
}

/* errors: {"region": ["must match ..", ..], ..} */
static void read_fields(const struct tg_json_doc *doc, const struct tg_json_node *errors,
                        struct iicp_refusal *r)
{
    TG_JSON_FOREACH_MEMBER(key, errors)
    {
        const struct tg_json_node *why = key + 1;
        put_plain(r->fields[0] ? "; " : "", r->fields, sizeof(r->fields));
        put_text(doc, key, r->fields, sizeof(r->fields));
        put_plain(": ", r->fields, sizeof(r->fields));
        if (why->type == TG_JSON_ARRAY && tg_json_count(why))
            why = tg_json_first(why);
        put_text(doc, why, r->fields, sizeof(r->fields));
    }
}

static void read_code(const struct tg_json_doc *doc, const struct tg_json_node *o, struct iicp_refusal *r)
{
    put_text(doc, typed(doc, o, "code", TG_JSON_STRING), r->code, sizeof(r->code));
    put_text(doc, typed(doc, o, "message", TG_JSON_STRING), r->message, sizeof(r->message));
    r->retry_after_s = count_of(doc, o, "retry_after");
}

void iicp_read_refusal(const struct tg_json_doc *doc, struct iicp_refusal *out)
{
    *out = (struct iicp_refusal){0};
    const struct tg_json_node *o = doc ? root(doc) : NULL;
    const struct tg_json_node *inner = typed(doc, o, "error", TG_JSON_OBJECT);
    if (!o)
        return;
    if (inner)
        read_code(doc, inner, out); /* {"error":{"code","message"},...} */
    else
        put_text(doc, typed(doc, o, "error", TG_JSON_STRING), out->code,
                 sizeof(out->code)); /* {"error":"IICP-E034",..} */
    struct iicp_refusal outer = {0};
    read_code(doc, o, &outer);
    if (!out->code[0])
        memcpy(out->code, outer.code, sizeof(out->code));
    if (!out->message[0])
        memcpy(out->message, outer.message, sizeof(out->message));
    out->retry_after_s = TG_MAX(out->retry_after_s, outer.retry_after_s);
    const struct tg_json_node *errors = typed(doc, o, "errors", TG_JSON_OBJECT);
    if (errors)
        read_fields(doc, errors, out);
}

/* Refusals that another try may lift: somebody could not reach us just then. */
static bool unreachable(const struct iicp_refusal *r)
{
    return strcmp(r->code, "liveness_failed") == 0 || strcmp(r->code, "IICP-E036") == 0;
}

enum iicp_verdict iicp_register_verdict(uint32_t status, const struct iicp_refusal *refusal)
{
    if (status == 200 || status == 201)
        return IICP_ACCEPTED;
    if (status == 400 || status == 403 || status == 409 || status == 413 || status == 422)
        return unreachable(refusal) ? IICP_LATER : IICP_NEVER;
    return IICP_LATER;
}

enum iicp_verdict iicp_heartbeat_verdict(uint32_t status)
{
    if (status == 200)
        return IICP_ACCEPTED;
    if (status == 401 || status == 404 || status == 410)
        return IICP_STRANGER;
    return IICP_LATER;
}

/* ---- the rest --------------------------------------------------------------------------------------- */

int iicp_read_heartbeat(const struct tg_json_doc *doc, struct iicp_beat_reply *out)
{
    const struct tg_json_node *o = root(doc);
    if (!o || typed(doc, o, "ok", TG_JSON_FALSE))
        return -EBADMSG;
    *out = (struct iicp_beat_reply){.ok = true, .next_heartbeat_ms = count_of(doc, o, "next_heartbeat_ms")};
    const struct tg_json_node *batch = typed(doc, o, "metrics_batch_accepted", TG_JSON_STRING);
    out->has_batch = batch != NULL;
    copy_text(doc, batch, out->batch, sizeof(out->batch));
    copy_text(doc, typed(doc, o, "challenge", TG_JSON_STRING), out->challenge, sizeof(out->challenge));
    out->reputation = number_or(doc, o, "reputation_score", -1);
    return 0;
}

int iicp_read_directory_key(const struct tg_json_doc *doc, uint8_t key[CRYPTO_KEY_BYTES])
{
    const struct tg_json_node *o = root(doc);
    const struct tg_json_node *algorithm = typed(doc, o, "algorithm", TG_JSON_STRING);
    const struct tg_json_node *text = typed(doc, o, "public_key", TG_JSON_STRING);
    if (!text || (algorithm && !tg_json_string_eq(doc, algorithm, TG_STR("ed25519"))))
        return -EBADMSG;
    uint8_t bytes[CRYPTO_KEY_BYTES];
    if (!hex_read(bytes, sizeof(bytes), tg_json_string(doc, text)))
        return -EBADMSG;
    memcpy(key, bytes, sizeof(bytes));
    return 0;
}

static bool read_found(const struct tg_json_doc *doc, const struct tg_json_node *o, struct iicp_found *f)
{
    *f = (struct iicp_found){0};
    if (o->type != TG_JSON_OBJECT || !copy_token(doc, o, "node_id", f->node_id, sizeof(f->node_id)) ||
        !copy_token(doc, o, "endpoint", f->endpoint, sizeof(f->endpoint)))
        return false;
    copy_token(doc, o, "transport_endpoint", f->transport_endpoint, sizeof(f->transport_endpoint));
    copy_token(doc, o, "region", f->region, sizeof(f->region));
    f->score = number_or(doc, o, "score", 0);
    f->load = number_or(doc, o, "load", 0);
    f->available = !typed(doc, o, "available", TG_JSON_FALSE);
    f->relay_capable = typed(doc, o, "relay_capable", TG_JSON_TRUE) != NULL;
    f->models = typed(doc, o, "models", TG_JSON_ARRAY);
    f->cx_public_key = typed(doc, o, "cx_public_key", TG_JSON_OBJECT);
    return true;
}

int iicp_read_discovered(const struct tg_json_doc *doc, struct iicp_found *out, uint32_t cap)
{
    const struct tg_json_node *nodes = typed(doc, root(doc), "nodes", TG_JSON_ARRAY);
    uint32_t count = 0;
    if (!nodes)
        return -EBADMSG;
    TG_JSON_FOREACH(node, nodes)
    {
        if (count == cap)
            break;
        count += read_found(doc, node, &out[count]);
    }
    return (int)count;
}

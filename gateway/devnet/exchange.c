/* SPDX-License-Identifier: Apache-2.0 */
/* Putting answers together, and who it is that calls. */
#include "exchange.h"

#include <string.h>

#include "text.h"
#include "tokens.h"

/* ---- answers ------------------------------------------------------------------------------------------- */

void exchange_begin(struct exchange *x, uint16_t status)
{
    x->status = status;
    x->content_type = "application/json";
    tg_json_writer_init(&x->w, x->w.buf, x->w.cap);
    tg_json_write_begin_object(&x->w);
}

void exchange_end(struct exchange *x)
{
    tg_json_write_end_object(&x->w);
}

void exchange_error(struct exchange *x, uint16_t status, const char *code, const char *message)
{
    exchange_begin(x, status);
    TG_JSON_KEY(&x->w, "error");
    tg_json_write_begin_object(&x->w);
    exchange_text(x, "code", code);
    exchange_text(x, "message", message);
    tg_json_write_end_object(&x->w);
    exchange_text(x, "code", code);
    exchange_text(x, "message", message);
    exchange_end(x);
}

void exchange_text(struct exchange *x, const char *key, const char *value)
{
    tg_json_write_key(&x->w, text_of(key));
    tg_json_write_string(&x->w, text_of(value));
}

void exchange_number(struct exchange *x, const char *key, double value)
{
    tg_json_write_key(&x->w, text_of(key));
    tg_json_write_f64(&x->w, value);
}

void exchange_flag(struct exchange *x, const char *key, bool value)
{
    tg_json_write_key(&x->w, text_of(key));
    tg_json_write_bool(&x->w, value);
}

void exchange_time(struct exchange *x, const char *key, time_t value)
{
    char text[TEXT_TIME_BYTES];
    text_time_write(text, value);
    exchange_text(x, key, text);
}

/* ---- what was sent ------------------------------------------------------------------------------------- */

bool exchange_member(const struct exchange *x, const char *key, char *out, size_t cap)
{
    out[0] = '\0';
    return x->doc.count > 0 && text_member(&x->doc, exchange_root(x), key, out, cap);
}

bool exchange_parameter(const struct exchange *x, const char *key, char *out, size_t cap)
{
    return text_parameter(x->query, key, out, cap);
}

/* ---- who calls ----------------------------------------------------------------------------------------- */

/* The token behind "Bearer ", in any case; empty if there is none. */
static struct tg_str bearer(const struct exchange *x)
{
    struct tg_str s = http_header_str(x->bytes, x->head, HTTP_H_AUTHORIZATION);
    static const char word[] = "bearer ";
    if (s.len < sizeof(word) - 1)
        return TG_STR("");
    for (size_t i = 0; i < sizeof(word) - 1; i++)
        if ((s.ptr[i] | 0x20) != (word[i] | 0x20))
            return TG_STR("");
    return (struct tg_str){s.ptr + sizeof(word) - 1, s.len - (sizeof(word) - 1)};
}

static void claimed_id(const struct exchange *x, char out[NODE_ID_MAX + 1])
{
    struct tg_str header = http_header_str(x->bytes, x->head, HTTP_H_NODE_ID);
    if (exchange_member(x, "node_id", out, NODE_ID_MAX + 1) || header.len > NODE_ID_MAX)
        return;
    memcpy(out, header.ptr, header.len);
    out[header.len] = '\0';
}

static struct devnet_node *refuse(struct exchange *x, uint16_t status, const char *code, const char *message)
{
    exchange_error(x, status, code, message);
    return NULL;
}

/* A JWT names its node itself; the opaque token is the node's that the request names. */
struct devnet_node *exchange_caller(struct exchange *x)
{
    struct tg_str token = bearer(x);
    char id[NODE_ID_MAX + 1];
    bool jwt = token.len > 0 && jwt_verify(x->d, x->crypto, token, id);
    if (!jwt)
        claimed_id(x, id);
    if (token.len == 0 || !id[0])
        return refuse(x, 401, "unauthorized", "a bearer token and a node_id are required");
    struct devnet_node *n = devnet_node_find(x->d, id);
    if (!n)
        return refuse(x, 404, "IICP-E003", "node not found");
    memcpy(x->node, n->id, sizeof(n->id)); /* ours, and so fit for the log, whatever the request said */
    if (!jwt && !crypto_equal(token, text_of(n->token)))
        return refuse(x, 401, "unauthorized", "this is not the node's token");
    return n;
}

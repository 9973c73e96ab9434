/* SPDX-License-Identifier: Apache-2.0 */
/* Task requests in plain or sealed. */
#include "envelope.h"

#include <stdio.h>
#include <stdlib.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "gateway/base/random.h"

#define NAMES_BYTES 16384 /* everything but the payload */

static struct tg_str text(const char *s)
{
    return (struct tg_str){s, strlen(s)};
}

void envelope_uuid(char out[static ENVELOPE_ID_BYTES])
{
    uint8_t b[16];
    char hex[33] = "";
    random_bytes(b, sizeof(b));
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    hex_write(hex, b, sizeof(b));
    snprintf(out, ENVELOPE_ID_BYTES, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

static void put(struct tg_json_writer *w, const char *key, const char *value)
{
    if (!value)
        return;
    tg_json_write_key(w, text(key));
    tg_json_write_string(w, text(value));
}

static void put_constraints(struct tg_json_writer *w, const struct envelope *e)
{
    TG_JSON_KEY(w, "constraints");
    tg_json_write_begin_object(w);
    if (e->timeout_ms) {
        TG_JSON_KEY(w, "timeout_ms");
        tg_json_write_u64(w, e->timeout_ms);
    }
    put(w, "qos", e->qos);
    put(w, "qos_class", e->qos); /* some nodes read only this one */
    put(w, "model", e->model);
    put(w, "region", e->region);
    tg_json_write_end_object(w);
}

static bool put_sealed(struct crypto *c, const struct envelope *e, struct tg_json_writer *w, uint8_t *secret)
{
    struct iicp_cx_names names = {text(e->task_id), text(e->intent)};
    uint8_t *room = malloc(e->payload.len + CRYPTO_TAG_BYTES);
    TG_JSON_KEY(w, "iicp_conf");
    bool ok = room && iicp_cx_request_seal(c, e->peer, &names, e->payload, room, w, secret) == 0;
    free(room);
    put(w, "cx_response_encryption", "required");
    return ok;
}

static bool put_all(struct crypto *c, const struct envelope *e, struct tg_json_writer *w, uint8_t *secret)
{
    bool ok = true;
    tg_json_write_begin_object(w);
    put(w, "task_id", e->task_id);
    put(w, "intent", e->intent);
    if (e->peer) {
        ok = put_sealed(c, e, w, secret);
    } else {
        TG_JSON_KEY(w, "payload");
        tg_json_write_raw(w, e->payload);
    }
    put_constraints(w, e);
    put(w, "nonce", e->nonce);
    tg_json_write_end_object(w);
    return ok && !w->overflow;
}

char *envelope_write(struct crypto *c, const struct envelope *e, size_t *len,
                     uint8_t secret[IICP_CX_SECRET_BYTES])
{
    struct tg_json_writer w;
    size_t room = NAMES_BYTES + BASE64_CHARS(e->payload.len + CRYPTO_TAG_BYTES);
    char *out = malloc(room);
    if (!out)
        return NULL;
    tg_json_writer_init(&w, out, room);
    if (put_all(c, e, &w, secret)) {
        *len = w.len;
        return out;
    }
    free(out);
    return NULL;
}

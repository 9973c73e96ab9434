/* SPDX-License-Identifier: Apache-2.0 */
/* Sealing requests and opening replies. Each request has a key of its own, made for it and forgotten with its
 * reply. */
#include "iicp_cx_client.h"

#include <errno.h>
#include <stdio.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"

#define KEY_CHARS BASE64_CHARS(CRYPTO_KEY_BYTES)
#define TEXT_MAX (32 + IICP_CX_TASK_ID_MAX + IICP_CX_INTENT_MAX)

struct text {
    char bytes[TEXT_MAX];
    size_t len;
};

static struct tg_str bytes_of(const void *bytes, size_t len)
{
    return (struct tg_str){bytes, len};
}

static struct text join(struct tg_str a, struct tg_str b, struct tg_str c)
{
    struct text t = {.len = 0};
    const struct tg_str parts[] = {a, b, c};
    for (size_t i = 0; i < TG_ARRAY_SIZE(parts); i++) {
        TG_ASSERT(parts[i].len <= sizeof(t.bytes) - t.len); /* names were measured */
        if (parts[i].len)
            memcpy(t.bytes + t.len, parts[i].ptr, parts[i].len);
        t.len += parts[i].len;
    }
    return t;
}

/* ---- peers ------------------------------------------------------------------------------------------- */

int iicp_cx_peer_from_key(struct crypto *c, struct tg_str key, struct iicp_cx_peer *peer)
{
    uint8_t hash[CRYPTO_HASH_BYTES], bytes[CRYPTO_KEY_BYTES];
    if (base64_read(bytes, sizeof(bytes), key) != CRYPTO_KEY_BYTES)
        return -EINVAL;
    int rc = crypto_sha256(c, bytes_of(bytes, sizeof(bytes)), hash);
    if (rc < 0)
        return rc;
    *peer = (struct iicp_cx_peer){.key_id = "cx-", .seals_replies = true};
    memcpy(peer->key, bytes, sizeof(bytes));
    hex_write(peer->key_id + 3, hash, 8);
    return 0;
}

static const struct tg_json_node *text_member(const struct tg_json_doc *doc, const struct tg_json_node *o,
                                              struct tg_str key)
{
    const struct tg_json_node *n = o->type == TG_JSON_OBJECT ? tg_json_get(doc, o, key) : NULL;
    return n && n->type == TG_JSON_STRING ? n : NULL;
}

static bool is_text(const struct tg_json_doc *doc, const struct tg_json_node *o, struct tg_str key,
                    struct tg_str wanted)
{
    const struct tg_json_node *n = text_member(doc, o, key);
    return n && tg_json_string_eq(doc, n, wanted);
}

static bool has_feature(const struct tg_json_doc *doc, const struct tg_json_node *o, struct tg_str wanted)
{
    const struct tg_json_node *list = tg_json_get(doc, o, TG_STR("features"));
    if (!list || list->type != TG_JSON_ARRAY)
        return false;
    TG_JSON_FOREACH(n, list)
    if (n->type == TG_JSON_STRING && tg_json_string_eq(doc, n, wanted))
        return true;
    return false;
}

int iicp_cx_peer_read(struct crypto *c, const struct tg_json_doc *doc, const struct tg_json_node *n,
                      struct iicp_cx_peer *peer)
{
    struct iicp_cx_peer found;
    const struct tg_json_node *key = text_member(doc, n, TG_STR("key"));
    if (!key || !is_text(doc, n, TG_STR("algorithm"), TG_STR("X25519")) ||
        !is_text(doc, n, TG_STR("encoding"), TG_STR("base64url")))
        return -EINVAL;
    int rc = iicp_cx_peer_from_key(c, tg_json_string(doc, key), &found);
    if (rc < 0)
        return rc;
    if (!is_text(doc, n, TG_STR("key_id"), bytes_of(found.key_id, IICP_CX_KEY_ID_BYTES)))
        return -EINVAL;
    found.seals_replies = has_feature(doc, n, TG_STR("response_encryption_v1"));
    *peer = found;
    return 0;
}

/* ---- requests ---------------------------------------------------------------------------------------- */

static int derive(struct crypto *c, const uint8_t *secret, const uint8_t *nonce, const struct text *info,
                  uint8_t *key)
{
    return crypto_hkdf(c, bytes_of(secret, IICP_CX_SECRET_BYTES), bytes_of(nonce, CRYPTO_NONCE_BYTES),
                       bytes_of(info->bytes, info->len), key, CRYPTO_KEY_BYTES);
}

static void put_bytes(struct tg_json_writer *w, const char *key, const void *bytes, size_t len)
{
    tg_json_write_key(w, (struct tg_str){key, strlen(key)});
    tg_json_write_verbatim(w, TG_STR("\""));
    if (w->overflow || w->cap - w->len < BASE64_CHARS(len))
        w->overflow = true;
    else
        w->len += base64_write(w->buf + w->len, bytes, len);
    tg_json_write_verbatim(w, TG_STR("\""));
}

struct sealed {
    const uint8_t *ephemeral_public, *nonce, *body;
    size_t body_len;
    const struct text *aad;
};

static int write_conf(const struct iicp_cx_peer *peer, const struct sealed *s, struct tg_json_writer *w)
{
    struct tg_json_writer before = *w;
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "version");
    tg_json_write_u64(w, 1);
    TG_JSON_KEY(w, "recipient_key_id");
    tg_json_write_string(w, bytes_of(peer->key_id, IICP_CX_KEY_ID_BYTES));
    put_bytes(w, "kem_ciphertext", s->ephemeral_public, CRYPTO_KEY_BYTES);
    put_bytes(w, "nonce", s->nonce, CRYPTO_NONCE_BYTES);
    put_bytes(w, "aad", s->aad->bytes, s->aad->len);
    put_bytes(w, "encrypted_body", s->body, s->body_len);
    TG_JSON_KEY(w, "plaintext_size");
    tg_json_write_u64(w, s->body_len - CRYPTO_TAG_BYTES);
    tg_json_write_end_object(w);
    if (!w->overflow)
        return 0;
    *w = before;
    return -ENOSPC;
}

int iicp_cx_request_seal_with(struct crypto *c, const struct iicp_cx_peer *peer,
                              const struct iicp_cx_names *names, struct tg_str plain, uint8_t *room,
                              const uint8_t ephemeral[CRYPTO_KEY_BYTES],
                              const uint8_t nonce[CRYPTO_NONCE_BYTES], struct tg_json_writer *w,
                              uint8_t secret[IICP_CX_SECRET_BYTES])
{
    uint8_t public_key[CRYPTO_KEY_BYTES], key[CRYPTO_KEY_BYTES] = {0};
    if (names->task_id.len > IICP_CX_TASK_ID_MAX || names->intent.len > IICP_CX_INTENT_MAX)
        return -EINVAL;
    struct text aad = join(names->task_id, TG_STR("|"), names->intent);
    struct text info = join(TG_STR("IICP-CX-v1"), names->task_id, names->intent);
    int rc = crypto_x25519_public(c, ephemeral, public_key);
    if (rc == 0)
        rc = crypto_x25519(c, ephemeral, peer->key, secret);
    if (rc == 0)
        rc = derive(c, secret, nonce, &info, key);
    if (rc == 0)
        rc = crypto_seal(c, key, nonce, bytes_of(aad.bytes, aad.len), plain, room);
    crypto_wipe(key, sizeof(key));
    struct sealed s = {public_key, nonce, room, plain.len + CRYPTO_TAG_BYTES, &aad};
    return rc == 0 ? write_conf(peer, &s, w) : rc;
}

int iicp_cx_request_seal(struct crypto *c, const struct iicp_cx_peer *peer, const struct iicp_cx_names *names,
                         struct tg_str plain, uint8_t *room, struct tg_json_writer *w,
                         uint8_t secret[IICP_CX_SECRET_BYTES])
{
    uint8_t ephemeral[CRYPTO_KEY_BYTES], nonce[CRYPTO_NONCE_BYTES];
    int rc = crypto_random(c, ephemeral, sizeof(ephemeral));
    if (rc == 0)
        rc = crypto_random(c, nonce, sizeof(nonce));
    if (rc == 0)
        rc = iicp_cx_request_seal_with(c, peer, names, plain, room, ephemeral, nonce, w, secret);
    crypto_wipe(ephemeral, sizeof(ephemeral));
    return rc;
}

/* ---- replies ----------------------------------------------------------------------------------------- */

static const struct tg_json_node *envelope(const struct tg_json_doc *doc, struct tg_str task_id)
{
    const struct tg_json_node *conf =
        doc->nodes[0].type == TG_JSON_OBJECT ? tg_json_get(doc, doc->nodes, TG_STR("iicp_conf_resp")) : NULL;
    if (!conf || conf->type != TG_JSON_OBJECT || !is_text(doc, doc->nodes, TG_STR("task_id"), task_id))
        return NULL;
    const struct tg_json_node *version = tg_json_get(doc, conf, TG_STR("version"));
    return version && version->type == TG_JSON_INT && version->i64 == 1 ? conf : NULL;
}

int iicp_cx_reply_open(struct crypto *c, const uint8_t secret[IICP_CX_SECRET_BYTES],
                       const struct tg_json_doc *doc, struct tg_str task_id, char *out, size_t cap,
                       struct tg_str *plain)
{
    uint8_t nonce[CRYPTO_NONCE_BYTES], key[CRYPTO_KEY_BYTES];
    const struct tg_json_node *conf = task_id.len <= IICP_CX_TASK_ID_MAX ? envelope(doc, task_id) : NULL;
    const struct tg_json_node *n = conf ? text_member(doc, conf, TG_STR("nonce")) : NULL;
    const struct tg_json_node *body = conf ? text_member(doc, conf, TG_STR("encrypted_body")) : NULL;
    if (!n || !body || base64_read(nonce, sizeof(nonce), tg_json_string(doc, n)) != CRYPTO_NONCE_BYTES)
        return -EBADMSG;
    int64_t len = base64_read(out, cap, tg_json_string(doc, body));
    if (len < CRYPTO_TAG_BYTES)
        return -EBADMSG;
    struct text info = join(TG_STR("IICP-CX-RESP-v1"), task_id, TG_STR(""));
    struct text aad = join(task_id, TG_STR("|resp"), TG_STR(""));
    int rc = derive(c, secret, nonce, &info, key);
    if (rc == 0)
        rc = crypto_open(c, key, nonce, bytes_of(aad.bytes, aad.len), bytes_of(out, (size_t)len),
                         (uint8_t *)out);
    crypto_wipe(key, sizeof(key));
    if (rc == 0)
        *plain = (struct tg_str){out, (size_t)len - CRYPTO_TAG_BYTES};
    return rc;
}

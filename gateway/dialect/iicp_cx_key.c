/* SPDX-License-Identifier: Apache-2.0 */
/* This node's X25519 key: as a file, and as what is registered of it. */
#include <errno.h>
#include <string.h>
#include "gateway/base/base64.h"
#include "gateway/base/hex.h"
#include "iicp_cx.h"

#define NODES_MAX 64 /* of a key file; ours has 19 */
#define KEY_CHARS BASE64_CHARS(CRYPTO_KEY_BYTES)

/* ---- made --------------------------------------------------------------------------------------------- */

int iicp_cx_file_name(struct crypto *c, struct tg_str node_id, char out[IICP_CX_FILE_NAME_BYTES + 1])
{
    uint8_t hash[CRYPTO_HASH_BYTES];
    int rc = crypto_sha256(c, node_id, hash);
    if (rc < 0)
        return rc;
    hex_write(out, hash, 12);
    memcpy(out + 24, ".json", sizeof(".json"));
    return 0;
}

/* "cx-" and the first 16 hex digits of the public key's hash. */
static int name_key(struct crypto *c, struct iicp_keys *keys)
{
    uint8_t hash[CRYPTO_HASH_BYTES];
    int rc = crypto_sha256(c, (struct tg_str){(const char *)keys->cx_public, CRYPTO_KEY_BYTES}, hash);
    if (rc < 0)
        return rc;
    memcpy(keys->cx_key_id, "cx-", 3);
    hex_write(keys->cx_key_id + 3, hash, 8);
    keys->cx_key_id[IICP_CX_KEY_ID_BYTES] = '\0';
    return 0;
}

int iicp_cx_key_set(struct crypto *c, struct iicp_keys *keys, const uint8_t private_key[CRYPTO_KEY_BYTES])
{
    int rc = crypto_x25519_public(c, private_key, keys->cx_public);
    if (rc == 0)
        rc = name_key(c, keys);
    keys->has_cx = rc == 0;
    if (rc == 0)
        memcpy(keys->cx_private, private_key, CRYPTO_KEY_BYTES);
    return rc;
}

int iicp_cx_key_generate(struct crypto *c, struct iicp_keys *keys)
{
    uint8_t private_key[CRYPTO_KEY_BYTES];
    int rc = crypto_random(c, private_key, sizeof(private_key));
    if (rc == 0)
        rc = iicp_cx_key_set(c, keys, private_key);
    crypto_wipe(private_key, sizeof(private_key));
    return rc;
}

/* ---- written ------------------------------------------------------------------------------------------ */

static void write_key(struct tg_json_writer *w, const uint8_t key[CRYPTO_KEY_BYTES])
{
    char text[KEY_CHARS];
    tg_json_write_string(w, (struct tg_str){text, base64_write(text, key, CRYPTO_KEY_BYTES)});
    crypto_wipe(text, sizeof(text));
}

void iicp_cx_public_write(const struct iicp_keys *keys, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "algorithm");
    tg_json_write_string(w, TG_STR("X25519"));
    TG_JSON_KEY(w, "encoding");
    tg_json_write_string(w, TG_STR("base64url"));
    TG_JSON_KEY(w, "key");
    write_key(w, keys->cx_public);
    TG_JSON_KEY(w, "key_id");
    tg_json_write_string(w, (struct tg_str){keys->cx_key_id, IICP_CX_KEY_ID_BYTES});
    TG_JSON_KEY(w, "features");
    tg_json_write_raw(w, TG_STR("[\"response_encryption_v1\"]"));
    tg_json_write_end_object(w);
}

void iicp_cx_key_write(const struct iicp_keys *keys, struct tg_json_writer *w)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "version");
    tg_json_write_u64(w, 1);
    TG_JSON_KEY(w, "algorithm");
    tg_json_write_string(w, TG_STR("X25519"));
    TG_JSON_KEY(w, "private_key");
    write_key(w, keys->cx_private);
    TG_JSON_KEY(w, "public_key");
    iicp_cx_public_write(keys, w);
    tg_json_write_end_object(w);
}

/* ---- read --------------------------------------------------------------------------------------------- */

static bool is_text(const struct tg_json_doc *doc, const struct tg_json_node *object, struct tg_str key,
                    struct tg_str wanted)
{
    const struct tg_json_node *n = object ? tg_json_get(doc, object, key) : NULL;
    return n && n->type == TG_JSON_STRING && tg_json_string_eq(doc, n, wanted);
}

/* Private keys are spelled without escapes, or they are none. */
static bool read_private(const struct tg_json_doc *doc, uint8_t key[CRYPTO_KEY_BYTES])
{
    const struct tg_json_node *version = tg_json_get(doc, doc->nodes, TG_STR("version"));
    const struct tg_json_node *n = tg_json_get(doc, doc->nodes, TG_STR("private_key"));
    return version && version->type == TG_JSON_INT && version->i64 == 1 &&
           is_text(doc, doc->nodes, TG_STR("algorithm"), TG_STR("X25519")) && n &&
           n->type == TG_JSON_STRING &&
           base64_read(key, CRYPTO_KEY_BYTES, tg_json_string(doc, n)) == CRYPTO_KEY_BYTES;
}

/* A file put together from two keys would be refused by every client, and by the directory. */
static bool public_agrees(const struct tg_json_doc *doc, const struct iicp_keys *keys)
{
    char text[KEY_CHARS];
    struct tg_str key = {text, base64_write(text, keys->cx_public, CRYPTO_KEY_BYTES)};
    struct tg_str key_id = {keys->cx_key_id, IICP_CX_KEY_ID_BYTES};
    const struct tg_json_node *object = tg_json_get(doc, doc->nodes, TG_STR("public_key"));
    return is_text(doc, object, TG_STR("key"), key) && is_text(doc, object, TG_STR("key_id"), key_id);
}

static void take(struct iicp_keys *keys, const struct iicp_keys *found)
{
    keys->has_cx = true;
    memcpy(keys->cx_private, found->cx_private, sizeof(keys->cx_private));
    memcpy(keys->cx_public, found->cx_public, sizeof(keys->cx_public));
    memcpy(keys->cx_key_id, found->cx_key_id, sizeof(keys->cx_key_id));
}

int iicp_cx_key_read(struct crypto *c, struct iicp_keys *keys, struct tg_str text)
{
    struct tg_json_node nodes[NODES_MAX];
    struct tg_json_doc doc = {.nodes = nodes, .capacity = NODES_MAX};
    struct tg_json_error err;
    struct iicp_keys found = {.has_cx = false};
    uint8_t private_key[CRYPTO_KEY_BYTES] = {0};
    int rc = -EINVAL;
    if (tg_json_parse(&doc, text.ptr, text.len, &err) == 0 && read_private(&doc, private_key))
        rc = iicp_cx_key_set(c, &found, private_key);
    if (rc == 0 && !public_agrees(&doc, &found))
        rc = -EINVAL;
    if (rc == 0)
        take(keys, &found);
    crypto_wipe(private_key, sizeof(private_key));
    crypto_wipe(&found, sizeof(found));
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Opening requests and sealing replies of confidential tasks. */
#include <errno.h>
#include <string.h>
#include "gateway/base/base64.h"
#include "iicp_cx.h"

#define REQUEST_LABEL "IICP-CX-v1"
#define REPLY_LABEL "IICP-CX-RESP-v1"
#define NAMES_MAX (IICP_CX_TASK_ID_MAX + 1 + IICP_CX_INTENT_MAX) /* "task_id|intent" */
#define INFO_MAX (sizeof(REPLY_LABEL) + NAMES_MAX)

static const struct {
    enum tg_status status;
    struct tg_str reason;
} results[IICP_CX_RESULT_COUNT] = {
#define CX(ident, status, reason) {TG_##status, TG_STR_INIT(reason)},
#include "iicp_cx.def"
#undef CX
};

enum tg_status iicp_cx_status(enum iicp_cx_result r)
{
    return results[r].status;
}

struct tg_str iicp_cx_reason(enum iicp_cx_result r)
{
    return results[r].reason;
}

/* ---- members ------------------------------------------------------------------------------------------ */

enum cx_field {
#define FIELD(ident, name) CX_##ident,
#include "iicp_cx_fields.def"
#undef FIELD
    CX_FIELD_COUNT
};

static const struct tg_str field_names[CX_FIELD_COUNT] = {
#define FIELD(ident, name) TG_STR_INIT(name),
#include "iicp_cx_fields.def"
#undef FIELD
};

struct cx_members {
    const struct tg_json_node *fields[CX_FIELD_COUNT]; /* NULL: absent or null */
};

static enum cx_field field_of(const struct tg_json_doc *doc, const struct tg_json_node *key)
{
    uint32_t f = 0;
    while (f < CX_FIELD_COUNT && !tg_json_string_eq(doc, key, field_names[f]))
        f++;
    return (enum cx_field)f;
}

/* Unknown members are ignored. One of ours twice is refused: another reader might take the other one. */
static bool collect(const struct tg_json_doc *doc, const struct tg_json_node *conf, struct cx_members *m)
{
    uint32_t found = 0;
    *m = (struct cx_members){0};
    if (conf->type != TG_JSON_OBJECT)
        return false;
    TG_JSON_FOREACH_MEMBER(key, conf)
    {
        enum cx_field f = field_of(doc, key);
        if (f == CX_FIELD_COUNT)
            continue;
        if (found >> f & 1)
            return false;
        found |= 1u << f;
        m->fields[f] = (key + 1)->type == TG_JSON_NULL ? NULL : key + 1;
    }
    return true;
}

/* ---- values ------------------------------------------------------------------------------------------- */

static bool is_integer(const struct tg_json_node *n, int64_t value)
{
    return n && n->type == TG_JSON_INT && n->i64 == value;
}

/* Bytes of a base64url member, also of one spelled with escapes, or negative errno. */
static int64_t bytes_of(const struct tg_json_doc *doc, const struct tg_json_node *n, void *out, size_t cap)
{
    if (!n || n->type != TG_JSON_STRING)
        return -1;
    struct tg_str text = tg_json_string(doc, n);
    if (n->text.aux) {
        int64_t len = tg_json_unescape(doc, n, out, cap);
        if (len < 0)
            return len;
        text = (struct tg_str){out, (size_t)len};
    }
    return base64_read(out, cap, text);
}

/* The same where exactly @size bytes are wanted; with room for escapes that nobody needs. */
static bool read_exactly(const struct tg_json_doc *doc, const struct tg_json_node *n, uint8_t *out,
                         size_t size)
{
    uint8_t text[64];
    if (bytes_of(doc, n, text, sizeof(text)) != (int64_t)size)
        return false;
    memcpy(out, text, size);
    return true;
}

/* ---- keys --------------------------------------------------------------------------------------------- */

struct text {
    char bytes[INFO_MAX];
    size_t len;
};

static void add(struct text *t, struct tg_str s)
{
    TG_ASSERT(s.len <= sizeof(t->bytes) - t->len); /* names were measured */
    memcpy(t->bytes + t->len, s.ptr, s.len);
    t->len += s.len;
}

static struct tg_str str_of(const struct text *t)
{
    return (struct tg_str){t->bytes, t->len};
}

/* Everything a message's key depends on is in secret, nonce and label. */
static bool derive(struct crypto *c, const uint8_t *secret, const uint8_t *nonce, struct tg_str info,
                   uint8_t *key)
{
    struct tg_str ikm = {(const char *)secret, IICP_CX_SECRET_BYTES},
                  salt = {(const char *)nonce, CRYPTO_NONCE_BYTES};
    return crypto_hkdf(c, ikm, salt, info, key, CRYPTO_KEY_BYTES) == 0;
}

/* ---- opening ------------------------------------------------------------------------------------------ */

struct cx_envelope {
    uint8_t ephemeral[CRYPTO_KEY_BYTES], nonce[CRYPTO_NONCE_BYTES];
    struct text aad, info;
    struct tg_str sealed;
};

static bool aad_agrees(const struct tg_json_doc *doc, const struct tg_json_node *n, const struct text *wanted)
{
    char aad[NAMES_MAX * 2]; /* so that a longer one is seen to be longer */
    int64_t len = bytes_of(doc, n, aad, sizeof(aad));
    return len >= 0 && tg_str_eq((struct tg_str){aad, (size_t)len}, str_of(wanted));
}

static bool recipient_is(const struct tg_json_doc *doc, const struct tg_json_node *n,
                         const struct iicp_keys *keys)
{
    return n && n->type == TG_JSON_STRING &&
           tg_json_string_eq(doc, n, (struct tg_str){keys->cx_key_id, IICP_CX_KEY_ID_BYTES});
}

/* The clients of the reference all state the size; one that does not takes nothing from us. */
static enum iicp_cx_result check_body(const struct tg_json_doc *doc, const struct cx_members *m, char *out,
                                      size_t cap, struct tg_str *sealed)
{
    const struct tg_json_node *body = m->fields[CX_BODY], *size = m->fields[CX_PLAIN_SIZE];
    if (!body || body->type != TG_JSON_STRING)
        return IICP_CX_MALFORMED;
    if (BASE64_BYTES((size_t)body->text.len) > cap)
        return IICP_CX_TOO_LARGE;
    int64_t len = bytes_of(doc, body, out, cap);
    if (len < 0)
        return IICP_CX_MALFORMED;
    if (len < CRYPTO_TAG_BYTES)
        return IICP_CX_SHORT;
    if (size && !is_integer(size, len - CRYPTO_TAG_BYTES))
        return IICP_CX_SIZE;
    *sealed = (struct tg_str){out, (size_t)len};
    return IICP_CX_DONE;
}

/* All that can be said without a key, cheapest first. */
static enum iicp_cx_result check(const struct iicp_keys *keys, const struct tg_json_doc *doc,
                                 const struct cx_members *m, char *out, size_t cap, struct cx_envelope *e)
{
    if (!is_integer(m->fields[CX_VERSION], 1))
        return IICP_CX_VERSION;
    if (!recipient_is(doc, m->fields[CX_RECIPIENT], keys))
        return IICP_CX_RECIPIENT;
    if (!read_exactly(doc, m->fields[CX_EPHEMERAL], e->ephemeral, sizeof(e->ephemeral)) ||
        !read_exactly(doc, m->fields[CX_NONCE], e->nonce, sizeof(e->nonce)))
        return IICP_CX_MALFORMED;
    if (!aad_agrees(doc, m->fields[CX_AAD], &e->aad))
        return IICP_CX_AAD;
    return check_body(doc, m, out, cap, &e->sealed);
}

static enum iicp_cx_result decrypt_with(struct crypto *c, const uint8_t *secret, const struct cx_envelope *e)
{
    uint8_t key[CRYPTO_KEY_BYTES],
        *out = (uint8_t *)(uintptr_t)e->sealed.ptr; /* lies in the caller's buffer */
    int rc = -EIO;
    if (derive(c, secret, e->nonce, str_of(&e->info), key))
        rc = crypto_open(c, key, e->nonce, str_of(&e->aad), e->sealed, out);
    crypto_wipe(key, sizeof(key));
    return rc == 0 ? IICP_CX_DONE : rc == -EBADMSG ? IICP_CX_SEALED : IICP_CX_FAILED;
}

static enum iicp_cx_result decrypt(struct crypto *c, const uint8_t *private_key, const struct cx_envelope *e,
                                   struct iicp_cx_opened *opened)
{
    uint8_t secret[IICP_CX_SECRET_BYTES];
    int rc = crypto_x25519(c, private_key, e->ephemeral, secret);
    enum iicp_cx_result r = rc == -EINVAL ? IICP_CX_KEY : IICP_CX_FAILED;
    if (rc == 0)
        r = decrypt_with(c, secret, e);
    if (r == IICP_CX_DONE) {
        opened->plain = (struct tg_str){e->sealed.ptr, e->sealed.len - CRYPTO_TAG_BYTES};
        memcpy(opened->secret, secret, sizeof(secret));
    }
    crypto_wipe(secret, sizeof(secret));
    return r;
}

/* What the outer envelope says: the same two names bind ciphertext and key. */
static bool name(struct cx_envelope *e, struct tg_str task_id, struct tg_str intent)
{
    e->aad.len = e->info.len = 0;
    if (task_id.len > IICP_CX_TASK_ID_MAX || intent.len > IICP_CX_INTENT_MAX)
        return false;
    add(&e->aad, task_id);
    add(&e->aad, TG_STR("|"));
    add(&e->aad, intent);
    add(&e->info, TG_STR(REQUEST_LABEL));
    add(&e->info, task_id);
    add(&e->info, intent);
    return true;
}

enum iicp_cx_result iicp_cx_open(struct crypto *c, const struct iicp_keys *keys,
                                 const struct tg_json_doc *doc, const struct tg_json_node *conf,
                                 struct tg_str task_id, struct tg_str intent, char *out, size_t cap,
                                 struct iicp_cx_opened *opened)
{
    struct cx_members m;
    struct cx_envelope e;
    if (!keys->has_cx)
        return IICP_CX_NO_KEY;
    if (!collect(doc, conf, &m) || !name(&e, task_id, intent))
        return IICP_CX_MALFORMED;
    enum iicp_cx_result r = check(keys, doc, &m, out, cap, &e);
    return r == IICP_CX_DONE ? decrypt(c, keys->cx_private, &e, opened) : r;
}

/* ---- sealing ------------------------------------------------------------------------------------------ */

static void write_base64(struct tg_json_writer *w, struct tg_str bytes)
{
    tg_json_write_verbatim(w, TG_STR("\""));
    if (w->overflow || w->cap - w->len < BASE64_CHARS(bytes.len))
        w->overflow = true;
    else
        w->len += base64_write(w->buf + w->len, bytes.ptr, bytes.len);
    tg_json_write_verbatim(w, TG_STR("\""));
}

static void write_envelope(struct tg_json_writer *w, struct tg_str task_id, struct tg_str nonce,
                           struct tg_str sealed)
{
    tg_json_write_begin_object(w);
    TG_JSON_KEY(w, "task_id");
    tg_json_write_string(w, task_id);
    tg_json_write_verbatim(w, TG_STR(",\"status\":\"encrypted\",\"generated_by_ai\":true,"
                                     "\"iicp_conf_resp\":{\"version\":1,\"nonce\":"));
    write_base64(w, nonce);
    tg_json_write_verbatim(w, TG_STR(",\"encrypted_body\":"));
    write_base64(w, sealed);
    tg_json_write_verbatim(w, TG_STR("}}"));
}

static bool encrypt(struct crypto *c, const struct iicp_cx_reply *r, const uint8_t *nonce)
{
    uint8_t key[CRYPTO_KEY_BYTES];
    struct text info = {.len = 0}, aad = {.len = 0};
    add(&info, TG_STR(REPLY_LABEL));
    add(&info, r->task_id);
    add(&aad, r->task_id);
    add(&aad, TG_STR("|resp"));
    bool ok =
        derive(c, r->secret, nonce, str_of(&info), key) &&
        crypto_seal(c, key, nonce, str_of(&aad), (struct tg_str){r->text, r->len}, (uint8_t *)r->text) == 0;
    crypto_wipe(key, sizeof(key));
    return ok;
}

enum iicp_cx_result iicp_cx_seal_with(struct crypto *c, const struct iicp_cx_reply *r,
                                      const uint8_t nonce[CRYPTO_NONCE_BYTES], struct tg_json_writer *w)
{
    struct tg_json_writer before = *w;
    if (r->task_id.len > IICP_CX_TASK_ID_MAX || r->cap < CRYPTO_TAG_BYTES ||
        r->len > r->cap - CRYPTO_TAG_BYTES || !encrypt(c, r, nonce))
        return IICP_CX_SEAL_FAILED;
    write_envelope(w, r->task_id, (struct tg_str){(const char *)nonce, CRYPTO_NONCE_BYTES},
                   (struct tg_str){r->text, r->len + CRYPTO_TAG_BYTES});
    if (!w->overflow)
        return IICP_CX_DONE;
    *w = before;
    return IICP_CX_SEAL_FAILED;
}

enum iicp_cx_result iicp_cx_seal(struct crypto *c, const struct iicp_cx_reply *reply,
                                 struct tg_json_writer *w)
{
    uint8_t nonce[CRYPTO_NONCE_BYTES];
    if (crypto_random(c, nonce, sizeof(nonce)) < 0)
        return IICP_CX_SEAL_FAILED;
    return iicp_cx_seal_with(c, reply, nonce, w);
}

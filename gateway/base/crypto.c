/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL 3 behind our own few calls. Its error queue is emptied wherever a call failed: nobody else will
 * look. */
#include <errno.h>
#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include "crypto.h"

/* A key object, and the bytes it was made of. */
struct kept_key {
    uint8_t bytes[CRYPTO_KEY_BYTES];
    EVP_PKEY *key;
};

struct crypto {
    OSSL_LIB_CTX *library;
    OSSL_PROVIDER *provider;
    EVP_MD *sha256;
    EVP_MAC *hmac;
    EVP_CIPHER *gcm;
    EVP_MD_CTX *digest;
    EVP_MAC_CTX *mac;
    EVP_CIPHER_CTX *seal, *open;
    struct kept_key own;      /* X25519: the private key used last */
    EVP_PKEY_CTX *derive;     /* made from it */
    struct kept_key verifier; /* Ed25519: the public key used last */
    EVP_MD_CTX *signature;
};

static int failed(int rc)
{
    ERR_clear_error();
    return rc;
}

/* ---- life --------------------------------------------------------------------------------------------- */

static bool fetch(struct crypto *c)
{
    c->library = OSSL_LIB_CTX_new();
    c->provider = c->library ? OSSL_PROVIDER_load(c->library, "default") : NULL;
    if (!c->provider)
        return false;
    c->sha256 = EVP_MD_fetch(c->library, "SHA256", NULL);
    c->hmac = EVP_MAC_fetch(c->library, "HMAC", NULL);
    c->gcm = EVP_CIPHER_fetch(c->library, "AES-256-GCM", NULL);
    return c->sha256 && c->hmac && c->gcm;
}

static bool make_contexts(struct crypto *c)
{
    OSSL_PARAM hash[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
                         OSSL_PARAM_construct_end()};
    c->digest = EVP_MD_CTX_new();
    c->signature = EVP_MD_CTX_new();
    c->mac = EVP_MAC_CTX_new(c->hmac);
    c->seal = EVP_CIPHER_CTX_new();
    c->open = EVP_CIPHER_CTX_new();
    return c->digest && c->signature && c->mac && c->seal && c->open &&
           EVP_MAC_CTX_set_params(c->mac, hash) == 1 && EVP_DigestInit_ex2(c->digest, c->sha256, NULL) == 1 &&
           EVP_EncryptInit_ex2(c->seal, c->gcm, NULL, NULL, NULL) == 1 &&
           EVP_DecryptInit_ex2(c->open, c->gcm, NULL, NULL, NULL) == 1;
}

struct crypto *crypto_create(void)
{
    struct crypto *c = calloc(1, sizeof(*c));
    if (!c || (fetch(c) && make_contexts(c)))
        return c;
    crypto_destroy(c);
    (void)failed(0);
    return NULL;
}

static void forget_own(struct crypto *c)
{
    EVP_PKEY_CTX_free(c->derive);
    EVP_PKEY_free(c->own.key);
    crypto_wipe(&c->own, sizeof(c->own));
    c->derive = NULL;
}

/* OpenSSL wipes what its own objects hold. */
void crypto_destroy(struct crypto *c)
{
    if (!c)
        return;
    forget_own(c);
    EVP_PKEY_free(c->verifier.key);
    EVP_CIPHER_CTX_free(c->open);
    EVP_CIPHER_CTX_free(c->seal);
    EVP_MAC_CTX_free(c->mac);
    EVP_MD_CTX_free(c->signature);
    EVP_MD_CTX_free(c->digest);
    EVP_CIPHER_free(c->gcm);
    EVP_MAC_free(c->hmac);
    EVP_MD_free(c->sha256);
    if (c->provider)
        OSSL_PROVIDER_unload(c->provider);
    OSSL_LIB_CTX_free(c->library);
    free(c);
}

/* ---- bytes -------------------------------------------------------------------------------------------- */

bool crypto_equal(struct tg_str a, struct tg_str b)
{
    return a.len == b.len && (a.len == 0 || CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0);
}

void crypto_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}

int crypto_random(struct crypto *c, void *out, size_t n)
{
    return RAND_bytes_ex(c->library, out, n, 0) == 1 ? 0 : failed(-EIO);
}

/* ---- hashes ------------------------------------------------------------------------------------------- */

int crypto_sha256_begin(struct crypto *c)
{
    return EVP_DigestInit_ex2(c->digest, NULL, NULL) == 1 ? 0 : failed(-EIO);
}

int crypto_sha256_add(struct crypto *c, struct tg_str piece)
{
    return EVP_DigestUpdate(c->digest, piece.ptr, piece.len) == 1 ? 0 : failed(-EIO);
}

int crypto_sha256_end(struct crypto *c, uint8_t out[CRYPTO_HASH_BYTES])
{
    return EVP_DigestFinal_ex(c->digest, out, NULL) == 1 ? 0 : failed(-EIO);
}

int crypto_sha256(struct crypto *c, struct tg_str data, uint8_t out[CRYPTO_HASH_BYTES])
{
    int rc = crypto_sha256_begin(c);
    if (rc == 0)
        rc = crypto_sha256_add(c, data);
    return rc == 0 ? crypto_sha256_end(c, out) : rc;
}

/* A key without bytes is still a key: only NULL would mean "the one before". */
static bool mac_begin(struct crypto *c, struct tg_str key)
{
    const char *bytes = key.len ? key.ptr : "";
    return EVP_MAC_init(c->mac, (const unsigned char *)bytes, key.len, NULL) == 1;
}

static bool mac_add(struct crypto *c, struct tg_str piece)
{
    return piece.len == 0 || EVP_MAC_update(c->mac, (const unsigned char *)piece.ptr, piece.len) == 1;
}

static bool mac_end(struct crypto *c, uint8_t out[CRYPTO_HASH_BYTES])
{
    size_t len;
    return EVP_MAC_final(c->mac, out, &len, CRYPTO_HASH_BYTES) == 1 && len == CRYPTO_HASH_BYTES;
}

int crypto_hmac(struct crypto *c, struct tg_str key, struct tg_str message, uint8_t out[CRYPTO_HASH_BYTES])
{
    return mac_begin(c, key) && mac_add(c, message) && mac_end(c, out) ? 0 : failed(-EIO);
}

/* One step of the expansion: T(n) = HMAC(PRK, T(n - 1) info n), where T(0) is empty. */
static bool expand(struct crypto *c, struct tg_str prk, struct tg_str info, uint8_t n,
                   uint8_t t[CRYPTO_HASH_BYTES])
{
    struct tg_str last = {(const char *)t, n > 1 ? CRYPTO_HASH_BYTES : 0}, count = {(const char *)&n, 1};
    return mac_begin(c, prk) && mac_add(c, last) && mac_add(c, info) && mac_add(c, count) && mac_end(c, t);
}

/* An empty salt and one of zeros are the same HMAC key, as the RFC wants it. */
int crypto_hkdf(struct crypto *c, struct tg_str ikm, struct tg_str salt, struct tg_str info, void *out,
                size_t out_len)
{
    uint8_t prk[CRYPTO_HASH_BYTES], t[CRYPTO_HASH_BYTES];
    if (out_len > (size_t)255 * CRYPTO_HASH_BYTES)
        return -EINVAL;
    bool ok = crypto_hmac(c, salt, ikm, prk) == 0;
    for (size_t done = 0; ok && done < out_len; done += sizeof(t)) {
        ok = expand(c, (struct tg_str){(const char *)prk, sizeof(prk)}, info, (uint8_t)(done / sizeof(t) + 1),
                    t);
        if (ok)
            memcpy((uint8_t *)out + done, t, TG_MIN(sizeof(t), out_len - done));
    }
    ok = mac_begin(c, TG_STR("")) && ok; /* the context forgets the key of this one */
    crypto_wipe(prk, sizeof(prk));
    crypto_wipe(t, sizeof(t));
    return ok ? 0 : failed(-EIO);
}

/* ---- X25519 ------------------------------------------------------------------------------------------- */

/* The public half of a private key of either kind. */
static int public_of(struct crypto *c, const char *kind, const uint8_t private_key[32],
                     uint8_t public_key[32])
{
    size_t len = CRYPTO_KEY_BYTES;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(c->library, kind, NULL, private_key, CRYPTO_KEY_BYTES);
    bool ok = key && EVP_PKEY_get_raw_public_key(key, public_key, &len) == 1;
    EVP_PKEY_free(key);
    return ok ? 0 : failed(-EIO);
}

int crypto_x25519_public(struct crypto *c, const uint8_t private_key[32], uint8_t public_key[32])
{
    return public_of(c, "X25519", private_key, public_key);
}

static bool is_kept(const struct kept_key *k, const uint8_t bytes[32])
{
    return k->key && CRYPTO_memcmp(k->bytes, bytes, sizeof(k->bytes)) == 0;
}

/* Making the object computes the public key, half the price of the whole exchange: so the last one is kept.
 */
static bool keep_own(struct crypto *c, const uint8_t private_key[32])
{
    if (is_kept(&c->own, private_key))
        return true;
    forget_own(c);
    c->own.key = EVP_PKEY_new_raw_private_key_ex(c->library, "X25519", NULL, private_key, CRYPTO_KEY_BYTES);
    c->derive = c->own.key ? EVP_PKEY_CTX_new_from_pkey(c->library, c->own.key, NULL) : NULL;
    if (!c->derive || EVP_PKEY_derive_init(c->derive) != 1) {
        forget_own(c);
        return false;
    }
    memcpy(c->own.bytes, private_key, sizeof(c->own.bytes));
    return true;
}

/* Any 32 bytes are a peer's key, so OpenSSL need not look at it; a useless one shows in an all-zero secret.
 */
int crypto_x25519(struct crypto *c, const uint8_t private_key[32], const uint8_t peer_key[32],
                  uint8_t secret[32])
{
    size_t len = CRYPTO_KEY_BYTES;
    if (!keep_own(c, private_key))
        return failed(-EIO);
    EVP_PKEY *peer = EVP_PKEY_new_raw_public_key_ex(c->library, "X25519", NULL, peer_key, CRYPTO_KEY_BYTES);
    int rc = peer && EVP_PKEY_derive_set_peer_ex(c->derive, peer, 0) == 1 ? 0 : -EIO;
    if (rc == 0 && EVP_PKEY_derive(c->derive, secret, &len) != 1)
        rc = -EINVAL;
    EVP_PKEY_free(peer);
    return rc == 0 ? 0 : failed(rc);
}

/* ---- AES-256-GCM -------------------------------------------------------------------------------------- */

static const uint8_t no_key[CRYPTO_KEY_BYTES];

/* OpenSSL counts in int. */
static bool countable(struct tg_str aad, struct tg_str data)
{
    return aad.len <= INT_MAX && data.len <= INT_MAX - CRYPTO_TAG_BYTES;
}

static bool encrypt(EVP_CIPHER_CTX *x, struct tg_str aad, struct tg_str plain, uint8_t *out)
{
    int n, end = (int)plain.len;
    if (EVP_EncryptUpdate(x, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) != 1)
        return false;
    if (end > 0 && EVP_EncryptUpdate(x, out, &n, (const uint8_t *)plain.ptr, end) != 1)
        return false;
    return EVP_EncryptFinal_ex(x, out + end, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG_BYTES, out + end) == 1;
}

int crypto_seal(struct crypto *c, const uint8_t key[32], const uint8_t nonce[12], struct tg_str aad,
                struct tg_str plain, uint8_t *out)
{
    if (!countable(aad, plain))
        return -EINVAL;
    bool ok = EVP_EncryptInit_ex2(c->seal, NULL, key, nonce, NULL) == 1 && encrypt(c->seal, aad, plain, out);
    ok = EVP_EncryptInit_ex2(c->seal, NULL, no_key, NULL, NULL) == 1 && ok; /* forgets the key */
    return ok ? 0 : failed(-EIO);
}

/* Only the last step says whether it was genuine. */
static int decrypt(EVP_CIPHER_CTX *x, struct tg_str aad, const uint8_t *in, int len, uint8_t *tag,
                   uint8_t *out)
{
    int n;
    if (EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG_BYTES, tag) != 1 ||
        EVP_DecryptUpdate(x, NULL, &n, (const uint8_t *)aad.ptr, (int)aad.len) != 1)
        return -EIO;
    if (len > 0 && EVP_DecryptUpdate(x, out, &n, in, len) != 1)
        return -EIO;
    return EVP_DecryptFinal_ex(x, out + len, &n) == 1 ? 0 : -EBADMSG;
}

int crypto_open(struct crypto *c, const uint8_t key[32], const uint8_t nonce[12], struct tg_str aad,
                struct tg_str sealed, uint8_t *out)
{
    uint8_t tag[CRYPTO_TAG_BYTES];
    if (sealed.len < sizeof(tag))
        return -EBADMSG;
    if (!countable(aad, sealed))
        return -EINVAL;
    size_t len = sealed.len - sizeof(tag);
    memcpy(tag, sealed.ptr + len, sizeof(tag));
    int rc = EVP_DecryptInit_ex2(c->open, NULL, key, nonce, NULL) == 1 ? 0 : -EIO;
    if (rc == 0)
        rc = decrypt(c->open, aad, (const uint8_t *)sealed.ptr, (int)len, tag, out);
    if (EVP_DecryptInit_ex2(c->open, NULL, no_key, NULL, NULL) != 1 && rc == 0)
        rc = -EIO;
    if (rc == 0)
        return 0;
    crypto_wipe(out, len);
    return failed(rc);
}

/* ---- Ed25519 ------------------------------------------------------------------------------------------ */

int crypto_ed25519_public(struct crypto *c, const uint8_t seed[32], uint8_t public_key[32])
{
    return public_of(c, "ED25519", seed, public_key);
}

/*
 * A signature context that was used before keeps its key, whatever key its initialisation is given next: it
 * is reset wherever the key changes.
 */
int crypto_ed25519_sign(struct crypto *c, const uint8_t seed[32], struct tg_str message,
                        uint8_t signature[64])
{
    size_t len = CRYPTO_SIGNATURE_BYTES;
    EVP_MD_CTX_reset(c->signature);
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(c->library, "ED25519", NULL, seed, CRYPTO_KEY_BYTES);
    bool ok = key && EVP_DigestSignInit_ex(c->signature, NULL, NULL, c->library, NULL, key, NULL) == 1 &&
              EVP_DigestSign(c->signature, signature, &len, (const uint8_t *)message.ptr, message.len) == 1;
    EVP_MD_CTX_reset(c->signature);
    EVP_PKEY_free(key);
    return ok ? 0 : failed(-EIO);
}

static bool keep_verifier(struct crypto *c, const uint8_t public_key[32])
{
    struct kept_key *k = &c->verifier;
    if (is_kept(k, public_key))
        return true;
    EVP_MD_CTX_reset(c->signature);
    EVP_PKEY_free(k->key);
    k->key = EVP_PKEY_new_raw_public_key_ex(c->library, "ED25519", NULL, public_key, CRYPTO_KEY_BYTES);
    memcpy(k->bytes, public_key, sizeof(k->bytes));
    return k->key;
}

int crypto_ed25519_verify(struct crypto *c, const uint8_t public_key[32], struct tg_str message,
                          const uint8_t signature[64])
{
    if (!keep_verifier(c, public_key) ||
        EVP_DigestVerifyInit_ex(c->signature, NULL, NULL, c->library, NULL, c->verifier.key, NULL) != 1)
        return failed(-EIO);
    int ok = EVP_DigestVerify(c->signature, signature, CRYPTO_SIGNATURE_BYTES, (const uint8_t *)message.ptr,
                              message.len);
    return ok == 1 ? 0 : failed(-EBADMSG);
}

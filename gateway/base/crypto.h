/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes, signatures and sealed boxes over OpenSSL. One struct per thread: its own library context,
 * algorithms fetched and contexts made once, because the shared ones are locked. Thread: the one that created
 * the struct; functions without a struct: any. Every call returns 0 on success; -EBADMSG where the peer's
 * data do not verify; -EINVAL where they cannot be a key; -EIO if the library failed (out of memory, say).
 *
 * We allocate nothing here after crypto_create(). OpenSSL 3.0 does, in pieces of some hundred bytes that it
 * frees at once: one for SHA-256, five for an HMAC, fourteen for HKDF, eleven for X25519, eight to verify a
 * signature; none for sealing, opening and random bytes.
 */
#ifndef TG_CRYPTO_H
#define TG_CRYPTO_H

#include "tg/def.h"

#define CRYPTO_KEY_BYTES 32       /* X25519 and Ed25519 keys, AES-256 keys */
#define CRYPTO_HASH_BYTES 32      /* SHA-256, and HMAC with it */
#define CRYPTO_SIGNATURE_BYTES 64 /* Ed25519 */
#define CRYPTO_NONCE_BYTES 12     /* AES-GCM */
#define CRYPTO_TAG_BYTES 16       /* AES-GCM: follows the ciphertext */

struct crypto;

struct crypto *crypto_create(void); /* NULL: out of memory, or OpenSSL lacks an algorithm */
void crypto_destroy(struct crypto *c);

/** Equal in content, in a time that depends on the lengths only. */
bool crypto_equal(struct tg_str a, struct tg_str b);
/** Overwrite, however useless the compiler finds it. */
void crypto_wipe(void *p, size_t n);

/** Unpredictable bytes from the thread's own generator, which asks the kernel for a seed only now and then.
 */
int crypto_random(struct crypto *c, void *out, size_t n);

int crypto_sha256(struct crypto *c, struct tg_str data, uint8_t out[CRYPTO_HASH_BYTES]);
/** The same in pieces: one at a time for each struct, and no crypto_sha256() in between. */
int crypto_sha256_begin(struct crypto *c);
int crypto_sha256_add(struct crypto *c, struct tg_str piece);
int crypto_sha256_end(struct crypto *c, uint8_t out[CRYPTO_HASH_BYTES]);

int crypto_hmac(struct crypto *c, struct tg_str key, struct tg_str message, uint8_t out[CRYPTO_HASH_BYTES]);
/** HKDF-SHA256 (RFC 5869), extract and expand. -EINVAL if @out_len is over 255 hashes. */
int crypto_hkdf(struct crypto *c, struct tg_str ikm, struct tg_str salt, struct tg_str info, void *out,
                size_t out_len);

/** The public key that belongs to @private_key. */
int crypto_x25519_public(struct crypto *c, const uint8_t private_key[32], uint8_t public_key[32]);
/**
 * The shared secret (RFC 7748). -EINVAL if it came out all zero.
 * The last @private_key's object is kept: a node that always uses its own pays for it once.
 */
int crypto_x25519(struct crypto *c, const uint8_t private_key[32], const uint8_t peer_key[32],
                  uint8_t secret[32]);

/** Writes plain.len + CRYPTO_TAG_BYTES bytes; @out may be plain.ptr. */
int crypto_seal(struct crypto *c, const uint8_t key[32], const uint8_t nonce[12], struct tg_str aad,
                struct tg_str plain, uint8_t *out);
/** Writes sealed.len - CRYPTO_TAG_BYTES bytes, zeros unless it returns 0; @out may be sealed.ptr. */
int crypto_open(struct crypto *c, const uint8_t key[32], const uint8_t nonce[12], struct tg_str aad,
                struct tg_str sealed, uint8_t *out);

int crypto_ed25519_public(struct crypto *c, const uint8_t seed[32], uint8_t public_key[32]);
int crypto_ed25519_sign(struct crypto *c, const uint8_t seed[32], struct tg_str message,
                        uint8_t signature[64]);
/** -EBADMSG also for a @public_key that is no point of the curve. The last key's object is kept. */
int crypto_ed25519_verify(struct crypto *c, const uint8_t public_key[32], struct tg_str message,
                          const uint8_t signature[64]);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may submit tasks (contract section 1.6): this node's own token, or a consumer token that the directory
 * signed for one node and one intent. Nothing here allocates. Thread: the owner of the struct crypto and of
 * the cache.
 */
#ifndef TG_IICP_TOKEN_H
#define TG_IICP_TOKEN_H

#include "iicp_keys.h"
#include "tg/status.h"

#define IICP_CONSUMER_TOKEN_MAX 1200 /* characters: 800 bytes of claims and the signature */
#define IICP_TOKEN_LEEWAY_S 10       /* that a token outlives its expiry */

enum iicp_token_result {
#define TOKEN(ident, reason) IICP_TOKEN_##ident,
#include "iicp_token.def"
#undef TOKEN
    IICP_TOKEN_RESULT_COUNT
};

/** TG_OK, TG_UNAUTHORIZED, or TG_INTERNAL where the fault is ours; and a static text for the log. */
enum tg_status iicp_token_status(enum iicp_token_result r);
struct tg_str iicp_token_reason(enum iicp_token_result r);

/*
 * Tokens whose signature was found good, so that the price of Ed25519 is paid once each. Known by a hash over
 * the directory's key and the whole text: another key, or one other character, is another token. Claims are
 * looked at every time.
 */
#define IICP_TOKEN_WAYS 4
#define IICP_TOKEN_SETS 64

struct iicp_token_cache {
    uint8_t seen[IICP_TOKEN_SETS][IICP_TOKEN_WAYS][CRYPTO_HASH_BYTES]; /* newest first; zeros: free */
    uint64_t hits, misses;
};

/* What a token is held against. */
struct iicp_token_scope {
    struct tg_str node_id; /* ours */
    struct tg_str intent;  /* the task's, escapes resolved */
    int64_t unix_s;        /* now */
};

/**
 * Verify the value of X-IICP-Consumer-Token. The signature comes first, over the bytes as they came; only
 * what the directory has signed is parsed. @cache may be NULL.
 */
enum iicp_token_result iicp_token_verify(struct crypto *c, const struct iicp_keys *keys,
                                         struct iicp_token_cache *cache, struct tg_str token,
                                         const struct iicp_token_scope *scope);

/** Is it this node's own token? In a time that tells nothing about it; never if none was issued. */
bool iicp_token_is_node(const struct iicp_keys *keys, struct tg_str given);

/** What follows "Bearer" in an Authorization header (RFC 6750); len 0 if it is another scheme or malformed.
 */
struct tg_str iicp_token_bearer(struct tg_str authorization);

#endif

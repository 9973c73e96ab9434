/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content codings: gzip and deflate bodies in, gzip answers out. The state of both directions is made once per worker
 * from memory the worker reserved; nothing is allocated afterwards.
 * Thread: the worker that owns the coder.
 */
#ifndef TG_HTTP_CODING_H
#define TG_HTTP_CODING_H

#include <zlib.h>

#include "tg/def.h"

/* What a 415 tells the client to use instead. */
#define HTTP_CODINGS "gzip, deflate"

/* Enough for both directions' state; http_coder_init() fails if a zlib should ever want more. */
#define HTTP_CODER_STATE_BYTES (384u << 10)

enum http_coding {
    HTTP_CODING_IDENTITY,
    HTTP_CODING_GZIP,
    HTTP_CODING_DEFLATE, /* the zlib format, as RFC 9110 says; bare deflate data is refused */
    HTTP_CODING_UNKNOWN, /* also: more than one */
};

enum http_decoded {
    HTTP_DECODED,
    HTTP_DECODED_TOO_LARGE, /* more bytes than the caller has room for: 413 */
    HTTP_DECODED_TOO_SLOW,  /* more blocks than a body of that size can need: 413 */
    HTTP_DECODED_TRUNCATED, /* these three: 400 */
    HTTP_DECODED_CORRUPT,
    HTTP_DECODED_TRAILING,
};

struct http_coder {
    z_stream in, out; /* what comes is inflated, what goes is deflated */
    char *state;
    size_t state_left;
    char *room; /* where either result is put */
    size_t room_bytes;
};

/**
 * @state  HTTP_CODER_STATE_BYTES for zlib
 * @room   where results go; results never exceed room_bytes - 1
 * Both must stay until the coder is used no more; there is nothing to finish. Returns 0 or -ENOMEM.
 */
int http_coder_init(struct http_coder *c, char *state, char *room, size_t room_bytes);

/** The coding that a Content-Encoding value names; empty is identity. */
enum http_coding http_coding_of(struct tg_str value);
const char *http_coding_name(enum http_coding coding);

/**
 * Decode a whole body into the coder's room, where it stays until the next call.
 * @coding  HTTP_CODING_GZIP or HTTP_CODING_DEFLATE
 * @most    largest acceptable result
 * @body    in: what came; out: what it means
 * Work is bounded by the sizes of input and output, however the blocks are cut.
 */
enum http_decoded http_coder_decode(struct http_coder *c, enum http_coding coding, size_t most, struct tg_str *body);

/** What is wrong, to be put behind the coding's name: "body is truncated". NULL if nothing is. */
const char *http_decoded_reason(enum http_decoded result);

/** Does this Accept-Encoding value want gzip, at least as much as no coding? */
bool http_accepts_gzip(struct tg_str value);

/** gzip @text into the coder's room. Returns the bytes there, or 0 if that would not save any. */
size_t http_coder_compress(struct http_coder *c, struct tg_str text);

#endif

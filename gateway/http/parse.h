/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.x request parsing: heads and chunked bodies, by RFC 9110, RFC 9112 and the policy in
 * docs/http.md. Pure functions over the caller's bytes: no I/O, no allocation, any fragmentation.
 */
#ifndef TG_HTTP_PARSE_H
#define TG_HTTP_PARSE_H

#include "tg/def.h"

/* The methods we name; every other token is HTTP_OTHER (answered 405 by the router). */
enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OPTIONS, HTTP_PATCH, HTTP_OTHER };

/* Request headers whose values the gateway reads; one row each in headers.def. */
enum http_header {
#define HEADER(ident, name, values) HTTP_H_##ident,
#include "headers.def"
#undef HEADER
    HTTP_H_COUNT
};

/* A piece of the head, as an offset from its first byte: the buffer may move while the request is served. */
struct http_span {
    uint32_t off, len; /* len 0: absent or empty */
};

enum http_body { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED };

struct http_head {
    enum http_method method;
    enum http_body body;
    uint8_t minor; /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;
    bool expect_continue; /* HTTP/1.1 client waits for 100 before it sends the body */
    uint64_t content_length; /* valid with HTTP_BODY_LENGTH */
    uint32_t present;        /* bit per enum http_header */
    uint32_t repeated;       /* bit per header that came more than once */
    struct http_span target; /* as sent; absolute-form included */
    struct http_span path;   /* without scheme, authority and query; empty only for CONNECT */
    struct http_span query;  /* without '?' */
    struct http_span header[HTTP_H_COUNT]; /* trimmed value of the first occurrence */
};

struct http_limits {
    uint32_t head_bytes_max;   /* request line and all headers: 431 */
    uint32_t target_bytes_max; /* 414 */
    uint32_t headers_max;      /* number of header lines: 431 */
};

/* Why a head was refused: status for the answer, and one static line for the log. */
struct http_refusal {
    uint16_t status; /* 400, 414, 417, 431, 501, 505 */
    const char *reason;
};

/**
 * Parse one request head from buf[0..len).
 * @scanned  in/out progress of the search for the head's end; 0 for a new request. Lets a head that comes byte by
 *           byte cost linear time. Opaque to the caller.
 * @head     written to on every call, of use only on success
 * Returns > 0: bytes of the head including the empty line, @head is set and @scanned 0 again; 0: need more bytes;
 * < 0: malformed, @why is set and nothing behind this point may be answered (close after the error response).
 * A single CRLF before the request line is skipped (counted in the return value). Limits apply while incomplete
 * too: a head that is already too long is refused without waiting for its end, and so is a first line that
 * cannot become a request line.
 */
int http_parse_head(const char *buf, size_t len, size_t *scanned, const struct http_limits *limits,
                    struct http_head *head, struct http_refusal *why);

static inline struct tg_str http_span_str(const char *buf, struct http_span s)
{
    return (struct tg_str){buf + s.off, s.len};
}

static inline struct tg_str http_header_str(const char *buf, const struct http_head *h, enum http_header id)
{
    return http_span_str(buf, h->header[id]);
}

/* True if a header of that name came, even with an empty value. */
static inline bool http_has_header(const struct http_head *h, enum http_header id)
{
    return h->present >> id & 1;
}

/* ---- chunked bodies -------------------------------------------------------------------------------- */

/* Zero-initialise. Extensions and trailers together are bounded by HTTP_CHUNK_OVERHEAD_MAX per body. */
struct http_chunked {
    uint64_t left;     /* bytes of the current chunk still to come */
    uint32_t overhead; /* bytes of extensions and trailers seen so far */
    uint8_t state;
};

#define HTTP_CHUNK_OVERHEAD_MAX (16u << 10)

enum http_chunked_result {
    HTTP_CHUNKED_MORE,      /* all input consumed, body goes on */
    HTTP_CHUNKED_DONE,      /* last chunk and trailers consumed */
    HTTP_CHUNKED_MALFORMED, /* 400 and close */
    HTTP_CHUNKED_FULL,      /* @out_cap reached while data remains: 413 */
};

/**
 * Decode the next stretch of a chunked body.
 * @in, @in_len    bytes received; @consumed gets how many of them belong to this body
 * @out, @out_cap  where payload goes (may be the same memory as @in, decoding in place); @out_len gets the count
 */
enum http_chunked_result http_chunked_decode(struct http_chunked *c, const char *in, size_t in_len,
                                             size_t *consumed, char *out, size_t out_cap, size_t *out_len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads: every answer of the gateway goes out through http_write_head(). No allocation, no locale.
 */
#ifndef TG_HTTP_RESPOND_H
#define TG_HTTP_RESPOND_H

#include "tg/def.h"

#include <time.h>

/*
 * Enough for any head with all optional lines, as long as content_type and allow stay within their bounds and
 * the remaining lines are ours.
 */
#define HTTP_CONTENT_TYPE_MAX 255
#define HTTP_ALLOW_MAX 127
#define HTTP_HEAD_BYTES_MAX 1024

#define HTTP_DATE_BYTES 29 /* "Sun, 06 Nov 1994 08:49:37 GMT" */

/* Texts are copied as they are: the caller keeps them free of line breaks. Zero or NULL leaves a line out. */
struct http_response {
    uint16_t status;
    uint8_t minor;            /* of the request: an HTTP/1.0 client is told that the connection stays */
    bool close;               /* the connection ends after this answer */
    const char *content_type; /* NULL: no line */
    uint64_t content_length;  /* always sent, except with 1xx, 204 and 304 */
    const char *date;         /* HTTP_DATE_BYTES bytes from http_format_date(), cached by the caller */
    bool gzip, vary;          /* the body is compressed; another client might have got it otherwise */
    const char *accept_encoding; /* codings, for 415 */
    const char *allow;        /* methods, for 405 and OPTIONS */
    uint32_t retry_after_s;
    const char *trace_id; /* 32 hex digits, need not be terminated */
    uint32_t max_age_s;   /* how long a browser may remember the answer to a preflight */
};

/**
 * Write a response head, up to and including the empty line. A 1xx answer is its status line alone.
 * Returns the bytes written, 0 if @cap is too small or the status has not three digits.
 */
size_t http_write_head(char *out, size_t cap, const struct http_response *r);

/* Writes IMF-fixdate (RFC 9110 5.6.7) and a final NUL. Times outside the years 1970 to 9999 become the
 * nearest. */
void http_format_date(char out[HTTP_DATE_BYTES + 1], time_t when);

/* The reason phrase of a status, "" if reasons.def has no row for it. */
const char *http_reason(uint16_t status);

#endif

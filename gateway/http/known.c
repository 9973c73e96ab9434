/* SPDX-License-Identifier: Apache-2.0 */
/* Telling a head that came before by its bytes. */
#include "known.h"

#include <string.h>
#include "chars.h"

/* So many digits neither overflow nor are anybody's body. */
#define DIGITS_MAX 9

static bool same_limits(const struct http_limits *a, const struct http_limits *b)
{
    return a->head_bytes_max == b->head_bytes_max && a->target_bytes_max == b->target_bytes_max &&
           a->headers_max == b->headers_max;
}

/* The number in place of the one that was; false if there are not as many digits. */
static bool read_digits(struct http_known *k, const char *buf)
{
    uint32_t n = 0;
    for (uint32_t i = k->digits_at; i < k->digits_end; i++) {
        if (!http_is_digit((unsigned char)buf[i]))
            return false;
        n = n * 10 + (uint32_t)(buf[i] - '0');
    }
    k->head.content_length = n;
    return true;
}

const struct http_head *http_known_find(struct http_known *k, const char *buf, size_t len,
                                        const struct http_limits *limits)
{
    if (k->len == 0 || len < k->len || memcmp(buf, k->text, k->digits_at) != 0 ||
        memcmp(buf + k->digits_end, k->text + k->digits_end, k->len - k->digits_end) != 0)
        return NULL;
    return same_limits(&k->limits, limits) && read_digits(k, buf) ? &k->head : NULL;
}

static bool worth_keeping(const struct http_head *head, size_t len)
{
    const uint32_t never = 1u << HTTP_H_EXPECT | 1u << HTTP_H_AUTHORIZATION | 1u << HTTP_H_IICP_CONSUMER_TOKEN;
    return len <= HTTP_KNOWN_BYTES_MAX && !(head->present & never) &&
           head->header[HTTP_H_CONTENT_LENGTH].len <= DIGITS_MAX;
}

void http_known_keep(struct http_known *k, const char *buf, size_t len, const struct http_limits *limits,
                     const struct http_head *head)
{
    if (!worth_keeping(head, len))
        return;
    struct http_span digits = head->header[HTTP_H_CONTENT_LENGTH];
    k->len = (uint32_t)len;
    k->digits_at = digits.off;
    k->digits_end = digits.off + digits.len;
    k->limits = *limits;
    k->head = *head;
    memcpy(k->text, buf, len);
}

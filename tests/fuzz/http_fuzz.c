/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for request heads and chunked bodies. The first byte seeds the fragmentation, the second
 * chooses limits and whether a head comes first; the rest is what arrived. Whole and in pieces must agree in
 * every output, spans must lie inside the head, and payload inside the room given.
 */
#include "gateway/http/parse.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CONTROL_BYTES 2
#define PAYLOAD_MAX 4096
#define TIGHT_LIMITS 1
#define BODY_ONLY 2

static void require(bool holds)
{
    if (!holds)
        abort();
}

static size_t next_piece(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525u + 1013904223u;
    size_t n = 1 + (*seed >> 24) % (*seed >> 20 & 1 ? 40 : 3);
    return n < left ? n : left;
}

static void check_span(struct http_span s, int used)
{
    require((uint64_t)s.off + s.len <= (uint64_t)used);
}

static void check_head(const struct http_head *h, const char *buf, int used)
{
    require(used >= 4 && memcmp(buf + used - 4, "\r\n\r\n", 4) == 0);
    require(h->target.len > 0 && h->minor <= 1 && (h->body == HTTP_BODY_LENGTH || h->content_length == 0));
    check_span(h->target, used);
    check_span(h->path, used);
    check_span(h->query, used);
    for (int id = 0; id < HTTP_H_COUNT; id++) {
        check_span(h->header[id], used);
        require(http_has_header(h, (enum http_header)id) || h->header[id].len == 0);
    }
}

/* Every piece arrives in memory of its own size, so that the address sanitizer guards its end. */
static int head_in_pieces(const char *buf, size_t len, uint32_t seed, const struct http_limits *limits,
                          struct http_head *head, struct http_refusal *why)
{
    size_t have = 0, scanned = 0;
    int used = 0;
    while (used == 0 && have < len) {
        have += next_piece(&seed, len - have);
        char *copy = malloc(have);
        memcpy(copy, buf, have);
        used = http_parse_head(copy, have, &scanned, limits, head, why);
        free(copy);
    }
    return used;
}

/* Returns the bytes of the head, 0 if nothing may follow. */
static size_t check_heads(const char *buf, size_t len, uint32_t seed, const struct http_limits *limits)
{
    struct http_head whole, pieces;
    struct http_refusal why = {0}, why_pieces = {0};
    size_t scanned = 0;
    int used = http_parse_head(buf, len, &scanned, limits, &whole, &why);
    require(head_in_pieces(buf, len, seed, limits, &pieces, &why_pieces) == used);
    if (used < 0)
        require(why.status == why_pieces.status && strcmp(why.reason, why_pieces.reason) == 0);
    if (used <= 0)
        return 0;
    check_head(&whole, buf, used);
    require(memcmp(&whole, &pieces, sizeof(whole)) == 0);
    return (size_t)used;
}

struct body {
    enum http_chunked_result result;
    size_t used, len;
    char bytes[PAYLOAD_MAX];
};

static void body_in_pieces(struct body *b, const char *in, size_t len, uint32_t seed)
{
    struct http_chunked c = {0};
    size_t used, got;
    b->result = HTTP_CHUNKED_MORE;
    b->used = b->len = 0;
    while (b->result == HTTP_CHUNKED_MORE && b->used < len) {
        size_t n = next_piece(&seed, len - b->used);
        b->result =
            http_chunked_decode(&c, in + b->used, n, &used, b->bytes + b->len, PAYLOAD_MAX - b->len, &got);
        require(used <= n && got <= used && got <= PAYLOAD_MAX - b->len);
        require(b->result != HTTP_CHUNKED_MORE || used == n);
        b->used += used;
        b->len += got;
    }
}

/* Whole, the payload is decoded over its own input. */
static void check_bodies(const char *in, size_t len, uint32_t seed)
{
    static struct body pieces;
    struct http_chunked c = {0};
    size_t used, got;
    char *copy = malloc(len + 1);
    memcpy(copy, in, len);
    size_t room = len < PAYLOAD_MAX ? len : PAYLOAD_MAX;
    enum http_chunked_result result = http_chunked_decode(&c, copy, len, &used, copy, room, &got);
    body_in_pieces(&pieces, in, len, seed);
    require(result == pieces.result && used == pieces.used && got == pieces.len);
    require(memcmp(copy, pieces.bytes, got) == 0);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http_limits wide = {16384, 4096, 100}, tight = {160, 24, 3};
    if (size < CONTROL_BYTES)
        return 0;
    const char *buf = (const char *)data + CONTROL_BYTES;
    size_t len = size - CONTROL_BYTES, head = 0;
    if (!(data[1] & BODY_ONLY)) {
        head = check_heads(buf, len, data[0], data[1] & TIGHT_LIMITS ? &tight : &wide);
        if (head == 0)
            return 0;
    }
    check_bodies(buf + head, len - head, data[0]);
    return 0;
}

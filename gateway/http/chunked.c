/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chunked bodies (RFC 9112 section 7.1), byte by byte except for payload. Sizes are plain hex of at most 16
 * digits and below 2^63; extensions and trailers are checked for form, counted and dropped: they never touch
 * framing.
 */
#include "parse.h"
#include "chars.h"

#include <string.h>

#define SIZE_DIGITS_MAX 16
#define SIZE_MAX_VALUE (UINT64_MAX >> 1)

/* States 0..16 stand before the size's end and count its digits; a zeroed decoder starts there. */
enum state {
    IN_SIZE = 0,
    IN_EXTENSION = SIZE_DIGITS_MAX + 1,
    AFTER_SIZE_CR,
    IN_DATA,
    AFTER_DATA,
    AFTER_DATA_CR,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_CR,
    AFTER_LAST_CR,
    DONE,
    BROKEN,
};

static uint8_t on_size(struct http_chunked *c, unsigned char byte)
{
    int digit = http_hex_value(byte);
    if (digit >= 0 && c->state < SIZE_DIGITS_MAX) {
        c->left = c->left << 4 | (unsigned)digit;
        return c->left <= SIZE_MAX_VALUE ? c->state + 1 : BROKEN;
    }
    if (c->state == IN_SIZE)
        return BROKEN;
    if (byte == ';')
        return IN_EXTENSION;
    return byte == '\r' ? AFTER_SIZE_CR : BROKEN;
}

/* Inside extensions and trailer values: any value byte, until CR. */
static uint8_t on_text(const struct http_chunked *c, unsigned char byte, uint8_t after_cr)
{
    if (byte == '\r')
        return after_cr;
    return http_is_value(byte) ? c->state : BROKEN;
}

static uint8_t on_trailer_start(unsigned char byte)
{
    if (byte == '\r')
        return AFTER_LAST_CR;
    return http_is_token(byte) ? TRAILER_NAME : BROKEN;
}

static uint8_t on_trailer_name(unsigned char byte)
{
    if (byte == ':')
        return TRAILER_VALUE;
    return http_is_token(byte) ? TRAILER_NAME : BROKEN;
}

static uint8_t on_framing(struct http_chunked *c, unsigned char byte)
{
    switch (c->state) {
    case IN_EXTENSION:
        return on_text(c, byte, AFTER_SIZE_CR);
    case AFTER_SIZE_CR:
        return byte != '\n' ? BROKEN : c->left > 0 ? IN_DATA : TRAILER_START;
    case AFTER_DATA:
        return byte == '\r' ? AFTER_DATA_CR : BROKEN;
    case AFTER_DATA_CR:
        return byte == '\n' ? IN_SIZE : BROKEN;
    case TRAILER_START:
        return on_trailer_start(byte);
    case TRAILER_NAME:
        return on_trailer_name(byte);
    case TRAILER_VALUE:
        return on_text(c, byte, TRAILER_CR);
    case TRAILER_CR:
        return byte == '\n' ? TRAILER_START : BROKEN;
    case AFTER_LAST_CR:
        return byte == '\n' ? DONE : BROKEN;
    default:
        return on_size(c, byte);
    }
}

/* Sizes and line ends are part of every body; what is counted is what a client could add without need. */
static bool counts_as_overhead(uint8_t state)
{
    return state == IN_EXTENSION || (state >= TRAILER_NAME && state <= TRAILER_CR);
}

static void take_framing(struct http_chunked *c, unsigned char byte)
{
    c->state = on_framing(c, byte);
    c->overhead += counts_as_overhead(c->state);
    if (c->overhead > HTTP_CHUNK_OVERHEAD_MAX)
        c->state = BROKEN;
}

/* Moves payload of the current chunk, as much as came and fits. */
static size_t take_data(struct http_chunked *c, const char *in, size_t in_len, char *out, size_t room)
{
    size_t n = TG_MIN(in_len, room);
    n = c->left < n ? (size_t)c->left : n;
    if (n > 0 && out != in)
        memmove(out, in, n);
    c->left -= n;
    if (c->left == 0)
        c->state = AFTER_DATA;
    return n;
}

static enum http_chunked_result result_of(const struct http_chunked *c, bool unread)
{
    if (c->state == DONE)
        return HTTP_CHUNKED_DONE;
    if (c->state == BROKEN)
        return HTTP_CHUNKED_MALFORMED;
    return unread ? HTTP_CHUNKED_FULL : HTTP_CHUNKED_MORE;
}

enum http_chunked_result http_chunked_decode(struct http_chunked *c, const char *in, size_t in_len,
                                             size_t *consumed, char *out, size_t out_cap, size_t *out_len)
{
    size_t i = 0, o = 0;
    while (i < in_len && c->state < DONE) {
        if (c->state != IN_DATA) {
            take_framing(c, (unsigned char)in[i++]);
            continue;
        }
        size_t n = take_data(c, in + i, in_len - i, out + o, out_cap - o);
        if (n == 0)
            break;
        i += n;
        o += n;
    }
    *consumed = i;
    *out_len = o;
    return result_of(c, i < in_len);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: coded bodies and the headers that name codings. The first byte chooses the coding and the room, the rest
 * is the body. What decodes must encode and decode to the same again, and zlib's own one-call interface must agree.
 */
#include "gateway/http/coding.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ROOM_BYTES (1u << 16)

static struct http_coder coder, other;

static void make(struct http_coder *c)
{
    char *state = malloc(HTTP_CODER_STATE_BYTES), *room = malloc(ROOM_BYTES);
    if (!state || !room || http_coder_init(c, state, room, ROOM_BYTES) != 0)
        abort();
}

static char *copy_of(const void *data, size_t size)
{
    char *copy = malloc(size ? size : 1);
    if (!copy)
        abort();
    memcpy(copy, data, size);
    return copy;
}

static void check_round_trip(struct tg_str text)
{
    size_t len = http_coder_compress(&other, text);
    if (len == 0)
        return;
    char *packed = copy_of(other.room, len);
    struct tg_str back = {packed, len};
    if (http_coder_decode(&other, HTTP_CODING_GZIP, ROOM_BYTES, &back) != HTTP_DECODED || !tg_str_eq(back, text))
        abort();
    free(packed);
}

/* zlib streams only: gzip members strung together are beyond the simple call. */
static void check_peer(enum http_decoded result, const char *in, size_t size, size_t most, struct tg_str text)
{
    static unsigned char out[ROOM_BYTES];
    uLongf len = most;
    uLong used = size;
    int rc = uncompress2(out, &len, (const unsigned char *)in, &used);
    bool whole = rc == Z_OK && used == size;
    if (whole != (result == HTTP_DECODED) && result != HTTP_DECODED_TOO_SLOW)
        abort();
    if (result == HTTP_DECODED && (len != text.len || memcmp(out, text.ptr, len) != 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!coder.room) {
        make(&coder);
        make(&other);
    }
    if (size == 0)
        return 0;
    enum http_coding coding = data[0] & 1 ? HTTP_CODING_GZIP : HTTP_CODING_DEFLATE;
    size_t most = (size_t)64 << (data[0] >> 1) % 10;
    char *in = copy_of(data + 1, size - 1);
    struct tg_str body = {in, size - 1};
    (void)http_coding_of(body);
    (void)http_accepts_gzip(body);
    enum http_decoded result = http_coder_decode(&coder, coding, most, &body);
    if (result == HTTP_DECODED && body.len > most)
        abort();
    if (coding == HTTP_CODING_DEFLATE)
        check_peer(result, in, size - 1, most, body);
    if (result == HTTP_DECODED)
        check_round_trip(body);
    free(in);
    return 0;
}

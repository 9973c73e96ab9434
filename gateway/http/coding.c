/* SPDX-License-Identifier: Apache-2.0 */
/* gzip and deflate by zlib, in bounded memory and bounded time; and the two headers that negotiate them. */
#include "coding.h"

#include <errno.h>
#include <string.h>

#include "chars.h"

#define WINDOW_BITS 15
#define GZIP_WRAPPER 16  /* added to the window bits: zlib's way of asking for gzip */
#define COMPRESS_LEVEL 1 /* the worker's other connections wait meanwhile */
#define MEMORY_LEVEL 8

/*
 * A block that says little can still cost the building of its code tables. Encoders fill their blocks with thousands of
 * bytes, or flush them line by line at worst; whoever needs more blocks than this is after our time.
 */
#define BLOCKS_FREE 1024
#define BYTES_PER_BLOCK 128

/* ---- state ------------------------------------------------------------------------------------------- */

static void *take(void *opaque, unsigned items, unsigned size)
{
    struct http_coder *c = opaque;
    size_t bytes = ((size_t)items * size + 15) & ~(size_t)15;
    if (bytes > c->state_left)
        return NULL;
    c->state_left -= bytes;
    return c->state + c->state_left;
}

/* The state is reset, never made anew. */
static void give(void *opaque, void *memory)
{
    (void)opaque;
    (void)memory;
}

/* zlib makes the window of an inflater only when a first stream stops half-way: let it do so now. */
static int touch_window(struct http_coder *c)
{
    static const unsigned char stored_a[] = {0x78, 0x01, 0x00, 0x02, 0x00, 0xfd, 0xff, 'a', 'a'};
    char out[2];
    c->in.next_in = (unsigned char *)(uintptr_t)stored_a;
    c->in.avail_in = sizeof(stored_a);
    c->in.next_out = (unsigned char *)out;
    c->in.avail_out = sizeof(out);
    return inflate(&c->in, Z_BLOCK) == Z_OK && inflate(&c->in, Z_BLOCK) == Z_OK ? 0 : -ENOMEM;
}

int http_coder_init(struct http_coder *c, char *state, char *room, size_t room_bytes)
{
    z_stream fresh = {.zalloc = take, .zfree = give, .opaque = c};
    *c = (struct http_coder){.in = fresh, .out = fresh, .state = state, .room = room, .room_bytes = room_bytes};
    c->state_left = HTTP_CODER_STATE_BYTES;
    if (inflateInit2(&c->in, WINDOW_BITS) != Z_OK ||
        deflateInit2(&c->out, COMPRESS_LEVEL, Z_DEFLATED, WINDOW_BITS + GZIP_WRAPPER, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    return touch_window(c);
}

/* ---- header values ------------------------------------------------------------------------------------ */

static struct tg_str trimmed(struct tg_str s)
{
    while (s.len > 0 && http_is_blank((unsigned char)s.ptr[0]))
        s.ptr++, s.len--;
    while (s.len > 0 && http_is_blank((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts off what comes before the next @mark, and the mark; false when nothing is left. */
static bool next_part(struct tg_str *list, char mark, struct tg_str *part)
{
    if (!list->ptr)
        return false;
    const char *at = list->len > 0 ? memchr(list->ptr, mark, list->len) : NULL;
    size_t len = at ? (size_t)(at - list->ptr) : list->len;
    *part = trimmed((struct tg_str){list->ptr, len});
    *list = at ? (struct tg_str){at + 1, list->len - len - 1} : (struct tg_str){NULL, 0};
    return true;
}

static bool same_word(struct tg_str s, struct tg_str lower)
{
    if (s.len != lower.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != lower.ptr[i])
            return false;
    }
    return true;
}

static bool is_gzip(struct tg_str word)
{
    return same_word(word, TG_STR("gzip")) || same_word(word, TG_STR("x-gzip"));
}

enum http_coding http_coding_of(struct tg_str value)
{
    value = trimmed(value);
    if (value.len == 0 || same_word(value, TG_STR("identity")))
        return HTTP_CODING_IDENTITY;
    if (is_gzip(value))
        return HTTP_CODING_GZIP;
    return same_word(value, TG_STR("deflate")) ? HTTP_CODING_DEFLATE : HTTP_CODING_UNKNOWN;
}

const char *http_coding_name(enum http_coding coding)
{
    static const char *const names[] = {"identity", "gzip", "deflate", "unknown"};
    return names[coding];
}

/* "0.25" as 250, with at most three decimals and nothing above one; -1 for anything else. */
static int thousandths(struct tg_str s)
{
    static const int worth[] = {1000, 0, 100, 10, 1};
    int sum = 0;
    if (s.len == 0 || s.len > 5 || s.ptr[0] > '1' || (s.len > 1 && s.ptr[1] != '.'))
        return -1;
    for (size_t i = 0; i < s.len; i++) {
        if (i == 1)
            continue;
        if (!http_is_digit((unsigned char)s.ptr[i]))
            return -1;
        sum += (s.ptr[i] - '0') * worth[i];
    }
    return sum <= 1000 ? sum : -1;
}

/* The weight among the parameters behind a name: 1000 if there is none, 0 if it is no weight. */
static int weight_of(struct tg_str parameters)
{
    struct tg_str p;
    int q = 1000;
    while (next_part(&parameters, ';', &p))
        q = p.len >= 2 && (p.ptr[0] | 0x20) == 'q' && p.ptr[1] == '='
                ? TG_MAX(thousandths((struct tg_str){p.ptr + 2, p.len - 2}), 0)
                : 0;
    return q;
}

bool http_accepts_gzip(struct tg_str value)
{
    int gzip = -1, identity = -1, any = -1;
    struct tg_str element, name;
    while (next_part(&value, ',', &element)) {
        if (!next_part(&element, ';', &name) || name.len == 0)
            continue;
        int q = weight_of(element);
        if (is_gzip(name))
            gzip = q;
        else if (same_word(name, TG_STR("identity")))
            identity = q;
        else if (tg_str_eq(name, TG_STR("*")))
            any = q;
    }
    gzip = gzip < 0 ? any : gzip;
    return gzip > 0 && gzip >= identity;
}

/* ---- bodies in ----------------------------------------------------------------------------------------- */

const char *http_decoded_reason(enum http_decoded result)
{
    static const char *const reasons[] = {
        [HTTP_DECODED] = NULL,
        [HTTP_DECODED_TOO_LARGE] = "body is over the limit once decoded",
        [HTTP_DECODED_TOO_SLOW] = "body takes more work than its size explains",
        [HTTP_DECODED_TRUNCATED] = "body is truncated",
        [HTTP_DECODED_CORRUPT] = "body is corrupt",
        [HTTP_DECODED_TRAILING] = "body is followed by other bytes",
    };
    return reasons[result];
}

/* One stream's end: is the body at its end too? gzip files may be strung together (RFC 1952 2.2), zlib streams not. */
static bool next_member(z_stream *z, enum http_coding coding)
{
    return coding == HTTP_CODING_GZIP && inflateReset(z) == Z_OK;
}

/* What stopped the inflater for good. @first: within the first member. */
static enum http_decoded fault_of(int rc, bool first)
{
    if (rc == Z_BUF_ERROR)
        return HTTP_DECODED_TRUNCATED;
    return first ? HTTP_DECODED_CORRUPT : HTTP_DECODED_TRAILING;
}

/* Block by block. @room is one byte more than the result may have. */
static enum http_decoded run(z_stream *z, enum http_coding coding, size_t room)
{
    uint64_t blocks = 0, in = z->avail_in;
    bool first = true;
    for (;;) {
        int rc = inflate(z, Z_BLOCK);
        if (z->avail_out == 0)
            return HTTP_DECODED_TOO_LARGE;
        if (rc == Z_STREAM_END && z->avail_in == 0)
            return HTTP_DECODED;
        if (rc == Z_STREAM_END && !next_member(z, coding))
            return HTTP_DECODED_TRAILING;
        if (rc != Z_OK && rc != Z_STREAM_END)
            return fault_of(rc, first);
        if (++blocks > BLOCKS_FREE + (in + room - z->avail_out) / BYTES_PER_BLOCK)
            return HTTP_DECODED_TOO_SLOW;
        first &= rc != Z_STREAM_END;
    }
}

enum http_decoded http_coder_decode(struct http_coder *c, enum http_coding coding, size_t most, struct tg_str *body)
{
    size_t room = TG_MIN(most + 1, c->room_bytes); /* one byte more shows that there is more */
    if (inflateReset2(&c->in, coding == HTTP_CODING_GZIP ? WINDOW_BITS + GZIP_WRAPPER : WINDOW_BITS) != Z_OK)
        return HTTP_DECODED_CORRUPT;
    c->in.next_in = (unsigned char *)(uintptr_t)body->ptr;
    c->in.avail_in = (unsigned)body->len;
    c->in.next_out = (unsigned char *)c->room;
    c->in.avail_out = (unsigned)room;
    enum http_decoded result = run(&c->in, coding, room);
    if (result == HTTP_DECODED)
        *body = (struct tg_str){c->room, room - c->in.avail_out};
    return result;
}

/* ---- answers out --------------------------------------------------------------------------------------- */

size_t http_coder_compress(struct http_coder *c, struct tg_str text)
{
    size_t room = TG_MIN(text.len, c->room_bytes);
    if (room == 0 || deflateReset(&c->out) != Z_OK)
        return 0;
    c->out.next_in = (unsigned char *)(uintptr_t)text.ptr;
    c->out.avail_in = (unsigned)text.len;
    c->out.next_out = (unsigned char *)c->room;
    c->out.avail_out = (unsigned)(room - 1); /* no saving, no use */
    return deflate(&c->out, Z_FINISH) == Z_STREAM_END ? room - 1 - c->out.avail_out : 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Content codings: bodies whole, cut and damaged; bounds on room and work; compressed answers; the two headers. */
#include "gateway/http/coding.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { RAW = -15, ZLIB = 15, GZIP = 31 };

struct rig {
    struct http_coder coder;
    char *state, *room;
};

static struct rig *rig_new(size_t room_bytes)
{
    struct rig *r = calloc(1, sizeof(*r));
    r->state = malloc(HTTP_CODER_STATE_BYTES);
    r->room = malloc(room_bytes);
    memset(r->state, 0xa5, HTTP_CODER_STATE_BYTES);
    cr_assert_eq(http_coder_init(&r->coder, r->state, r->room, room_bytes), 0);
    return r;
}

/* Texts made for one test; they go with its rig. */
static void **texts;
static size_t text_count;

static void *text_new(size_t len)
{
    texts = realloc(texts, (text_count + 1) * sizeof(*texts));
    return texts[text_count++] = malloc(len ? len : 1);
}

static void rig_free(struct rig *r)
{
    while (text_count > 0)
        free(texts[--text_count]);
    free(texts);
    texts = NULL;
    free(r->state);
    free(r->room);
    free(r);
}

/* Memory of exactly the right size, so that the address sanitizer sees a byte too many. */
static struct tg_str exactly(const void *data, size_t len)
{
    char *copy = text_new(len);
    memcpy(copy, data, len);
    return (struct tg_str){copy, len};
}

/* With @flush_every, the encoder ends a block after so many bytes. */
static struct tg_str packed(const char *text, size_t len, int window_bits, size_t flush_every)
{
    size_t cap = len * 2 + 65536;
    unsigned char *out = malloc(cap);
    z_stream z = {0};
    cr_assert_eq(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = out;
    z.avail_out = (unsigned)cap;
    for (size_t at = 0; at <= len;) {
        size_t n = flush_every && len - at > flush_every ? flush_every : len - at;
        z.next_in = (unsigned char *)(uintptr_t)(text + at);
        z.avail_in = (unsigned)n;
        at += n;
        int rc = deflate(&z, at < len ? Z_SYNC_FLUSH : Z_FINISH);
        cr_assert(rc == Z_OK || rc == Z_STREAM_END, "%d", rc);
        if (rc == Z_STREAM_END)
            break;
    }
    struct tg_str result = exactly(out, cap - z.avail_out);
    deflateEnd(&z);
    free(out);
    return result;
}

static char *noise(size_t len)
{
    char *text = text_new(len);
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1103515245u + 12345u;
        text[i] = (char)('a' + (x >> 16) % 20);
    }
    return text;
}

static enum http_decoded decode(struct rig *r, enum http_coding coding, size_t most, struct tg_str in,
                                struct tg_str *out)
{
    *out = in;
    return http_coder_decode(&r->coder, coding, most, out);
}

static void expect_text(struct tg_str got, const char *want, size_t len)
{
    cr_assert_eq(got.len, len, "%zu bytes, not %zu", got.len, len);
    cr_assert_eq(memcmp(got.ptr, want, len), 0);
}

static void expect_reason(enum http_decoded got, enum http_decoded want, const char *where, size_t at)
{
    const char *reason = http_decoded_reason(got);
    cr_assert_eq(got, want, "%s at %zu: %s", where, at, reason ? reason : "decoded");
}

Test(coding, decodes_both_codings_again_and_again)
{
    struct rig *r = rig_new(1 << 20);
    char *text = noise(200000);
    for (size_t len = 1; len < 200000; len = len * 3 + 1) {
        struct tg_str gz = packed(text, len, GZIP, 0), zl = packed(text, len, ZLIB, 0), out;
        expect_reason(decode(r, HTTP_CODING_GZIP, 200000, gz, &out), HTTP_DECODED, "gzip", len);
        expect_text(out, text, len);
        expect_reason(decode(r, HTTP_CODING_DEFLATE, 200000, zl, &out), HTTP_DECODED, "deflate", len);
        expect_text(out, text, len);
    }
    rig_free(r);
}

Test(coding, takes_no_memory_once_it_is_made)
{
    struct rig *r = rig_new(1 << 20);
    char *text = noise(100000);
    size_t left = r->coder.state_left;
    struct tg_str gz = packed(text, 100000, GZIP, 1000), out;
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(decode(r, HTTP_CODING_GZIP, 1 << 19, gz, &out), HTTP_DECODED);
        cr_assert_eq(decode(r, HTTP_CODING_GZIP, 500, gz, &out), HTTP_DECODED_TOO_LARGE);
        cr_assert_gt(http_coder_compress(&r->coder, (struct tg_str){text, 100000}), 0);
    }
    cr_assert_eq(r->coder.state_left, left);
    rig_free(r);
}

Test(coding, accepts_a_body_of_exactly_the_limit_and_no_more)
{
    struct rig *r = rig_new(5001);
    char *text = noise(5000);
    struct tg_str gz = packed(text, 5000, GZIP, 0), out;
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 5000, gz, &out), HTTP_DECODED);
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 4999, gz, &out), HTTP_DECODED_TOO_LARGE);
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 0, gz, &out), HTTP_DECODED_TOO_LARGE);
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, SIZE_MAX / 2, gz, &out), HTTP_DECODED, "the room is the bound then");
    rig_free(r);
}

Test(coding, stops_a_bomb_at_the_limit)
{
    size_t len = 64u << 20;
    char *zeros = calloc(1, len);
    struct rig *r = rig_new(70000);
    struct tg_str bomb = packed(zeros, len, GZIP, 0), out;
    cr_assert_lt(bomb.len, len / 900, "a thousandfold, or it is no bomb");
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 65536, bomb, &out), HTTP_DECODED_TOO_LARGE);
    free(zeros);
    rig_free(r);
}

Test(coding, a_cut_anywhere_is_a_truncated_body)
{
    struct rig *r = rig_new(10000);
    char *text = noise(3000);
    for (int kind = 0; kind < 2; kind++) {
        struct tg_str whole = packed(text, 3000, kind ? ZLIB : GZIP, 700), out;
        for (size_t cut = 0; cut < whole.len; cut++) {
            struct tg_str part = exactly(whole.ptr, cut);
            expect_reason(decode(r, kind ? HTTP_CODING_DEFLATE : HTTP_CODING_GZIP, 9000, part, &out),
                          HTTP_DECODED_TRUNCATED, "cut", cut);
        }
    }
    rig_free(r);
}

Test(coding, damage_is_never_taken_for_the_body)
{
    struct rig *r = rig_new(100000);
    char *text = noise(2000);
    struct tg_str whole = packed(text, 2000, ZLIB, 0), out;
    size_t refused = 0;
    for (size_t bit = 0; bit < whole.len * 8; bit++) {
        struct tg_str bad = exactly(whole.ptr, whole.len);
        ((char *)(uintptr_t)bad.ptr)[bit / 8] ^= (char)(1 << bit % 8);
        if (decode(r, HTTP_CODING_DEFLATE, 90000, bad, &out) == HTTP_DECODED) /* a bit that says nothing: padding */
            expect_text(out, text, 2000);
        else
            refused++;
    }
    cr_assert_gt(refused, whole.len * 8 - 16);
    rig_free(r);
}

Test(coding, refuses_what_follows_the_end)
{
    struct rig *r = rig_new(10000);
    struct tg_str gz = packed("hello", 5, GZIP, 0), zl = packed("hello", 5, ZLIB, 0), out;
    char both[200] = {0};
    memcpy(both, gz.ptr, gz.len);
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 100, (struct tg_str){both, gz.len + 1}, &out), HTTP_DECODED_TRUNCATED,
                 "one byte more may begin another member");
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 100, (struct tg_str){both, gz.len + 10}, &out), HTTP_DECODED_TRAILING);
    memcpy(both, zl.ptr, zl.len);
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 100, (struct tg_str){both, zl.len + 1}, &out), HTTP_DECODED_TRAILING);
    memcpy(both + zl.len, zl.ptr, zl.len);
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 100, (struct tg_str){both, zl.len * 2}, &out), HTTP_DECODED_TRAILING);
    rig_free(r);
}

Test(coding, gzip_members_may_be_strung_together)
{
    struct rig *r = rig_new(10000);
    struct tg_str a = packed("hello, ", 7, GZIP, 0), b = packed("world", 5, GZIP, 0), out;
    char both[200];
    memcpy(both, a.ptr, a.len);
    memcpy(both + a.len, b.ptr, b.len);
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 100, (struct tg_str){both, a.len + b.len}, &out), HTTP_DECODED);
    expect_text(out, "hello, world", 12);
    rig_free(r);
}

Test(coding, bare_deflate_data_and_swapped_codings_are_corrupt)
{
    struct rig *r = rig_new(10000);
    struct tg_str raw = packed("hello", 5, RAW, 0), gz = packed("hello", 5, GZIP, 0), zl = packed("hello", 5, ZLIB, 0);
    struct tg_str out;
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 100, raw, &out), HTTP_DECODED_CORRUPT);
    cr_assert_eq(decode(r, HTTP_CODING_GZIP, 100, zl, &out), HTTP_DECODED_CORRUPT);
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 100, gz, &out), HTTP_DECODED_CORRUPT);
    static const char dictionary[] = "\x78\xbb\x00\x00\x00\x01rest";
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 100, TG_STR(dictionary), &out), HTTP_DECODED_CORRUPT,
                 "nobody has agreed on a dictionary");
    rig_free(r);
}

/* Blocks that hold nothing: stored, empty, not the last. */
static struct tg_str empty_blocks(size_t n)
{
    char *out = text_new(2 + n * 5);
    memcpy(out, "\x78\x01", 2);
    for (size_t i = 0; i < n; i++)
        memcpy(out + 2 + i * 5, "\x00\x00\x00\xff\xff", 5);
    return (struct tg_str){out, 2 + n * 5};
}

Test(coding, work_is_bounded_where_size_is_not)
{
    struct rig *r = rig_new(1 << 20);
    struct tg_str few = empty_blocks(500), many = empty_blocks(200000), out;
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 1 << 19, few, &out), HTTP_DECODED_TRUNCATED);
    cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 1 << 19, many, &out), HTTP_DECODED_TOO_SLOW);
    rig_free(r);
}

Test(coding, a_sender_that_flushes_every_line_is_no_attacker)
{
    struct rig *r = rig_new(1 << 20);
    char *text = noise(1 << 19);
    struct tg_str gz = packed(text, 1 << 19, GZIP, 400), out;
    expect_reason(decode(r, HTTP_CODING_GZIP, 1 << 19, gz, &out), HTTP_DECODED, "flushed", 0);
    expect_text(out, text, 1 << 19);
    rig_free(r);
}

Test(coding, a_failure_leaves_nothing_behind_for_the_next_body)
{
    struct rig *r = rig_new(10000);
    struct tg_str gz = packed("hello", 5, GZIP, 0), zl = packed("world", 5, ZLIB, 0), out;
    for (size_t cut = 0; cut < gz.len; cut++) {
        decode(r, HTTP_CODING_GZIP, 100, (struct tg_str){gz.ptr, cut}, &out);
        cr_assert_eq(decode(r, HTTP_CODING_DEFLATE, 100, zl, &out), HTTP_DECODED);
        expect_text(out, "world", 5);
    }
    rig_free(r);
}

Test(coding, compresses_what_gets_smaller)
{
    struct rig *r = rig_new(1 << 20), *other = rig_new(1 << 20);
    char *text = noise(60000);
    for (int i = 0; i < 3; i++) {
        size_t len = http_coder_compress(&r->coder, (struct tg_str){text, 60000});
        struct tg_str out;
        cr_assert(len > 0 && len < 60000);
        cr_assert_eq(decode(other, HTTP_CODING_GZIP, 60000, exactly(r->room, len), &out), HTTP_DECODED);
        expect_text(out, text, 60000);
    }
    for (size_t i = 0; i < 60000; i++)
        text[i] = (char)(i * i >> 7 ^ (uint32_t)(i * 2654435761u) >> 13);
    cr_assert_eq(http_coder_compress(&r->coder, (struct tg_str){text, 20}), 0);
    cr_assert_eq(http_coder_compress(&r->coder, (struct tg_str){text, 0}), 0);
    rig_free(r);
    rig_free(other);
}

Test(coding, knows_the_codings_by_name)
{
    static const struct {
        const char *value;
        enum http_coding coding;
    } rows[] = {
        {"", HTTP_CODING_IDENTITY},      {"identity", HTTP_CODING_IDENTITY}, {"gzip", HTTP_CODING_GZIP},
        {"x-gzip", HTTP_CODING_GZIP},    {"GZip", HTTP_CODING_GZIP},         {"deflate", HTTP_CODING_DEFLATE},
        {"br", HTTP_CODING_UNKNOWN},     {"gzip, gzip", HTTP_CODING_UNKNOWN}, {"gzip,", HTTP_CODING_UNKNOWN},
        {"gzip;q=1", HTTP_CODING_UNKNOWN}, {"gzi", HTTP_CODING_UNKNOWN},     {" \tgzip ", HTTP_CODING_GZIP},
        {"deflate gzip", HTTP_CODING_UNKNOWN}, {"zstd", HTTP_CODING_UNKNOWN},
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        cr_assert_eq(http_coding_of((struct tg_str){rows[i].value, strlen(rows[i].value)}), rows[i].coding, "%s",
                     rows[i].value);
    cr_assert_str_eq(http_coding_name(HTTP_CODING_DEFLATE), "deflate");
}

Test(coding, weighs_what_a_client_accepts)
{
    static const char *const yes[] = {
        "gzip", "GZIP", "x-gzip", "deflate, gzip", "gzip;q=1", "gzip;q=0.001", "gzip ; q=0.5 , br", "*", "*;q=0.1",
        "gzip;q=1.000", "identity;q=0.5, gzip;q=0.5", "br;q=1.0, gzip;q=0.8, *;q=0", ",gzip,", "gzip;Q=0.3",
        "identity;q=0, gzip;q=0.2", "gzip;q=1.", "gzip;q=0.\t, gzip",
    };
    static const char *const no[] = {
        "", "identity", "br", "gzip;q=0", "gzip;q=0.0", "gzip;q=0.000", "*;q=0", "gzip;q=0, *", "gzipp", "xgzip",
        "gzip;q=2", "gzip;q=1.001", "gzip;q=-1", "gzip;q=", "gzip;q=0.1234", "gzip;q=abc", "gzip;level=9",
        "identity, gzip;q=0.5", "identity;q=0.6, *;q=0.5", "gzip;q=0 5", "gzip;q=.5",
    };
    for (size_t i = 0; i < TG_ARRAY_SIZE(yes); i++)
        cr_assert(http_accepts_gzip(exactly(yes[i], strlen(yes[i]))), "%s", yes[i]);
    for (size_t i = 0; i < TG_ARRAY_SIZE(no); i++)
        cr_assert_not(http_accepts_gzip(exactly(no[i], strlen(no[i]))), "%s", no[i]);
}

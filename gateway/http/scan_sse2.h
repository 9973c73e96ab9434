/* SPDX-License-Identifier: Apache-2.0 */
/* Sixteen bytes at a time with SSE2, which every x86-64 has. Same answers as scan_plain.h, never a byte past
 * end. */
#ifndef TG_HTTP_SCAN_SSE2_H
#define TG_HTTP_SCAN_SSE2_H

#include "scan_plain.h"

#include <emmintrin.h>

#define HTTP_SSE2_INLINE static inline __attribute__((always_inline))

HTTP_SSE2_INLINE __m128i http_sse2_load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Lanes where low <= x <= low + span, unsigned: SSE2 has no unsigned compare, but it has a minimum. */
HTTP_SSE2_INLINE __m128i http_sse2_within(__m128i x, char low, char span)
{
    __m128i d = _mm_sub_epi8(x, _mm_set1_epi8(low));
    return _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8(span)), d);
}

HTTP_SSE2_INLINE __m128i http_sse2_controls(__m128i x)
{
    return _mm_or_si128(http_sse2_within(x, 0, 0x1f), _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f)));
}

/* Where a value ends, or has a tab in it: few have. */
HTTP_SSE2_INLINE unsigned http_sse2_value_halts(__m128i x)
{
    return (unsigned)_mm_movemask_epi8(http_sse2_controls(x));
}

HTTP_SSE2_INLINE unsigned http_sse2_value_stops(__m128i x)
{
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    return (unsigned)_mm_movemask_epi8(_mm_andnot_si128(tab, http_sse2_controls(x)));
}

/* A signed compare throws out controls, space and everything above 0x7f in one step. */
HTTP_SSE2_INLINE unsigned http_sse2_target_stops(__m128i x)
{
    __m128i visible = _mm_cmpgt_epi8(x, _mm_set1_epi8(0x20));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    __m128i hash = _mm_cmpeq_epi8(x, _mm_set1_epi8('#'));
    __m128i pass = _mm_andnot_si128(_mm_or_si128(del, hash), visible);
    return (unsigned)_mm_movemask_epi8(pass) ^ 0xffffu;
}

HTTP_SSE2_INLINE unsigned http_sse2_path_stops(__m128i x)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('?')));
}

HTTP_SSE2_INLINE __m128i http_sse2_letters_digits(__m128i x)
{
    __m128i letter = http_sse2_within(_mm_or_si128(x, _mm_set1_epi8(0x20)), 'a', 25);
    return _mm_or_si128(letter, http_sse2_within(x, '0', 9));
}

/* Letters, digits and '-' make up nearly every header name; the rarer token bytes are left to the table. */
HTTP_SSE2_INLINE unsigned http_sse2_name_stops(__m128i x)
{
    __m128i pass = _mm_or_si128(http_sse2_letters_digits(x), _mm_cmpeq_epi8(x, _mm_set1_epi8('-')));
    return (unsigned)_mm_movemask_epi8(pass) ^ 0xffffu;
}

/* Host names the same, with '-' and '.'. */
HTTP_SSE2_INLINE unsigned http_sse2_host_stops(__m128i x)
{
    __m128i sign = http_sse2_within(x, '-', 1);
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(http_sse2_letters_digits(x), sign)) ^ 0xffffu;
}

/* The first stop in [pos, end), for end >= 16: the last vector overlaps bytes already seen. */
HTTP_SSE2_INLINE size_t http_sse2_find(const char *buf, size_t pos, size_t end, unsigned (*stops)(__m128i))
{
    unsigned mask;
    for (; end - pos >= 16; pos += 16)
        if ((mask = stops(http_sse2_load(buf + pos))) != 0)
            return pos + (unsigned)__builtin_ctz(mask);
    if (pos == end)
        return end;
    mask = stops(http_sse2_load(buf + end - 16)) >> (16 - (end - pos));
    return mask != 0 ? pos + (unsigned)__builtin_ctz(mask) : end;
}

HTTP_SSE2_INLINE size_t http_sse2_value_end(const char *buf, size_t pos, size_t end)
{
    if (end < 16)
        return http_plain_value_end(buf, pos, end);
    return http_sse2_find(buf, pos, end, http_sse2_value_stops);
}

HTTP_SSE2_INLINE size_t http_sse2_target_end(const char *buf, size_t pos, size_t end)
{
    if (end < 16)
        return http_plain_target_end(buf, pos, end);
    return http_sse2_find(buf, pos, end, http_sse2_target_stops);
}

HTTP_SSE2_INLINE size_t http_sse2_path_end(const char *buf, size_t pos, size_t end)
{
    if (end < 16)
        return http_plain_path_end(buf, pos, end);
    return http_sse2_find(buf, pos, end, http_sse2_path_stops);
}

/* These vectors stop at the rarer bytes too; the plain scanner goes on from there, mostly not a single byte.
 */
HTTP_SSE2_INLINE size_t http_sse2_name_end(const char *buf, size_t pos, size_t end)
{
    if (end >= 16)
        pos = http_sse2_find(buf, pos, end, http_sse2_name_stops);
    return http_plain_name_end(buf, pos, end);
}

HTTP_SSE2_INLINE size_t http_sse2_host_end(const char *buf, size_t pos, size_t end)
{
    if (end - pos >= 16)
        pos = http_sse2_find(buf, pos, end, http_sse2_host_stops);
    return http_plain_host_end(buf, pos, end);
}

/*
 * One after the other, the places where a line may end: control characters, tabs among them. Sixty-four bytes
 * are looked at in one go, whatever is in them, so that no step of the search waits for the one before.
 */
struct http_sse2_halts {
    const char *buf;
    size_t block, next, end; /* where the bits of @mask count from, where the next block starts */
    uint64_t mask;
};

HTTP_SSE2_INLINE uint64_t http_sse2_halts_64(const char *p)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64; i += 16)
        mask |= (uint64_t)http_sse2_value_halts(http_sse2_load(p + i)) << i;
    return mask;
}

/* The last block: as a rule its vectors overlap bytes already seen. */
__attribute__((noinline, unused)) static uint64_t http_sse2_halts_tail(const char *buf, size_t pos,
                                                                       size_t end)
{
    size_t left = end - pos;
    if (end >= 64)
        return http_sse2_halts_64(buf + end - 64) >> (64 - left);
    char copy[64] = {0};
    __builtin_memcpy(copy, buf + pos, left);
    return http_sse2_halts_64(copy) & ((UINT64_C(1) << left) - 1);
}

/* Steps to the next block while there is nothing in this one; false at the end. */
HTTP_SSE2_INLINE bool http_sse2_halts_step(struct http_sse2_halts *h)
{
    while (h->mask == 0) {
        size_t left = h->end - h->next;
        if (left == 0)
            return false;
        h->block = h->next;
        h->next += TG_MIN(left, (size_t)64);
        h->mask = TG_LIKELY(left >= 64) ? http_sse2_halts_64(h->buf + h->block)
                                        : http_sse2_halts_tail(h->buf, h->block, h->end);
    }
    return true;
}

/* The next place from @pos on, or the end. */
HTTP_SSE2_INLINE size_t http_sse2_halts_next(struct http_sse2_halts *h, size_t pos)
{
    while (TG_LIKELY(http_sse2_halts_step(h))) {
        size_t at = h->block + (unsigned)__builtin_ctzll(h->mask);
        h->mask &= h->mask - 1;
        if (TG_LIKELY(at >= pos))
            return at;
    }
    return h->end;
}

/* To be told that the byte behind the place found last is another saves the search a turn, nothing else. */
HTTP_SSE2_INLINE void http_sse2_halts_skip(struct http_sse2_halts *h)
{
    h->mask &= h->mask - 1;
}

/* Up to 16 bytes of a name, lower-cased and padded with zeros. */
HTTP_SSE2_INLINE __m128i http_sse2_load_name(const char *name, size_t len, size_t room)
{
    static const char keep[32] = {[0 ... 15] = -1};
    char copy[16] = {0};
    if (room < 16)
        name = __builtin_memcpy(copy, name, len);
    __m128i lower = _mm_or_si128(http_sse2_load(name), _mm_set1_epi8(0x20));
    return _mm_and_si128(lower, http_sse2_load(keep + 16 - len));
}

HTTP_SSE2_INLINE bool http_sse2_same(__m128i a, const char *known)
{
    return _mm_movemask_epi8(_mm_cmpeq_epi8(a, http_sse2_load(known))) == 0xffff;
}

/* One bit per row of headers.def that may be this name, which is not empty. */
HTTP_SSE2_INLINE unsigned http_sse2_rows_like(const char *name, size_t len)
{
    const char *keys = (const char *)http_name_keys;
    unsigned key = HTTP_NAME_KEY((unsigned)len, (unsigned char)(name[0] | 0x20));
    __m128i want = _mm_set1_epi32((int)(key * 0x01010101u));
    unsigned rows = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(http_sse2_load(keys), want));
    if (HTTP_H_COUNT > 16)
        rows |= (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(http_sse2_load(keys + 16), want)) << 16;
    return rows & (unsigned)((UINT64_C(1) << HTTP_H_COUNT) - 1); /* the padding has a key too: 0 */
}

HTTP_SSE2_INLINE int http_sse2_header_id(const char *name, size_t len, size_t room)
{
    if (len == 0 || len >= HTTP_NAME_BYTES)
        return -1;
    unsigned rows = http_sse2_rows_like(name, len);
    if (rows == 0)
        return -1;
    __m128i head = http_sse2_load_name(name, len < 16 ? len : 16, room);
    __m128i tail = len > 16 ? http_sse2_load_name(name + 16, len - 16, room - 16) : _mm_setzero_si128();
    for (; rows != 0; rows &= rows - 1) {
        int id = __builtin_ctz(rows);
        if (http_sse2_same(head, http_names[id]) && http_sse2_same(tail, http_names[id] + 16))
            return id; /* the padding makes sure of the length */
    }
    return -1;
}

/* Any name: of any length, made of any token bytes. */
__attribute__((noinline, unused)) static int http_sse2_name_any(const char *buf, size_t pos, size_t end,
                                                                size_t *colon)
{
    *colon = http_sse2_name_end(buf, pos, end);
    return http_sse2_header_id(buf + pos, *colon - pos, end - pos);
}

/* How many bytes from the first on two vectors have in common. */
HTTP_SSE2_INLINE unsigned http_sse2_common(__m128i mask)
{
    return (unsigned)__builtin_ctz(~(unsigned)_mm_movemask_epi8(mask));
}

HTTP_SSE2_INLINE int http_sse2_short_name_id(const char *name, __m128i lower, unsigned len)
{
    for (unsigned rows = http_sse2_rows_like(name, len); rows != 0; rows &= rows - 1) {
        int id = __builtin_ctz(rows);
        __m128i same = _mm_cmpeq_epi8(lower, http_sse2_load(http_names[id]));
        if (len == http_name_lens[id] && http_sse2_common(same) >= len)
            return id;
    }
    return -1;
}

/*
 * Where the name at @pos ends, and which row it is. No control character lies before @line_end. One vector
 * shows nearly every name and the colon behind; known names need no second look, most others are letters and
 * '-'. Setting bit 5 makes '-' of a CR and of nothing else.
 */
HTTP_SSE2_INLINE int http_sse2_name(const char *buf, size_t pos, size_t line_end, size_t end, size_t *colon)
{
    if (TG_UNLIKELY(end - pos < 16))
        return http_sse2_name_any(buf, pos, end, colon);
    __m128i name = http_sse2_load(buf + pos), lower = _mm_or_si128(name, _mm_set1_epi8(0x20));
    unsigned colons = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(name, _mm_set1_epi8(':')));
    unsigned len = (unsigned)__builtin_ctz(colons | 1u << 16);
    if (TG_UNLIKELY(len == 16 || len >= line_end - pos))
        return http_sse2_name_any(buf, pos, end, colon);
    *colon = pos + len;
    int id = http_sse2_short_name_id(buf + pos, lower, len);
    if (id >= 0)
        return id;
    __m128i usual = _mm_or_si128(http_sse2_within(lower, 'a', 25), _mm_cmpeq_epi8(lower, _mm_set1_epi8('-')));
    return TG_LIKELY(http_sse2_common(usual) >= len) ? -1 : http_sse2_name_any(buf, pos, end, colon);
}

#endif

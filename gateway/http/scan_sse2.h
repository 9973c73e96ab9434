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

HTTP_SSE2_INLINE unsigned http_sse2_value_stops(__m128i x)
{
    __m128i control = http_sse2_within(x, 0, 0x1f);
    __m128i tab = _mm_cmpeq_epi8(x, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), del));
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

/* One bit per row of headers.def whose name is that long. */
HTTP_SSE2_INLINE unsigned http_sse2_rows_of_length(size_t len)
{
    __m128i want = _mm_set1_epi8((char)len);
    __m128i low = _mm_cmpeq_epi8(http_sse2_load((const char *)http_name_lens), want);
    __m128i high = _mm_cmpeq_epi8(http_sse2_load((const char *)http_name_lens + 16), want);
    return (unsigned)_mm_movemask_epi8(low) | (unsigned)_mm_movemask_epi8(high) << 16;
}

HTTP_SSE2_INLINE int http_sse2_header_id(const char *name, size_t len, size_t room)
{
    if (len == 0 || len >= HTTP_NAME_BYTES)
        return -1;
    unsigned rows = http_sse2_rows_of_length(len);
    if (rows == 0)
        return -1;
    __m128i head = http_sse2_load_name(name, len < 16 ? len : 16, room);
    __m128i tail = len > 16 ? http_sse2_load_name(name + 16, len - 16, room - 16) : _mm_setzero_si128();
    for (; rows != 0; rows &= rows - 1) {
        int id = __builtin_ctz(rows);
        if (http_sse2_same(head, http_names[id]) && http_sse2_same(tail, http_names[id] + 16))
            return id;
    }
    return -1;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-by-byte scanners: the reference for scan_sse2.h, and the code for machines without SSE2. */
#ifndef TG_HTTP_SCAN_PLAIN_H
#define TG_HTTP_SCAN_PLAIN_H

#include "chars.h"
#include "names.h"

/* Each of these returns where in [pos, end) the first byte lies that does not belong, or end. */
static inline size_t http_plain_name_end(const char *buf, size_t pos, size_t end)
{
    while (pos < end && http_is_token((unsigned char)buf[pos]))
        pos++;
    return pos;
}

static inline size_t http_plain_value_end(const char *buf, size_t pos, size_t end)
{
    while (pos < end && http_is_value((unsigned char)buf[pos]))
        pos++;
    return pos;
}

/* One after the other, the places where a line may end: control characters, tabs among them. */
struct http_plain_halts {
    const char *buf;
    size_t next, end;
};

/* The next place from @pos on, or the end. */
static inline size_t http_plain_halts_next(struct http_plain_halts *h, size_t pos)
{
    size_t at = TG_MAX(h->next, pos);
    while (at < h->end && h->buf[at] != '\t' && http_is_value((unsigned char)h->buf[at]))
        at++;
    h->next = at + 1;
    return TG_MIN(at, h->end);
}

/* To be told that the byte behind the place found last is another saves vectors a turn. */
static inline void http_plain_halts_skip(struct http_plain_halts *h)
{
    h->next++;
}

static inline size_t http_plain_target_end(const char *buf, size_t pos, size_t end)
{
    while (pos < end && http_is_target((unsigned char)buf[pos]))
        pos++;
    return pos;
}

static inline size_t http_plain_path_end(const char *buf, size_t pos, size_t end)
{
    while (pos < end && buf[pos] != '?')
        pos++;
    return pos;
}

static inline size_t http_plain_host_end(const char *buf, size_t pos, size_t end)
{
    while (pos < end && http_is_host((unsigned char)buf[pos]))
        pos++;
    return pos;
}

/* A name holds token bytes only, so setting bit 5 lower-cases letters and makes no other byte look like one.
 */
static inline bool http_plain_same_name(const char *name, size_t len, const char *known)
{
    size_t i = 0;
    while (i < len && (name[i] | 0x20) == known[i])
        i++;
    return i == len;
}

/* Which row of headers.def this name is, or -1. @room counts the bytes that may be read at @name. */
static inline int http_plain_header_id(const char *name, size_t len, size_t room)
{
    (void)room;
    for (int id = 0; id < HTTP_H_COUNT; id++)
        if (len == http_name_lens[id] && http_plain_same_name(name, len, http_names[id]))
            return id;
    return -1;
}

/* Where the name at @pos ends, and which row of headers.def it is, or -1. */
static inline int http_plain_name(const char *buf, size_t pos, size_t line_end, size_t end, size_t *colon)
{
    (void)line_end;
    *colon = http_plain_name_end(buf, pos, end);
    return http_plain_header_id(buf + pos, *colon - pos, end - pos);
}

#endif

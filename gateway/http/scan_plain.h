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

static inline size_t http_plain_target_end(const char *buf, size_t pos, size_t end)
{
    while (pos < end && http_is_target((unsigned char)buf[pos]))
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

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Time zone files: a header, a table of changes, the rule that holds afterwards. Nothing in them is trusted.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "zone.h"
#include "zone_rule.h"

#define ZONE_FILE_MAX 65536
#define HEADER_BYTES 44

struct zone {
    struct zone_rule rule; /* after the last change */
    bool has_rule;
    int32_t first_s; /* before the first */
    uint32_t count;
    struct {
        int64_t unix_s;
        int32_t offset_s;
    } changes[];
};

/* ---- reading ---------------------------------------------------------------------------------------- */

struct header {
    uint32_t utc_flags, std_flags, leaps, times, types, chars;
};

static uint64_t big_endian(const char *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | (unsigned char)p[i];
    return value;
}

static bool read_header(struct tg_str t, struct header *h)
{
    if (t.len < HEADER_BYTES || memcmp(t.ptr, "TZif", 4) != 0 || t.ptr[4] < '2')
        return false;
    uint32_t *out[] = {&h->utc_flags, &h->std_flags, &h->leaps, &h->times, &h->types, &h->chars};
    for (unsigned i = 0; i < TG_ARRAY_SIZE(out); i++)
        *out[i] = (uint32_t)big_endian(t.ptr + 20 + 4 * i, 4);
    return h->types > 0 && h->types <= 256 && h->times <= ZONE_FILE_MAX && h->leaps <= ZONE_FILE_MAX &&
           h->chars <= ZONE_FILE_MAX && h->utc_flags <= 256 && h->std_flags <= 256;
}

/* Bytes of the block behind a header, whose times have @time_bytes. */
static size_t block_bytes(const struct header *h, size_t time_bytes)
{
    return h->times * (time_bytes + 1) + h->types * 6 + h->chars + h->leaps * (time_bytes + 4) +
           h->std_flags + h->utc_flags;
}

static struct tg_str behind(struct tg_str t, size_t n)
{
    return (struct tg_str){t.ptr + n, t.len - n};
}

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; none: the last change holds on. */
static bool read_footer(struct zone *z, struct tg_str t)
{
    const char *end = t.len && t.ptr[0] == '\n' ? memchr(t.ptr + 1, '\n', t.len - 1) : NULL;
    if (!end)
        return false;
    struct tg_str rule = {t.ptr + 1, (size_t)(end - t.ptr - 1)};
    z->has_rule = rule.len && zone_rule_parse(rule, &z->rule);
    return z->has_rule || rule.len == 0;
}

static bool read_changes(struct zone *z, const struct header *h, const char *block)
{
    const char *index = block + h->times * 8, *types = index + h->times;
    z->first_s = (int32_t)big_endian(types, 4);
    for (uint32_t i = 0; i < h->times; i++) {
        unsigned type = (unsigned char)index[i];
        if (type >= h->types)
            return false;
        z->changes[i].unix_s = (int64_t)big_endian(block + i * 8, 8);
        z->changes[i].offset_s = (int32_t)big_endian(types + type * 6, 4);
        if (z->changes[i].offset_s <= -90000 || z->changes[i].offset_s >= 93600)
            return false;
        if (i && z->changes[i].unix_s <= z->changes[i - 1].unix_s)
            return false;
    }
    z->count = h->times;
    return true;
}

/* Version 2 and later repeat the whole table with times of 64 bits; only that one is read. */
struct zone *zone_read(struct tg_str tzif)
{
    struct header old, h;
    if (!read_header(tzif, &old) || tzif.len < HEADER_BYTES + block_bytes(&old, 4))
        return NULL;
    struct tg_str t = behind(tzif, HEADER_BYTES + block_bytes(&old, 4));
    if (!read_header(t, &h) || t.len < HEADER_BYTES + block_bytes(&h, 8))
        return NULL;
    struct zone *z = calloc(1, sizeof(*z) + h.times * sizeof(z->changes[0]));
    if (z && read_changes(z, &h, t.ptr + HEADER_BYTES) &&
        read_footer(z, behind(t, HEADER_BYTES + block_bytes(&h, 8))))
        return z;
    free(z);
    return NULL;
}

struct zone *zone_of_rule(struct tg_str rule)
{
    struct zone *z = calloc(1, sizeof(*z));
    if (z && zone_rule_parse(rule, &z->rule)) {
        z->has_rule = true;
        return z;
    }
    free(z);
    return NULL;
}

/* ---- finding ---------------------------------------------------------------------------------------- */

static struct zone *load_file(const char *path, const char **why)
{
    static const char missing[] = "no such time zone", broken[] = "its time zone file makes no sense";
    char *bytes = malloc(ZONE_FILE_MAX);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = bytes && fd >= 0 ? read(fd, bytes, ZONE_FILE_MAX) : -1;
    struct zone *z = n > 0 ? zone_read((struct tg_str){bytes, (size_t)n}) : NULL;
    *why = n > 0 ? broken : missing;
    if (fd >= 0)
        close(fd);
    free(bytes);
    return z;
}

/* A name leads nowhere else than into the zone folder. */
static bool is_zone_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
    return name[0] && name[0] != '/' && strspn(name, allowed) == strlen(name);
}

static struct zone *load_name(const char *name, const char **why)
{
    char path[256];
    *why = "no such time zone";
    if (strlen(name) > 128 || !is_zone_name(name))
        return NULL;
    (void)snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
    return load_file(path, why);
}

/* $TZ is a name, a path, or a rule; a colon may stand before any of them. */
static struct zone *load_environment(const char *tz, const char **why)
{
    tz += tz[0] == ':';
    if (tz[0] == '/')
        return load_file(tz, why);
    struct zone *z = load_name(tz, why);
    return z ? z : zone_of_rule((struct tg_str){tz, strlen(tz)});
}

struct zone *zone_load(const char *name, const char **why)
{
    const char *tz = getenv("TZ");
    if (name[0])
        return load_name(name, why);
    if (tz && tz[0])
        return load_environment(tz, why);
    if (access("/etc/localtime", F_OK) == 0)
        return load_file("/etc/localtime", why);
    return zone_of_rule(TG_STR("UTC0"));
}

void zone_destroy(struct zone *z)
{
    free(z);
}

int32_t zone_offset_s(const struct zone *z, int64_t unix_s)
{
    uint32_t low = 0, high = z->count; /* changes before `low` have happened, those from `high` on have not */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (z->changes[middle].unix_s <= unix_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->count && z->has_rule)
        return zone_rule_offset_s(&z->rule, unix_s);
    return low ? z->changes[low - 1].offset_s : z->first_s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Builds the request templates from a preset, a file or the command line. */
#include "request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "options.h"
#include "preset.h"
#include "tg/def.h"

#define NUMBER_MARK "{n}"
#define RUN_MARK "{run}"
#define BODY_FILE_MAX (64u << 20)

static char *read_file(const char *flag, const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = file ? malloc(BODY_FILE_MAX + 1) : NULL;
    size_t len = text ? fread(text, 1, BODY_FILE_MAX + 1, file) : 0;

    if (!text || ferror(file) || len > BODY_FILE_MAX) {
        fprintf(stderr, "bench-load: --%s '%s': %s\n", flag, path,
                text && len > BODY_FILE_MAX ? "larger than 64 MiB" : strerror(errno));
        free(text);
        text = NULL;
    } else {
        text[len] = 0;
    }
    if (file)
        fclose(file);
    return text;
}

static char *replace_all(const char *text, const char *mark, const char *with)
{
    size_t out_len = 0;
    char *out = NULL;
    FILE *f = open_memstream(&out, &out_len);
    const char *hit;

    if (!f)
        return NULL;
    for (; (hit = strstr(text, mark)) != NULL; text = hit + strlen(mark))
        fprintf(f, "%.*s%s", (int)(hit - text), text, with);
    fputs(text, f);
    return fclose(f) == 0 ? out : NULL;
}

/* Puts zeroes where the numbers go and notes the places, so that rendering is a copy and a few patches. */
static int mark_numbers(struct request *r)
{
    char *zeroed, *hit;

    for (const char *p = r->bytes; (p = strstr(p, NUMBER_MARK)) != NULL; p += strlen(NUMBER_MARK)) {
        if (r->numbers == REQUEST_NUMBERS_MAX) {
            fprintf(stderr, "bench-load: a request may hold {n} at most %d times\n", REQUEST_NUMBERS_MAX);
            return -E2BIG;
        }
        r->number_at[r->numbers] =
            (uint32_t)(p - r->bytes) + r->numbers * (REQUEST_DIGITS - (uint32_t)strlen(NUMBER_MARK));
        r->numbers++;
    }
    zeroed = replace_all(r->bytes, NUMBER_MARK, "000000000000");
    hit = r->bytes;
    r->bytes = zeroed;
    free(hit);
    return r->bytes ? 0 : -ENOMEM;
}

static size_t final_length(const char *body)
{
    size_t len = strlen(body);

    for (const char *p = body; (p = strstr(p, NUMBER_MARK)) != NULL; p += strlen(NUMBER_MARK))
        len += REQUEST_DIGITS - strlen(NUMBER_MARK);
    return len;
}

/* What a request is made of, before it is put together. */
struct parts {
    const char *method, *path;
    const char *run;
};

static char *put_together(const struct options *o, const struct parts *parts, const char *body)
{
    size_t len = 0;
    char *text = NULL;
    FILE *f = open_memstream(&text, &len);

    if (!f)
        return NULL;
    fprintf(f, "%s %s HTTP/1.1\r\nHost: %s\r\n", parts->method, parts->path, o->host);
    if (body[0])
        fprintf(f, "Content-Type: application/json\r\nContent-Length: %zu\r\n", final_length(body));
    for (uint32_t i = 0; i < o->header.count; i++)
        fprintf(f, "%s\r\n", o->header.items[i]);
    fprintf(f, "\r\n%s", body);
    return fclose(f) == 0 ? text : NULL;
}

/* The first number inside quotes in the body is taken for the task's id; what stands around it belongs to it. */
static void find_id(struct request_set *set, const struct request *r)
{
    const char *body = strstr(r->bytes, "\r\n\r\n") + 4, *number, *from, *to;

    for (uint32_t i = 0; i < r->numbers; i++) {
        number = r->bytes + r->number_at[i];
        if (number < body)
            continue;
        for (from = number; from > body && from[-1] != '"'; from--)
            ;
        to = strchr(number, '"');
        if (from == body || !to || to - from > REQUEST_ID_MAX)
            return;
        memcpy(set->id, from, (size_t)(to - from));
        set->id_len = (uint32_t)(to - from);
        set->id_number_at = (uint32_t)(number - from);
        return;
    }
}

static int add(struct request_set *set, const struct options *o, const struct parts *parts, const char *body)
{
    struct request *r = &set->items[set->count];
    char *own = replace_all(body, RUN_MARK, parts->run);
    int rc;

    if (!own)
        return -ENOMEM;
    r->bytes = put_together(o, parts, own);
    free(own);
    if (!r->bytes)
        return -ENOMEM;
    set->count++;
    rc = mark_numbers(r);
    if (rc)
        return rc;
    r->len = (uint32_t)strlen(r->bytes);
    set->bytes_max = TG_MAX(set->bytes_max, r->len);
    if (set->count == 1)
        find_id(set, r);
    return 0;
}

static int add_digits(struct request_set *set, const struct options *o, const struct parts *parts)
{
    char **bodies = NULL;
    uint32_t count = 0;
    int rc = preset_digits(o, &bodies, &count);

    if (!rc) {
        set->items = calloc(count, sizeof(*set->items));
        rc = set->items ? 0 : -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        rc = rc ? rc : add(set, o, parts, bodies[i]);
        free(bodies[i]);
    }
    free(bodies);
    return rc;
}

static int add_one(struct request_set *set, const struct options *o, const struct parts *parts, const char *body)
{
    set->items = calloc(1, sizeof(*set->items));
    return set->items ? add(set, o, parts, body) : -ENOMEM;
}

static uint32_t count_lines(const char *text)
{
    uint32_t n = 0;

    for (; (text = strchr(text, '\n')) != NULL; text++)
        n++;
    return n;
}

/* What stands behind the last line break is no line. */
static int add_lines(struct request_set *set, const struct options *o, const struct parts *parts, char *text)
{
    uint32_t lines = count_lines(text);
    int rc = 0;

    if (lines == 0) {
        fprintf(stderr, "bench-load: --bodies '%s': no line\n", o->bodies);
        return -ENODATA;
    }
    set->items = calloc(lines, sizeof(*set->items));
    if (!set->items)
        return -ENOMEM;
    for (char *line = text, *end; rc == 0 && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        rc = add(set, o, parts, line);
    }
    return rc;
}

static int add_file(struct request_set *set, const struct options *o, const struct parts *parts)
{
    char *text = o->body[0] ? read_file("body", o->body) : read_file("bodies", o->bodies);
    int rc = !text ? -EIO : o->body[0] ? add_one(set, o, parts, text) : add_lines(set, o, parts, text);

    free(text);
    return rc;
}

static int build(struct request_set *set, const struct options *o, const struct preset *preset,
                 const struct parts *parts)
{
    if (o->body_text[0])
        return add_one(set, o, parts, o->body_text);
    if (o->body[0] || o->bodies[0])
        return add_file(set, o, parts);
    return preset->body ? add_one(set, o, parts, preset->body) : add_digits(set, o, parts);
}

int request_set_create(struct request_set *set, const struct options *o)
{
    const struct preset *preset = preset_find(o->preset);
    struct parts parts;
    uint32_t random = 0;
    char run[9];
    int rc;

    memset(set, 0, sizeof(*set));
    if (!preset) {
        fprintf(stderr, "bench-load: --preset '%s': must be echo, noop, knn-digits or health\n", o->preset);
        return -EINVAL;
    }
    if (getrandom(&random, sizeof(random), 0) < 0)
        return -errno;
    snprintf(run, sizeof(run), "%08x", random);
    parts.method = o->method[0] ? o->method : preset->method;
    parts.path = o->path[0] ? o->path : preset->path;
    parts.run = run;
    rc = build(set, o, preset, &parts);
    set->head_only = strcmp(parts.method, "HEAD") == 0;
    if (!rc && o->verify && set->id_len == 0) {
        fprintf(stderr, "bench-load: --verify: the body holds no {n} inside quotes to look for\n");
        rc = -EINVAL;
    }
    return rc;
}

void request_set_destroy(struct request_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        free(set->items[i].bytes);
    free(set->items);
    memset(set, 0, sizeof(*set));
}

void request_number_init(char number[REQUEST_DIGITS], uint32_t thread)
{
    memset(number, '0', REQUEST_DIGITS);
    number[0] = (char)('0' + thread / 10 % 10);
    number[1] = (char)('0' + thread % 10);
}

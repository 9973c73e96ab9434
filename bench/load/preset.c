/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in requests, and the reader of the digits that one of them sends. */
#include "preset.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "options.h"
#include "tg/def.h"

#define TASK_ID "{run}-0000-4000-8000-{n}"
#define PIXELS 64

/* The echo body is 188 bytes long, as a small real task is. */
static const struct preset presets[] = {
    {"echo", "POST", "/v1/task",
     "{\"task_id\":\"" TASK_ID "\",\"intent\":\"urn:iicp:intent:x.taskgate:echo:v1\","
     "\"payload\":{\"text\":\"ping 01234 5678\"},\"constraints\":{\"timeout_ms\":30000,\"qos\":\"interactive\"}}"},
    {"noop", "POST", "/v1/task",
     "{\"task_id\":\"" TASK_ID "\",\"intent\":\"urn:iicp:intent:x.taskgate:noop:v1\",\"payload\":{}}"},
    {"knn-digits", "POST", "/v1/task", NULL},
    {"health", "GET", "/iicp/health", ""},
};

const struct preset *preset_find(const char *name)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(presets); i++)
        if (strcmp(presets[i].name, name) == 0)
            return &presets[i];
    return NULL;
}

/* The line ends where the 64th number ends: the label behind it is the answer, not part of the question. */
static size_t vector_length(const char *line)
{
    size_t len = 0;
    uint32_t numbers = 1;

    while (strchr("0123456789.-,", line[len]) && line[len]) {
        if (line[len] == ',' && numbers++ == PIXELS)
            return len;
        len++;
    }
    return numbers == PIXELS ? len : 0;
}

static char *make_body(const char *line)
{
    size_t len = vector_length(line);
    char *body = NULL;

    if (len == 0)
        return NULL;
    if (asprintf(&body,
                 "{\"task_id\":\"" TASK_ID "\",\"intent\":\"urn:iicp:intent:x.taskgate:knn:v1\","
                 "\"payload\":{\"vector\":[%.*s],\"k\":1}}",
                 (int)len, line) < 0)
        return NULL;
    return body;
}

static int bad_row(const struct options *o, uint32_t row)
{
    fprintf(stderr, "bench-load: %s: row %u does not start with %d numbers\n", o->digits, row, PIXELS);
    return -EINVAL;
}

static int read_rows(const struct options *o, gzFile file, char **bodies, uint32_t *count)
{
    char line[1024];

    for (uint32_t row = 1; row <= o->row_last && gzgets(file, line, sizeof(line)); row++) {
        if (row < o->row_first)
            continue;
        bodies[*count] = make_body(line);
        if (!bodies[*count])
            return bad_row(o, row);
        ++*count;
    }
    if (*count)
        return 0;
    fprintf(stderr, "bench-load: %s: no row in %s\n", o->digits, o->rows);
    return -ENODATA;
}

int preset_digits(const struct options *o, char ***bodies, uint32_t *count)
{
    gzFile file = gzopen(o->digits, "rb");
    int rc;

    if (!file) {
        fprintf(stderr, "bench-load: %s: %s (name the file with --digits)\n", o->digits, strerror(errno));
        return -ENOENT;
    }
    *count = 0;
    *bodies = calloc((size_t)(o->row_last - o->row_first) + 1, sizeof(**bodies));
    rc = *bodies ? read_rows(o, file, *bodies, count) : -ENOMEM;
    gzclose(file);
    return rc;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One parsed text for a test. Text and tape are allocated to the byte, so that the address sanitizer sees the
 * first access outside; the tape has the size that the header promises to suffice.
 */
#ifndef JSON_RIG_H
#define JSON_RIG_H

#include <errno.h>
#include <stdlib.h>
#include "tg/json.h"

struct rig {
    struct tg_json_doc doc;
    struct tg_json_error err;
    int status;
    char *text;
};

static inline struct rig rig_parse_capacity(struct tg_str s, uint32_t capacity)
{
    struct rig r = {.text = malloc(s.len ? s.len : 1)};
    if (s.len)
        memcpy(r.text, s.ptr, s.len);
    r.doc.capacity = capacity;
    r.doc.nodes = malloc((capacity ? capacity : 1) * sizeof(*r.doc.nodes));
    r.status = tg_json_parse(&r.doc, r.text, s.len, &r.err);
    return r;
}

static inline struct rig rig_parse(struct tg_str s)
{
    return rig_parse_capacity(s, (uint32_t)TG_JSON_NODES_MAX(s.len));
}

static inline void rig_finish(struct rig *r)
{
    free(r->text);
    free(r->doc.nodes);
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* For each line of JSON on stdin two lines on stdout: its canonical text in either form. canonical.py asks.
 */
#include <stdio.h>
#include <stdlib.h>
#include "gateway/base/json_canonical.h"

#define LINE_MAX_BYTES (1u << 20)
#define GROWTH 6 /* of one byte: \u007f */

static char line[LINE_MAX_BYTES], out[LINE_MAX_BYTES * GROWTH];
static struct tg_json_node nodes[TG_JSON_NODES_MAX(LINE_MAX_BYTES)];
static uint32_t members[JSON_CANONICAL_ROOM(TG_JSON_NODES_MAX(LINE_MAX_BYTES))];

static void print(const struct tg_json_doc *doc, enum json_canonical_form form)
{
    struct json_canonical_room room = {members, TG_ARRAY_SIZE(members)};
    struct tg_json_writer w;
    tg_json_writer_init(&w, out, sizeof(out));
    int rc = json_canonical_write(doc, doc->nodes, form, room, &w);
    printf("%.*s\n", rc < 0 ? 0 : (int)w.len, out);
}

int main(void)
{
    while (fgets(line, sizeof(line), stdin)) {
        struct tg_json_doc doc = {.nodes = nodes, .capacity = TG_ARRAY_SIZE(nodes)};
        struct tg_json_error err;
        if (tg_json_parse(&doc, line, strlen(line), &err) < 0) {
            fprintf(stderr, "byte %u: %s\n", err.offset, err.message);
            return 1;
        }
        print(&doc, JSON_CANONICAL_PYTHON);
        print(&doc, JSON_CANONICAL_JCS);
    }
    return 0;
}

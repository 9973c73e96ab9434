/* SPDX-License-Identifier: Apache-2.0 */
/* The harness on encode(): one JSON value, the same each time, and never past the end of the buffer. */
#include "runner_test_parts.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define GUARD 64 /* bytes behind the buffer */

static size_t buffer_bytes(const struct harness_task *task)
{
    return (size_t)task->rows.count * task->rows.lane->out_stride * 16 + 65536;
}

/* Encode into @cap bytes of @buf; the bytes behind them are watched. */
static bool encode_into(struct harness *h, const struct harness_task *task, char *buf, size_t cap,
                        struct tg_json_writer *w)
{
    memset(buf + cap, HARNESS_FILL, GUARD);
    tg_json_writer_init(w, buf, cap);
    h->instance->runner->encode(h->instance->self, &task->rows, w);
    if (w->buf != buf || w->cap != cap || w->len > cap || !harness_untouched(buf + cap, GUARD, HARNESS_FILL))
        return harness_fail(h, "encode: wrote past the end of the writer's buffer (payload %.60s)",
                            task->payload);
    return true;
}

/* The whole text must be one value: what a client's parser will demand. */
static bool is_json(struct harness *h, const struct harness_task *task, const char *text, size_t len)
{
    struct tg_json_error err;
    struct tg_json_doc doc = {.capacity = (uint32_t)(len / 2 + 1)};
    doc.nodes = malloc(doc.capacity * sizeof(*doc.nodes));
    int rc = doc.nodes ? tg_json_parse(&doc, text, len, &err) : -ENOMEM;
    free(doc.nodes);
    if (rc)
        harness_fail(h, "encode: not one JSON value: %.*s (payload %.60s)", (int)TG_MIN(len, 60), text,
                     task->payload);
    return rc == 0;
}

/* Room for half the text: the rest must be dropped and said so. */
static bool respects_overflow(struct harness *h, const struct harness_task *task, char *buf, size_t len)
{
    struct tg_json_writer w;
    if (!encode_into(h, task, buf, len / 2, &w))
        return false;
    return w.overflow || harness_fail(h, "encode: overflow is not set although half the text does not fit");
}

char *harness_encode(struct harness *h, const struct harness_task *task, size_t *len)
{
    size_t cap = buffer_bytes(task);
    struct tg_json_writer w;
    char *buf = malloc(cap + GUARD), *again = malloc(cap + GUARD);
    harness_step(h, "encode: of %.60s", task->payload);
    bool fine = buf && again && encode_into(h, task, buf, cap, &w);
    if (fine && w.overflow)
        fine = harness_fail(h, "encode: result over %zu bytes", cap);
    *len = fine ? w.len : 0;
    fine = fine && is_json(h, task, buf, *len) && encode_into(h, task, again, cap, &w);
    if (fine && (w.len != *len || memcmp(buf, again, *len) != 0))
        fine = harness_fail(h, "encode: gives another text the second time (payload %.60s)", task->payload);
    fine = fine && respects_overflow(h, task, again, *len);
    free(again);
    if (fine)
        return buf;
    free(buf);
    return NULL;
}

bool harness_encode_keeps_nothing(struct harness *h, const struct harness_task *task)
{
    size_t cap = buffer_bytes(task), before = 0;
    char *buf = malloc(cap + GUARD);
    harness_step(h, "encode: of %.60s", task->payload);
    bool fine = buf != NULL;
    for (int i = 0; fine && i < HARNESS_REPEATS; i++) {
        struct tg_json_writer w;
        if (i == 1) /* the first one may warm something up, in the library for one */
            before = mallinfo2().uordblks;
        fine = encode_into(h, task, buf, cap, &w);
    }
    if (fine && mallinfo2().uordblks > before)
        fine = harness_fail(h, "encode: allocates memory and keeps it (payload %.60s)", task->payload);
    free(buf);
    return fine;
}

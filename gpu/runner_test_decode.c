/* SPDX-License-Identifier: Apache-2.0 */
/* The harness on decode(): good payloads, damaged ones and junk, with an eye on every byte around the rows.
 */
#include "runner_test_parts.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 60 /* bytes of a payload in a message */
#define VARIANTS_MAX 4000

static const char *const junk[] = {
    "null", "true",     "0",  "-1", "1.5",    "1e300",  "18446744073709551615",
    "\"\"", "\"text\"", "[]", "{}", "[[[]]]", "[null]", "{\"a\":{\"b\":[1,2,3]}}",
};

/* ---- one decode ------------------------------------------------------------------------------ */

/* The rows just before and just behind the task's own. */
static bool neighbours_untouched(const struct tg_rows *rows)
{
    struct tg_lane *l = rows->lane;
    uint32_t next_to[2] = {rows->first - 1, rows->first + rows->count};
    for (int i = 0; i < 2; i++)
        if (!harness_untouched(tg_lane_in(l, next_to[i]), l->in_stride, HARNESS_FILL) ||
            !harness_untouched(tg_lane_row(l, next_to[i]), sizeof(struct tg_row), 0))
            return false;
    return true;
}

static bool outputs_untouched(const struct tg_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++)
        if (!harness_untouched(tg_rows_out(rows, i), rows->lane->out_stride, HARNESS_FILL))
            return false;
    return true;
}

static bool lengths_fit(const struct tg_rows *rows)
{
    for (uint32_t i = 0; i < rows->count; i++)
        if (tg_rows_row(rows, i)->in_len > rows->lane->in_stride)
            return false;
    return true;
}

static const char *broken_rule(const struct harness *h, enum tg_status status, const struct tg_rows *rows,
                               const struct tg_error *err)
{
    if (status != TG_OK && status != TG_INVALID && status != TG_CAPACITY && status != TG_TOO_LARGE)
        return "returned a status that decode may not return";
    if (status == TG_INVALID && err->message[0] == '\0')
        return "returned TG_INVALID without a message";
    if (!memchr(err->message, '\0', sizeof(err->message)) || !memchr(err->field, '\0', sizeof(err->field)))
        return "left an error text without its end";
    if (status == TG_OK && !rows->lane)
        return "returned TG_OK without claiming rows";
    if (rows->count > h->instance->shape.rows_per_task_max)
        return "claimed more rows than rows_per_task_max";
    if (!rows->lane)
        return NULL;
    if (!neighbours_untouched(rows))
        return "wrote outside its rows";
    if (!outputs_untouched(rows))
        return "wrote into output rows";
    return lengths_fit(rows) ? NULL : "set in_len beyond the row";
}

static int parse(struct tg_json_doc *doc, const char *text, size_t len)
{
    struct tg_json_error err;
    doc->capacity = (uint32_t)(len / 2 + 1);
    doc->nodes = malloc(doc->capacity * sizeof(*doc->nodes));
    return doc->nodes ? tg_json_parse(doc, text, len, &err) : -ENOMEM;
}

bool harness_decode(struct harness *h, const char *payload, size_t len, struct tg_rows *rows,
                    enum tg_status *status, struct tg_error *err)
{
    struct tg_json_doc doc;
    int shown = (int)TG_MIN(len, SHOWN);
    *rows = (struct tg_rows){.lanes = h->lane_list, .lane_count = h->instance->shape.size_classes};
    *err = (struct tg_error){.message = ""};
    harness_step(h, "decode: of %.*s", shown, payload);
    if (parse(&doc, payload, len) != 0) {
        free(doc.nodes);
        return harness_fail(h, "decode: the payload %.*s is not JSON", shown, payload);
    }
    struct tg_request req = {.doc = &doc, .payload = doc.nodes};
    *status = h->instance->runner->decode(h->instance->self, &req, rows, err);
    free(doc.nodes);
    const char *broken = broken_rule(h, *status, rows, err);
    return broken ? harness_fail(h, "decode: %s (payload %.*s)", broken, shown, payload) : true;
}

void harness_unclaim(struct tg_rows *rows)
{
    if (!rows->lane)
        return;
    for (uint32_t i = 0; i < rows->count; i++) {
        memset(tg_rows_in(rows, i), HARNESS_FILL, rows->lane->in_stride);
        memset(tg_rows_row(rows, i), 0, sizeof(struct tg_row));
    }
    tg_lane_unclaim(rows->lane, rows->count);
}

/* ---- many ------------------------------------------------------------------------------------ */

static bool check_given(struct harness *h, const char *payload)
{
    struct tg_rows rows;
    enum tg_status status;
    struct tg_error err;
    bool fine = harness_decode(h, payload, strlen(payload), &rows, &status, &err);
    if (fine && status != TG_OK && h->payloads_given)
        fine = harness_fail(h, "decode: refused the payload %.*s: %s %s", SHOWN, payload, err.field,
                            err.message);
    harness_unclaim(&rows);
    return fine;
}

/* Whatever comes of it must follow the rules. */
static bool check_any(struct harness *h, const char *payload, size_t len)
{
    struct tg_rows rows;
    enum tg_status status;
    struct tg_error err;
    bool fine = harness_decode(h, payload, len, &rows, &status, &err);
    harness_unclaim(&rows);
    return fine;
}

/* @payload with the value at [start, start + len) replaced. */
static bool check_variant(struct harness *h, const char *payload, size_t start, size_t len, const char *value)
{
    size_t total = strlen(payload) - len + strlen(value);
    char *text = malloc(total + 1);
    if (!text)
        return harness_fail(h, "decode: out of memory");
    memcpy(text, payload, start);
    strcpy(text + start, value);
    strcat(text, payload + start + len);
    bool fine = check_any(h, text, total);
    free(text);
    return fine;
}

static bool is_key(const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    const char *end = doc->text + n->offset + n->text.len + 2;
    while (n->type == TG_JSON_STRING && strchr(" \t\r\n", *end) && *end)
        end++;
    return n->type == TG_JSON_STRING && *end == ':';
}

/* Each value in the payload replaced by each piece of junk in turn. */
static bool check_variants(struct harness *h, const char *payload, uint32_t *count)
{
    struct tg_json_doc doc;
    bool fine = parse(&doc, payload, strlen(payload)) == 0;
    for (uint32_t n = 0; fine && n < doc.count; n++) {
        struct tg_str value = tg_json_text(&doc, &doc.nodes[n]);
        if (is_key(&doc, &doc.nodes[n]))
            continue;
        for (size_t j = 0; fine && j < TG_ARRAY_SIZE(junk) && *count < VARIANTS_MAX; j++, ++*count)
            fine = check_variant(h, payload, (size_t)(value.ptr - payload), value.len, junk[j]);
    }
    free(doc.nodes);
    return fine;
}

/* Many decodes of one payload must leave no memory behind. */
static bool check_memory(struct harness *h, const char *payload)
{
    size_t before = 0, len = strlen(payload);
    bool fine = true;
    for (int i = 0; fine && i < HARNESS_REPEATS; i++) {
        if (i == 1) /* the first one may warm something up, in the library for one */
            before = mallinfo2().uordblks;
        fine = check_any(h, payload, len);
    }
    if (fine && mallinfo2().uordblks > before)
        fine = harness_fail(h, "decode: allocates memory and keeps it (payload %.*s)", SHOWN, payload);
    return fine;
}

/* With every lane full, a payload that is fine otherwise must come back as TG_CAPACITY. */
static bool check_full(struct harness *h, const char *payload)
{
    struct tg_rows rows;
    enum tg_status status;
    struct tg_error err;
    for (uint32_t c = 0; c < h->instance->shape.size_classes; c++)
        h->lane_list[c]->retired = h->lane_list[c]->claimed - (h->lane_list[c]->mask + 1);
    bool fine = harness_decode(h, payload, strlen(payload), &rows, &status, &err);
    if (fine && status == TG_OK)
        fine = harness_fail(h, "decode: returned TG_OK although the lanes are full");
    harness_lanes_reset(h, HARNESS_FILL);
    return fine;
}

void harness_check_decode(struct harness *h)
{
    uint32_t variants = 0;
    bool fine = true;
    harness_lanes_reset(h, HARNESS_FILL);
    for (uint32_t i = 0; fine && i < h->payload_count; i++)
        fine = check_given(h, h->payloads[i]);
    for (size_t j = 0; fine && j < TG_ARRAY_SIZE(junk); j++)
        fine = check_any(h, junk[j], strlen(junk[j]));
    for (uint32_t i = 0; fine && i < h->payload_count; i++)
        fine = check_variants(h, h->payloads[i], &variants) && check_memory(h, h->payloads[i]) &&
               check_full(h, h->payloads[i]);
    if (fine)
        harness_ok(h,
                   "decode: %u payloads, %zu of junk and %u damaged ones; stays in its rows, leaves nothing "
                   "allocated",
                   h->payload_count, TG_ARRAY_SIZE(junk), variants);
}

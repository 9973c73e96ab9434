/* SPDX-License-Identifier: Apache-2.0 */
/* kernel: from payload to rows, from output rows to JSON. */
#include "kernel.h"

#include <stdio.h>

#define PARAM_MANY 1u /* row->param: the task came with "rows", and its answer has them too */

/* ---- decode ----------------------------------------------------------------------------------------------- */

static enum tg_status invalid(struct tg_error *err, const char *field, const char *what)
{
    tg_error_set(err, field, "%s", what);
    return TG_INVALID;
}

/* "payload.row", "payload.rows[3]" */
static void name_row(char *field, size_t size, int row)
{
    if (row < 0)
        snprintf(field, size, "payload.row");
    else
        snprintf(field, size, "payload.rows[%d]", row);
}

static enum tg_status check_row(const struct kernel *k, const struct tg_json_node *node, int row,
                                struct tg_error *err)
{
    char field[48];
    if (TG_LIKELY(node->type == TG_JSON_ARRAY && tg_json_count(node) == k->in.count))
        return TG_OK;
    name_row(field, sizeof(field), row);
    if (node->type != TG_JSON_ARRAY)
        tg_error_set(err, field, "must be an array of %u numbers, not %s", k->in.count, runner_kind(node));
    else
        tg_error_set(err, field, "expected %u numbers, got %u", k->in.count, tg_json_count(node));
    return TG_INVALID;
}

__attribute__((cold)) static enum tg_status bad_number(const struct kernel *k, const struct tg_json_node *node,
                                                       int row, uint32_t place, struct tg_error *err)
{
    char name[40], field[64];
    name_row(name, sizeof(name), row);
    snprintf(field, sizeof(field), "%s[%u]", name, place);
    kernel_element_complain(k->in.element, node, field, err);
    return TG_INVALID;
}

/* The array's length has been checked. What lies behind the last number may be copied, so it is not left as it was. */
static enum tg_status decode_row(const struct kernel *k, const struct tg_json_node *array, int row, char *to,
                                 struct tg_error *err)
{
    const struct tg_json_node *node = tg_json_first(array);
    for (uint32_t i = 0; i < k->in.count; i++, node = tg_json_next(node), to += k->in.element->bytes)
        if (TG_UNLIKELY(!kernel_element_read(k->in.element, node, to)))
            return bad_number(k, node, row, i, err);
    return TG_OK;
}

static enum tg_status decode_params(const struct kernel *k, const struct tg_request *req, unsigned char *to,
                                    struct tg_error *err)
{
    memset(to, 0, k->param_bytes);
    for (uint32_t i = 0; i < k->param_count; i++) {
        const struct kernel_param *p = &k->params[i];
        char field[48];
        const struct tg_json_node *node =
            tg_json_get(req->doc, req->payload, (struct tg_str){p->name, strlen(p->name)});
        snprintf(field, sizeof(field), "payload.%s", p->name);
        if (!node && p->required)
            return invalid(err, field, "is missing");
        if (!node) {
            memcpy(to + p->offset, p->initial, p->element->bytes);
        } else if (!kernel_element_read(p->element, node, to + p->offset)) {
            kernel_element_complain(p->element, node, field, err);
            return TG_INVALID;
        }
    }
    return TG_OK;
}

/* Rows, each with the task's parameters before its numbers. */
static enum tg_status claim(const struct kernel *k, struct tg_rows *rows, uint32_t count, uint64_t param,
                            const unsigned char *params)
{
    enum tg_status s = tg_rows_claim(rows, count, kernel_in_bytes(k));
    for (uint32_t i = 0; s == TG_OK && i < count; i++) {
        tg_rows_row(rows, i)->param = param;
        memcpy(tg_rows_in(rows, i), params, k->param_bytes);
    }
    return s;
}

static char *numbers(const struct kernel *k, const struct tg_rows *rows, uint32_t i)
{
    return (char *)tg_rows_in(rows, i) + k->param_bytes;
}

static enum tg_status decode_one(const struct kernel *k, const struct tg_json_node *row, struct tg_rows *rows,
                                 const unsigned char *params, struct tg_error *err)
{
    enum tg_status s = check_row(k, row, -1, err);
    if (s == TG_OK)
        s = claim(k, rows, 1, 0, params);
    return s == TG_OK ? decode_row(k, row, -1, numbers(k, rows, 0), err) : s;
}

static enum tg_status check_list(const struct kernel *k, const struct tg_json_node *list, struct tg_error *err)
{
    int n = 0;
    if (list->type != TG_JSON_ARRAY) {
        tg_error_set(err, "payload.rows", "must be an array of rows, not %s", runner_kind(list));
        return TG_INVALID;
    }
    if (tg_json_count(list) < 1 || tg_json_count(list) > k->rows_max) {
        tg_error_set(err, "payload.rows", "expected 1 to %u rows, got %u", k->rows_max, tg_json_count(list));
        return TG_INVALID;
    }
    TG_JSON_FOREACH(row, list)
    {
        enum tg_status s = check_row(k, row, n++, err);
        if (s != TG_OK)
            return s;
    }
    return TG_OK;
}

static enum tg_status decode_many(const struct kernel *k, const struct tg_json_node *list, struct tg_rows *rows,
                                  const unsigned char *params, struct tg_error *err)
{
    int n = 0;
    enum tg_status s = check_list(k, list, err);
    if (s == TG_OK)
        s = claim(k, rows, tg_json_count(list), PARAM_MANY, params);
    if (s != TG_OK)
        return s;
    TG_JSON_FOREACH(row, list)
    {
        if ((s = decode_row(k, row, n, numbers(k, rows, (uint32_t)n), err)) != TG_OK)
            return s;
        n++;
    }
    return TG_OK;
}

enum tg_status kernel_decode(void *self, const struct tg_request *req, struct tg_rows *rows, struct tg_error *err)
{
    const struct kernel *k = self;
    unsigned char params[KERNEL_PARAMS_MAX * 8];
    if (!req->payload)
        return invalid(err, "payload", "is missing");
    if (req->payload->type != TG_JSON_OBJECT)
        return invalid(err, "payload", "must be an object");
    const struct tg_json_node *row = tg_json_get(req->doc, req->payload, TG_STR("row"));
    const struct tg_json_node *list = tg_json_get(req->doc, req->payload, TG_STR("rows"));
    if (!row && !list)
        return invalid(err, "payload.row", "is missing (or \"rows\", an array of them)");
    if (row && list)
        return invalid(err, "payload.rows", "give \"row\" or \"rows\", not both");
    enum tg_status s = decode_params(k, req, params, err);
    if (s != TG_OK)
        return s;
    return row ? decode_one(k, row, rows, params, err) : decode_many(k, list, rows, params, err);
}

/* ---- encode ----------------------------------------------------------------------------------------------- */

static void write_row(const struct kernel *k, const char *from, struct tg_json_writer *w)
{
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < k->out.count; i++, from += k->out.element->bytes)
        kernel_element_write(k->out.element, from, w);
    tg_json_write_end_array(w);
}

void kernel_encode(void *self, const struct tg_rows *rows, struct tg_json_writer *w)
{
    const struct kernel *k = self;
    bool many = tg_rows_row(rows, 0)->param & PARAM_MANY;
    tg_json_write_begin_object(w);
    tg_json_write_key(w, many ? TG_STR("rows") : TG_STR("row"));
    if (many)
        tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < rows->count; i++)
        write_row(k, tg_rows_out(rows, i), w);
    if (many)
        tg_json_write_end_array(w);
    tg_json_write_end_object(w);
}

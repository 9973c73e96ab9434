/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoders of the built-in runners share. */
#include "builtin.h"

#include <inttypes.h>

const char *runner_kind(const struct tg_json_node *node)
{
    switch ((enum tg_json_type)node->type) {
    case TG_JSON_NULL:
        return "null";
    case TG_JSON_FALSE:
    case TG_JSON_TRUE:
        return "a boolean";
    case TG_JSON_STRING:
        return "a string";
    case TG_JSON_ARRAY:
        return "an array";
    case TG_JSON_OBJECT:
        return "an object";
    default:
        return "a number";
    }
}

/* True if the number is integral and within int64. */
static bool integral(const struct tg_json_node *node, int64_t *value)
{
    if (node->type == TG_JSON_INT) {
        *value = node->i64;
        return true;
    }
    if (node->type != TG_JSON_REAL || !(node->f64 >= -9e18 && node->f64 <= 9e18))
        return false;
    *value = (int64_t)node->f64;
    return (double)*value == node->f64;
}

enum tg_status runner_integer(const struct tg_json_node *node, const char *field, int64_t min, int64_t max,
                              int64_t *value, struct tg_error *err)
{
    int64_t v;
    if (!node)
        return TG_OK;
    if (!tg_json_is_number(node)) {
        tg_error_set(err, field, "must be an integer, not %s", runner_kind(node));
        return TG_INVALID;
    }
    if (!integral(node, &v) || v < min || v > max) {
        tg_error_set(err, field, "must be an integer from %" PRId64 " to %" PRId64, min, max);
        return TG_INVALID;
    }
    *value = v;
    return TG_OK;
}

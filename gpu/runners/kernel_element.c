/* SPDX-License-Identifier: Apache-2.0 */
/* kernel: the numbers of its rows, between JSON and memory. */
#include "kernel.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

enum { INTEGER, REAL };

static const struct kernel_element elements[KERNEL_TYPES] = {
#define ELEMENT(name, cuda, c, kind, min, max)                                                                     \
    [KERNEL_##name] = {#name, cuda, KERNEL_##name, sizeof(c), kind == REAL, min, max},
#include "kernel_types.def"
#undef ELEMENT
};

const struct kernel_element *kernel_element_find(const char *name, size_t len)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(elements); i++)
        if (strlen(elements[i].name) == len && memcmp(elements[i].name, name, len) == 0)
            return &elements[i];
    return NULL;
}

/* ---- JSON to memory --------------------------------------------------------------------------------------- */

/* The number's bits, if it is integral and within the type's range. 3.0 and 3e0 are the integer 3. */
static bool read_integer(const struct kernel_element *e, const struct tg_json_node *node, uint64_t *bits)
{
    const double exact = 9007199254740992; /* 2^53: beyond it a double says nothing of the last digit */
    if (node->type == TG_JSON_UINT) {
        *bits = node->u64;
        return node->u64 <= e->max;
    }
    int64_t value = node->i64;
    if (node->type == TG_JSON_REAL) {
        if (!(fabs(node->f64) <= exact) || node->f64 != trunc(node->f64))
            return false;
        value = (int64_t)node->f64;
    }
    *bits = (uint64_t)value;
    return value < 0 ? value >= e->min : (uint64_t)value <= e->max;
}

/* Which bytes those are does not depend on the sign; both sides of the bus are little-endian. */
static bool store_integer(const struct kernel_element *e, const struct tg_json_node *node, void *to)
{
    uint64_t bits;
    if (!read_integer(e, node, &bits))
        return false;
    memcpy(to, &bits, e->bytes);
    return true;
}

static bool store_real(const struct kernel_element *e, double value, void *to)
{
    if (e->type == KERNEL_f64) {
        memcpy(to, &value, sizeof(value));
        return true;
    }
    if (fabs(value) > (double)FLT_MAX)
        return false;
    float single = (float)value;
    memcpy(to, &single, sizeof(single));
    return true;
}

bool kernel_element_read(const struct kernel_element *e, const struct tg_json_node *node, void *to)
{
    if (TG_UNLIKELY(!tg_json_is_number(node)))
        return false;
    return e->real ? store_real(e, tg_json_number(node), to) : store_integer(e, node, to);
}

void kernel_element_complain(const struct kernel_element *e, const struct tg_json_node *node, const char *field,
                             struct tg_error *err)
{
    const char *what = e->real ? "a number" : "an integer";
    if (!tg_json_is_number(node))
        tg_error_set(err, field, "must be %s, not %s", what, runner_kind(node));
    else if (e->real)
        tg_error_set(err, field, "is too large for a 32-bit float");
    else
        tg_error_set(err, field, "must be an integer from %" PRId64 " to %" PRIu64, e->min, e->max);
}

/* ---- memory to JSON --------------------------------------------------------------------------------------- */

static int64_t load_signed(const struct kernel_element *e, const void *from)
{
    uint64_t bits = 0;
    uint32_t spare = 64 - 8 * e->bytes;
    memcpy(&bits, from, e->bytes);
    return (int64_t)(bits << spare) >> spare;
}

static void write_integer(const struct kernel_element *e, const void *from, struct tg_json_writer *w)
{
    uint64_t bits = 0;
    if (e->min < 0) {
        tg_json_write_i64(w, load_signed(e, from));
        return;
    }
    memcpy(&bits, from, e->bytes);
    tg_json_write_u64(w, bits);
}

static void write_single(float value, struct tg_json_writer *w)
{
    if (isfinite(value))
        tg_json_write_f32(w, value);
    else
        tg_json_write_null(w);
}

void kernel_element_write(const struct kernel_element *e, const void *from, struct tg_json_writer *w)
{
    float single;
    double number;
    if (e->type == KERNEL_f32) {
        memcpy(&single, from, sizeof(single));
        write_single(single, w);
    } else if (e->type == KERNEL_f64) {
        memcpy(&number, from, sizeof(number));
        tg_json_write_f64(w, number); /* null if not finite */
    } else {
        write_integer(e, from, w);
    }
}

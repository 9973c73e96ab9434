/* SPDX-License-Identifier: Apache-2.0 */
/* kernel: what the options say, checked before anything is compiled. */
#include "kernel.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* " f32 f64 ..." */
static const char types[] =
#define ELEMENT(name, cuda, c, kind, min, max) " " #name
#include "kernel_types.def"
#undef ELEMENT
    ;

/* ---- rows ------------------------------------------------------------------------------------------------- */

/* "f32:64" */
int kernel_config_vector(const char *text, const char *key, struct kernel_vector *v, struct tg_error *err)
{
    const char *colon = strchr(text, ':');
    char *end = NULL;
    v->element = kernel_element_find(text, colon ? (size_t)(colon - text) : strlen(text));
    unsigned long count = colon && isdigit((unsigned char)colon[1]) ? strtoul(colon + 1, &end, 10) : 0;
    if (!v->element)
        tg_error_set(err, key, "must be a type and a count, like \"f32:64\" (types:%s)", types);
    else if (count < 1 || count > KERNEL_COUNT_MAX || *end)
        tg_error_set(err, key, "the count must be from 1 to %d, like \"%s:64\"", KERNEL_COUNT_MAX, v->element->name);
    else
        v->count = (uint32_t)count;
    return v->count ? 0 : -EINVAL;
}

int kernel_config_rows(struct kernel *k, uint32_t rows_max, struct tg_error *err)
{
    uint32_t most = TG_MIN(KERNEL_ANSWER_MAX / k->out.count, (uint32_t)KERNEL_ROWS_MAX);
    k->rows_max = rows_max ? rows_max : TG_MIN(most, (uint32_t)KERNEL_ROWS_DEFAULT);
    if (k->rows_max <= most)
        return 0;
    tg_error_set(err, "rows_max", "at most %" PRIu32 " rows of %" PRIu32 " numbers fit into an answer", most,
                 k->out.count);
    return -EINVAL;
}

/* ---- parameters ------------------------------------------------------------------------------------------- */

static bool is_identifier(const char *s, size_t len)
{
    if (len == 0 || (!isalpha((unsigned char)s[0]) && s[0] != '_'))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '_')
            return false;
    return true;
}

static int bad_param(struct tg_error *err, const char *word, size_t len, const char *why)
{
    tg_error_set(err, "params", "\"%.*s\" %s", (int)TG_MIN(len, 60u), word, why);
    return -EINVAL;
}

static bool name_taken(const struct kernel *k, const char *name, size_t len)
{
    for (uint32_t i = 0; i < k->param_count; i++)
        if (strlen(k->params[i].name) == len && memcmp(k->params[i].name, name, len) == 0)
            return true;
    return (len == 3 && memcmp(name, "row", 3) == 0) || (len == 4 && memcmp(name, "rows", 4) == 0);
}

/* The text behind "=": a JSON number, as a task would give it. */
static bool read_initial(struct kernel_param *p, const char *text, size_t len)
{
    struct tg_json_node node;
    struct tg_json_doc doc = {.nodes = &node, .capacity = 1};
    struct tg_json_error unused;
    return tg_json_parse(&doc, text, len, &unused) == 0 && kernel_element_read(p->element, &node, p->initial);
}

/* Laid out as a C++ compiler does: in order, each at a multiple of its size. */
static void place(struct kernel *k, struct kernel_param *p)
{
    p->offset = (k->param_bytes + p->element->bytes - 1) / p->element->bytes * p->element->bytes;
    k->param_bytes = p->offset + p->element->bytes;
    k->param_count++;
}

/* "gain:f32" or "gain:f32=1.5" */
static int add_param(struct kernel *k, const char *word, size_t len, struct tg_error *err)
{
    const char *colon = memchr(word, ':', len), *equals = memchr(word, '=', len), *end = word + len;
    struct kernel_param *p = &k->params[k->param_count];
    size_t name_len = colon ? (size_t)(colon - word) : 0;
    if (!colon || !is_identifier(word, name_len) || name_len >= KERNEL_NAME_MAX)
        return bad_param(err, word, len, "must be a name and a type, like \"gain:f32\" or \"gain:f32=1\"");
    if (name_taken(k, word, name_len))
        return bad_param(err, word, len, "has a name that is taken");
    p->element = kernel_element_find(colon + 1, (size_t)((equals ? equals : end) - colon - 1));
    if (!p->element)
        return bad_param(err, word, len, "has no type that there is, such as f32");
    if (equals && !read_initial(p, equals + 1, (size_t)(end - equals - 1)))
        return bad_param(err, word, len, "has a default that is no number of its type");
    memcpy(p->name, word, name_len);
    p->required = !equals;
    place(k, p);
    return 0;
}

int kernel_config_params(struct kernel *k, const char *text, struct tg_error *err)
{
    for (text += strspn(text, KERNEL_BLANKS); *text; text += strspn(text, KERNEL_BLANKS)) {
        size_t len = strcspn(text, KERNEL_BLANKS);
        if (k->param_count == KERNEL_PARAMS_MAX)
            return bad_param(err, text, len, "is one too many: there may be 16");
        int rc = add_param(k, text, len, err);
        if (rc)
            return rc;
        text += len;
    }
    k->param_bytes = (k->param_bytes + KERNEL_ALIGN - 1) / KERNEL_ALIGN * KERNEL_ALIGN;
    return 0;
}

/* ---- the compiler's options ------------------------------------------------------------------------------- */

/* "compute_75" (PTX) or "sm_90a" (code for that device alone) */
static bool is_arch(const char *s)
{
    size_t prefix = strncmp(s, "compute_", 8) == 0 ? 8 : strncmp(s, "sm_", 3) == 0 ? 3 : 0;
    size_t digits = strspn(s + prefix, "0123456789");
    const char *rest = s + prefix + digits;
    return prefix && digits >= 2 && digits <= 3 && (!*rest || (strchr("af", *rest) && !rest[1]));
}

static int bad_define(struct tg_error *err, const char *word, size_t len, const char *why)
{
    tg_error_set(err, "defines", "\"%.*s\" %s", (int)TG_MIN(len, 60u), word, why);
    return -EINVAL;
}

/* "RADIUS=3": nothing in it that could become an option, a path or code of more than one token. */
static int check_define(const char *word, size_t len, struct tg_error *err)
{
    const char *equals = memchr(word, '=', len);
    size_t name_len = equals ? (size_t)(equals - word) : len;
    if (!is_identifier(word, name_len))
        return bad_define(err, word, len, "must be like NAME or NAME=VALUE");
    if (name_len >= 3 && memcmp(word, "TG_", 3) == 0)
        return bad_define(err, word, len, "must not begin with TG_, as our own names do");
    for (size_t i = name_len + 1; i < len; i++)
        if (!isalnum((unsigned char)word[i]) && !strchr("_.+-", word[i]))
            return bad_define(err, word, len, "has a value with other characters than letters, digits, _ . + -");
    return 0;
}

static int check_defines(const char *text, struct tg_error *err)
{
    int rc = 0;
    uint32_t count = 0;
    for (text += strspn(text, KERNEL_BLANKS); rc == 0 && *text; text += strspn(text, KERNEL_BLANKS)) {
        size_t len = strcspn(text, KERNEL_BLANKS);
        rc = ++count > KERNEL_DEFINES_MAX ? bad_define(err, text, len, "is one too many: there may be 32")
                                          : check_define(text, len, err);
        text += len;
    }
    return rc;
}

int kernel_config_build(const struct kernel_build *b, struct tg_error *err)
{
    if (!is_identifier(b->function, strlen(b->function)))
        tg_error_set(err, "function", "must be the plain name of a function");
    else if (!is_arch(b->arch))
        tg_error_set(err, "arch", "must be like compute_75 or sm_90");
    else
        return check_defines(b->defines, err);
    return -EINVAL;
}

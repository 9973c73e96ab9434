/* SPDX-License-Identifier: Apache-2.0 */
/* The list of faults: reading, matching, showing. */
#include "faults.h"

#include <string.h>

enum kind { KIND_TEXT, KIND_NUMBER, KIND_FLAG };

struct row {
    struct tg_str name;
    enum kind kind;
    size_t offset;
    uint32_t least, most;
};

static const struct row rows[] = {
#define FAULT(member, type, least, most, help)                                                               \
    {TG_STR_INIT(#member), KIND_##type, offsetof(struct fault, member), least, most},
#include "faults.def"
#undef FAULT
};

#define SELECTING 3 /* path, method and count come first */

static const struct row *row_of(const struct tg_json_doc *doc, const struct tg_json_node *key)
{
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        if (tg_json_string_eq(doc, key, rows[i].name))
            return &rows[i];
    return NULL;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static const char *read_text(const struct tg_json_doc *doc, const struct row *row,
                             const struct tg_json_node *v, char *out)
{
    if (v->type != TG_JSON_STRING)
        return "must be a string";
    int64_t len = tg_json_unescape(doc, v, out, FAULT_TEXT_MAX);
    if (len < row->least || len > row->most)
        return "is empty or too long";
    out[len] = '\0';
    for (int64_t i = 0; i < len; i++)
        if ((unsigned char)out[i] < ' ' || out[i] == 0x7f)
            return "must not hold control characters";
    return NULL;
}

static const char *read_number(const struct row *row, const struct tg_json_node *v, uint32_t *out)
{
    if (v->type != TG_JSON_INT || v->i64 < row->least || v->i64 > row->most)
        return "must be a whole number within its range";
    *out = (uint32_t)v->i64;
    return NULL;
}

static const char *read_flag(const struct tg_json_node *v, uint32_t *out)
{
    *out = v->type == TG_JSON_TRUE;
    return v->type == TG_JSON_TRUE || v->type == TG_JSON_FALSE ? NULL : "must be true or false";
}

static const char *read_member(const struct tg_json_doc *doc, const struct row *row,
                               const struct tg_json_node *v, struct fault *f)
{
    void *member = (char *)f + row->offset;
    switch (row->kind) {
    case KIND_TEXT:
        return read_text(doc, row, v, member);
    case KIND_NUMBER:
        return read_number(row, v, member);
    default:
        return read_flag(v, member);
    }
}

static const char *read_skew(const struct tg_json_node *v, struct fault_acts *acts)
{
    if (v->type != TG_JSON_INT || v->i64 < -1000000000 || v->i64 > 1000000000)
        return "must be a whole number of seconds";
    acts->skew = true;
    acts->clock_skew_s = v->i64;
    return NULL;
}

/* Members that concern the whole directory. Sets @known if @key is one. */
static const char *read_act(const struct tg_json_doc *doc, const struct tg_json_node *key,
                            struct fault_acts *acts, bool *known)
{
    const struct {
        struct tg_str name;
        bool *flag;
    } flags[] = {
        {TG_STR("stale_nodes"), &acts->stale_nodes},
        {TG_STR("forget_nodes"), &acts->forget_nodes},
        {TG_STR("rotate_key"), &acts->rotate_key},
    };
    *known = true;
    for (size_t i = 0; i < TG_ARRAY_SIZE(flags); i++)
        if (tg_json_string_eq(doc, key, flags[i].name)) {
            uint32_t value;
            const char *why = read_flag(key + 1, &value);
            *flags[i].flag = !why && value;
            return why;
        }
    *known = tg_json_string_eq(doc, key, TG_STR("clock_skew_s"));
    return *known ? read_skew(key + 1, acts) : NULL;
}

const char *fault_read(const struct tg_json_doc *doc, const struct tg_json_node *object, struct fault *f,
                       bool *changes, struct fault_acts *acts, struct tg_str *member)
{
    *f = (struct fault){.path = "*"};
    *acts = (struct fault_acts){0};
    *changes = false;
    *member = TG_STR("");
    if (object->type != TG_JSON_OBJECT)
        return "must be an object";
    TG_JSON_FOREACH_MEMBER(key, object)
    {
        const struct row *row = row_of(doc, key);
        bool known = row != NULL;
        const char *why = row ? read_member(doc, row, key + 1, f) : read_act(doc, key, acts, &known);
        *member = tg_json_string(doc, key);
        if (why || !known)
            return why ? why : "is no member of a fault";
        *changes |= row && row - rows >= SELECTING;
    }
    return NULL;
}

/* ---- matching ------------------------------------------------------------------------------------------ */

bool faults_add(struct faults *fs, const struct fault *f)
{
    if (fs->count == FAULTS_MAX)
        return false;
    fs->list[fs->count++] = *f;
    return true;
}

static bool path_fits(const char *pattern, struct tg_str path)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return path.len >= len - 1 && memcmp(path.ptr, pattern, len - 1) == 0;
    return path.len == len && memcmp(path.ptr, pattern, len) == 0;
}

static bool fits(const struct fault *f, struct tg_str method, struct tg_str path)
{
    struct tg_str wanted = {f->method, strlen(f->method)};
    return (wanted.len == 0 || tg_str_eq(wanted, method)) && path_fits(f->path, path);
}

static void use_up(struct faults *fs, uint32_t i)
{
    fs->applied++;
    if (fs->list[i].count == 0 || --fs->list[i].count > 0)
        return;
    fs->count--;
    memmove(&fs->list[i], &fs->list[i + 1], (fs->count - i) * sizeof(fs->list[0]));
}

bool faults_take(struct faults *fs, struct tg_str method, struct tg_str path, struct fault *out)
{
    *out = (struct fault){0};
    for (uint32_t i = 0; i < fs->count; i++)
        if (fits(&fs->list[i], method, path)) {
            *out = fs->list[i];
            use_up(fs, i);
            return true;
        }
    return false;
}

/* ---- showing ------------------------------------------------------------------------------------------- */

static void write_member(const struct row *row, const struct fault *f, struct tg_json_writer *w)
{
    const void *member = (const char *)f + row->offset;
    const char *text = member;
    if (row->kind == KIND_TEXT ? !text[0] : !*(const uint32_t *)member)
        return;
    tg_json_write_key(w, row->name);
    if (row->kind == KIND_TEXT)
        tg_json_write_string(w, (struct tg_str){text, strlen(text)});
    else if (row->kind == KIND_NUMBER)
        tg_json_write_u64(w, *(const uint32_t *)member);
    else
        tg_json_write_bool(w, true);
}

void faults_write(const struct faults *fs, struct tg_json_writer *w)
{
    tg_json_write_begin_array(w);
    for (uint32_t i = 0; i < fs->count; i++) {
        tg_json_write_begin_object(w);
        for (size_t r = 0; r < TG_ARRAY_SIZE(rows); r++)
            write_member(&rows[r], &fs->list[i], w);
        tg_json_write_end_object(w);
    }
    tg_json_write_end_array(w);
}

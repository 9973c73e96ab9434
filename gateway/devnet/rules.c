/* SPDX-License-Identifier: Apache-2.0 */
/* Judging bodies by rules.def, in the words of the live directory: a message, and errors by field. */
#include "rules.h"

#include <stdio.h>
#include <string.h>

#include "forms.h"
#include "text.h"

#define FIELD_MAX 128
#define TEXT_VALUE_MAX 512

enum type { TYPE_TEXT, TYPE_WORD, TYPE_INT, TYPE_NUMBER, TYPE_BOOL, TYPE_OBJECT, TYPE_LIST, TYPE_TEXTS };

struct rule {
    const char *object, *field;
    bool required;
    enum type type;
    double least, most;
    uint32_t entries;
    const char *form;
};

static const struct rule rules[] = {
#define RULE(object, field, required, type, least, most, entries, form)                                      \
    {#object, #field, required, TYPE_##type, least, most, entries, form},
#include "rules.def"
#undef RULE
};

/* Where we are: the document, the report, and the path to the value. */
struct judge {
    struct rules_report *report;
    const struct tg_json_doc *doc;
};

static void check_object(const struct judge *j, const struct tg_json_node *body, const char *object,
                         const char *path);

/* ---- the report ---------------------------------------------------------------------------------------- */

void rules_wrong(struct rules_report *r, const char *field, const char *message)
{
    char line[256];
    snprintf(line, sizeof(line), "The %s field %s.", field, message);
    if (r->count++ == 0) {
        memcpy(r->first, line, sizeof(line));
        tg_json_writer_init(&r->w, r->fields, sizeof(r->fields));
        tg_json_write_begin_object(&r->w);
    }
    if (r->w.cap - r->w.len < 2 * sizeof(line)) /* enough is told; the object must still be closed */
        return;
    tg_json_write_key(&r->w, text_of(field));
    tg_json_write_begin_array(&r->w);
    tg_json_write_string(&r->w, text_of(line));
    tg_json_write_end_array(&r->w);
}

bool rules_passed(struct exchange *x, struct rules_report *r)
{
    char message[320];
    if (r->count == 0)
        return true;
    tg_json_write_end_object(&r->w);
    if (r->count == 1)
        snprintf(message, sizeof(message), "%s", r->first);
    else
        snprintf(message, sizeof(message), "%s (and %u more error%s)", r->first, r->count - 1,
                 r->count > 2 ? "s" : "");
    exchange_begin(x, 422);
    exchange_text(x, "message", message);
    TG_JSON_KEY(&x->w, "errors");
    tg_json_write_raw(&x->w, (struct tg_str){r->w.buf, r->w.len});
    exchange_end(x);
    return false;
}

static void wrong_range(const struct judge *j, const struct rule *rule, const char *path, const char *of)
{
    char message[96];
    snprintf(message, sizeof(message), "must be %s from %.15g to %.15g", of, rule->least, rule->most);
    rules_wrong(j->report, path, message);
}

/* ---- types --------------------------------------------------------------------------------------------- */

static void check_text(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                       const char *path)
{
    char text[TEXT_VALUE_MAX];
    if (v->type != TG_JSON_STRING)
        rules_wrong(j->report, path, "must be a string");
    else if (!text_value(j->doc, v, text, sizeof(text)) || strlen(text) < rule->least ||
             strlen(text) > rule->most)
        wrong_range(j, rule, path, "of a length");
    else if (!form_holds(rule->form, text))
        rules_wrong(j->report, path, "format is invalid");
}

static void check_word(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                       const char *path)
{
    char text[TEXT_VALUE_MAX];
    if (!text_value(j->doc, v, text, sizeof(text)) || !form_word(rule->form, text))
        rules_wrong(j->report, path, "is not one of the words it may be");
}

static void check_number(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                         const char *path)
{
    bool type = rule->type == TYPE_INT ? v->type == TG_JSON_INT : tg_json_is_number(v);
    if (!type || tg_json_number(v) < rule->least || tg_json_number(v) > rule->most)
        wrong_range(j, rule, path, rule->type == TYPE_INT ? "a whole number" : "a number");
}

static void check_count(const struct judge *j, uint32_t count, const struct rule *rule, const char *path)
{
    char message[96];
    if (count >= rule->least && count <= rule->entries)
        return;
    snprintf(message, sizeof(message), "must have %.0f to %u entries", rule->least, rule->entries);
    rules_wrong(j->report, path, message);
}

static bool is_list(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                    const char *path)
{
    if (v->type != TG_JSON_ARRAY) {
        rules_wrong(j->report, path, "must be a list");
        return false;
    }
    check_count(j, tg_json_count(v), rule, path);
    return true;
}

static void check_list(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                       const char *path)
{
    char inner[FIELD_MAX];
    uint32_t i = 0;
    if (!is_list(j, v, rule, path))
        return;
    TG_JSON_FOREACH(entry, v)
    {
        snprintf(inner, sizeof(inner), "%.100s.%u", path, i++);
        check_object(j, entry, rule->form, inner);
    }
}

static bool came_before(const struct judge *j, const struct tg_json_node *list,
                        const struct tg_json_node *entry, const char *text)
{
    for (const struct tg_json_node *it = tg_json_first(list); it != entry; it = tg_json_next(it))
        if (it->type == TG_JSON_STRING && tg_json_string_eq(j->doc, it, text_of(text)))
            return true;
    return false;
}

static void check_entry(const struct judge *j, const struct tg_json_node *list,
                        const struct tg_json_node *entry, const struct rule *rule, const char *path)
{
    char text[TEXT_VALUE_MAX];
    if (!text_value(j->doc, entry, text, sizeof(text)) || strlen(text) > rule->most)
        wrong_range(j, rule, path, "a string of a length");
    else if (!form_holds(rule->form, text))
        rules_wrong(j->report, path, "format is invalid");
    else if (strcmp(rule->form, "distinct") == 0 && came_before(j, list, entry, text))
        rules_wrong(j->report, path, "has a duplicate value");
}

static void check_texts(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                        const char *path)
{
    char inner[FIELD_MAX];
    uint32_t i = 0;
    if (!is_list(j, v, rule, path))
        return;
    TG_JSON_FOREACH(entry, v)
    {
        if (i == rule->entries)
            return; /* too many already; comparing all with all would take too long */
        snprintf(inner, sizeof(inner), "%.100s.%u", path, i++);
        check_entry(j, v, entry, rule, inner);
    }
}

/* ---- objects ------------------------------------------------------------------------------------------- */

static void check_value(const struct judge *j, const struct tg_json_node *v, const struct rule *rule,
                        const char *path)
{
    static void (*const checks[])(const struct judge *, const struct tg_json_node *, const struct rule *,
                                  const char *) = {
        [TYPE_TEXT] = check_text,     [TYPE_WORD] = check_word, [TYPE_INT] = check_number,
        [TYPE_NUMBER] = check_number, [TYPE_LIST] = check_list, [TYPE_TEXTS] = check_texts,
    };
    if (rule->type == TYPE_OBJECT)
        check_object(j, v, rule->form, path);
    else if (rule->type != TYPE_BOOL)
        checks[rule->type](j, v, rule, path);
    else if (v->type != TG_JSON_TRUE && v->type != TG_JSON_FALSE)
        rules_wrong(j->report, path, "must be true or false");
}

/* null is the same as absent. */
static void check_field(const struct judge *j, const struct tg_json_node *body, const struct rule *rule,
                        const char *prefix)
{
    char path[FIELD_MAX];
    const struct tg_json_node *v = tg_json_get(j->doc, body, text_of(rule->field));
    snprintf(path, sizeof(path), "%.90s%s%.36s", prefix, prefix[0] ? "." : "", rule->field);
    if (v && v->type != TG_JSON_NULL)
        check_value(j, v, rule, path);
    else if (rule->required)
        rules_wrong(j->report, path, "is required");
}

static void check_object(const struct judge *j, const struct tg_json_node *body, const char *object,
                         const char *path)
{
    if (body->type != TG_JSON_OBJECT) {
        rules_wrong(j->report, path, "must be an object");
        return;
    }
    for (size_t i = 0; i < TG_ARRAY_SIZE(rules); i++)
        if (strcmp(rules[i].object, object) == 0)
            check_field(j, body, &rules[i], path);
}

void rules_check(struct rules_report *r, const struct tg_json_doc *doc, const struct tg_json_node *body,
                 const char *object)
{
    const struct judge j = {r, doc};
    check_object(&j, body, object, "");
}

bool rules_hold(struct exchange *x, const char *object)
{
    struct rules_report report = {0};
    rules_check(&report, &x->doc, exchange_root(x), object);
    return rules_passed(x, &report);
}

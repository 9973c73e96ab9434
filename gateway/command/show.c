/* SPDX-License-Identifier: Apache-2.0 */
/* JSON and text for people. */
#include "show.h"

#define LIST_ON_ONE_LINE 16

void show_text(FILE *out, struct tg_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i],
                      next = i + 1 < text.len ? (unsigned char)text.ptr[i + 1] : 0;
        bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0; /* U+0080 to U+009F */
        fputc(c < 0x20 || c == 0x7f || c1 ? '?' : c, out);
        i += c1;
    }
}

void show_copy(const struct tg_json_doc *doc, const struct tg_json_node *n, char *out, size_t cap)
{
    struct tg_str text = n ? tg_json_text(doc, n) : (struct tg_str){NULL, 0};
    int64_t len = n && n->type == TG_JSON_STRING ? tg_json_unescape(doc, n, out, cap - 1) : -1;
    if (len < 0) {
        len = (int64_t)TG_MIN(text.len, cap - 1);
        if (len)
            memcpy(out, text.ptr, (size_t)len);
    }
    out[len] = '\0';
}

static bool is_container(const struct tg_json_node *n)
{
    return n->type == TG_JSON_ARRAY || n->type == TG_JSON_OBJECT;
}

static bool fits_a_line(const struct tg_json_node *n)
{
    if (n->type != TG_JSON_ARRAY || tg_json_count(n) > LIST_ON_ONE_LINE)
        return tg_json_count(n) == 0;
    TG_JSON_FOREACH(item, n)
    if (is_container(item))
        return false;
    return true;
}

static void break_line(FILE *out, bool pretty, int depth)
{
    if (pretty)
        fprintf(out, "\n%*s", 2 * depth, "");
}

static void value(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n, bool pretty,
                  int depth);

static void members(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n, bool pretty,
                    int depth)
{
    bool object = n->type == TG_JSON_OBJECT, first = true;
    for (const struct tg_json_node *it = tg_json_first(n); it != tg_json_end(n); it = tg_json_next(it)) {
        if (!first)
            fputs(pretty || depth < 0 ? "," : ", ", out);
        break_line(out, pretty, depth + 1);
        if (object) {
            show_text(out, tg_json_text(doc, it));
            fputs(": ", out);
            it++;
        }
        value(out, doc, it, pretty, depth + 1);
        first = false;
    }
}

/* Nesting is the parser's, and bounded there. */
static void value(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n, bool pretty,
                  int depth)
{
    if (!is_container(n)) {
        show_text(out, tg_json_text(doc, n));
        return;
    }
    pretty = pretty && !fits_a_line(n);
    fputc(n->type == TG_JSON_OBJECT ? '{' : '[', out);
    members(out, doc, n, pretty, depth);
    break_line(out, pretty, depth);
    fputc(n->type == TG_JSON_OBJECT ? '}' : ']', out);
}

void show_json(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    value(out, doc, n, true, 0);
}

void show_json_line(FILE *out, const struct tg_json_doc *doc, const struct tg_json_node *n)
{
    value(out, doc, n, false, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Option values: from text to a checked value, and the words for what is wrong with it. */
#include "runner.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_MAX 63 /* longer words are not compared */

void tg_problem_add(struct tg_problems *p, const char *at, const char *format, ...)
{
    char line[512];
    int n = at ? snprintf(line, sizeof(line), "%s: ", at) : 0;
    size_t len = TG_MIN((size_t)n, sizeof(line) - 1);
    va_list args;
    va_start(args, format);
    vsnprintf(line + len, sizeof(line) - len, format, args);
    va_end(args);
    p->count++;
    len = strlen(line);
    if (p->len + len + 2 > sizeof(p->text))
        return;
    memcpy(p->text + p->len, line, len);
    p->text[p->len + len] = '\n';
    p->len += len + 1;
    p->text[p->len] = '\0';
}

/* ---- values ---------------------------------------------------------------------------------- */

static int expected(struct tg_error *err, const char *what)
{
    tg_error_set(err, NULL, "must be %s", what);
    return -EINVAL;
}

/* A row whose bounds are both 0 has none. */
static int check_bounds(const struct tg_option *o, double v, struct tg_error *err)
{
    if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
        return 0;
    tg_error_set(err, NULL, "must be from %.15g to %.15g", o->min, o->max);
    return -EINVAL;
}

static int parse_integer(const struct tg_option *o, const char *text, union tg_value *value,
                         struct tg_error *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || errno || isspace((unsigned char)*text))
        return expected(err, "an integer");
    value->integer = v;
    return check_bounds(o, (double)v, err);
}

static int parse_number(const struct tg_option *o, const char *text, union tg_value *value,
                        struct tg_error *err)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || isspace((unsigned char)*text))
        return expected(err, "a number");
    value->number = v;
    return check_bounds(o, v, err);
}

static int parse_bool(const char *text, union tg_value *value, struct tg_error *err)
{
    value->boolean = strcmp(text, "true") == 0;
    return value->boolean || strcmp(text, "false") == 0 ? 0 : expected(err, "true or false");
}

static int parse_choice(const struct tg_option *o, const char *text, union tg_value *value,
                        struct tg_error *err)
{
    size_t len = strlen(text);
    for (const char *c = o->choices; len > 0 && c; c = strchr(c, '|')) {
        c += *c == '|';
        if (strncmp(c, text, len) == 0 && (c[len] == '|' || c[len] == '\0')) {
            value->string = text;
            return 0;
        }
    }
    tg_error_set(err, NULL, "must be one of %s", o->choices);
    return -EINVAL;
}

int tg_option_parse(const struct tg_option *o, const char *text, union tg_value *value, struct tg_error *err)
{
    switch (o->type) {
    case TG_OPTION_INTEGER:
        return parse_integer(o, text, value, err);
    case TG_OPTION_NUMBER:
        return parse_number(o, text, value, err);
    case TG_OPTION_BOOL:
        return parse_bool(text, value, err);
    case TG_OPTION_CHOICE:
        return parse_choice(o, text, value, err);
    default:
        value->string = text;
        return 0;
    }
}

/* ---- the nearest word ------------------------------------------------------------------------ */

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    return TG_MIN(a, TG_MIN(b, c));
}

/* Edits that turn @a into @b: insert, delete, replace, or swap two neighbours. Three rows of the table
 * suffice. */
static unsigned edit_distance(const char *a, size_t na, const char *b, size_t nb)
{
    unsigned rows[3][WORD_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= nb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= na; i++) {
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= nb; j++) {
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = TG_MIN(now[j], before[j - 2] + 1);
        }
        unsigned *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[nb];
}

const char *tg_option_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t len = strlen(word);
    if (len > WORD_MAX)
        return NULL;
    const char *nearest = NULL;
    unsigned best = (unsigned)(len / 3 + 2); /* one edit is always close; then one more per three letters */
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(candidates[i]);
        unsigned d = n > WORD_MAX ? best : edit_distance(word, len, candidates[i], n);
        if (d < best) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

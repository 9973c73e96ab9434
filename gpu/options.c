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

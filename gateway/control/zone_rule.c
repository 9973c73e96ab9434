/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX time zone rules, with the extensions of RFC 8536: hours up to 167, and negative ones. */
#include "zone_rule.h"

#define DAY_S 86400

struct cursor {
    const char *p, *end;
};

static char peek(const struct cursor *c)
{
    return c->p < c->end ? *c->p : '\0';
}

static bool take(struct cursor *c, char wanted)
{
    bool there = peek(c) == wanted;
    c->p += there;
    return there;
}

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool take_number(struct cursor *c, int min, int max, int *out)
{
    int value = 0, digits = 0;
    for (; is_digit(peek(c)) && digits < 4; digits++)
        value = value * 10 + (*c->p++ - '0');
    *out = value;
    return digits > 0 && value >= min && value <= max;
}

/* "CET" or "<+0330>": three characters at least. */
static bool take_name(struct cursor *c)
{
    const char *start = c->p;
    if (take(c, '<')) {
        while (c->p < c->end && *c->p != '>')
            c->p++;
        return take(c, '>') && c->p - start > 4;
    }
    while ((peek(c) | 0x20) >= 'a' && (peek(c) | 0x20) <= 'z')
        c->p++;
    return c->p - start >= 3;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(struct cursor *c, int32_t *seconds)
{
    int h, m = 0, s = 0;
    bool negative = take(c, '-');
    if (!negative)
        (void)take(c, '+');
    bool fine = take_number(c, 0, 167, &h);
    if (fine && take(c, ':'))
        fine = take_number(c, 0, 59, &m) && (!take(c, ':') || take_number(c, 0, 59, &s));
    *seconds = (negative ? -1 : 1) * (h * 3600 + m * 60 + s);
    return fine;
}

static bool take_day(struct cursor *c, struct zone_change *ch)
{
    if (take(c, 'J')) {
        ch->kind = ZONE_JULIAN;
        return take_number(c, 1, 365, &ch->day);
    }
    if (!take(c, 'M')) {
        ch->kind = ZONE_DAY;
        return take_number(c, 0, 365, &ch->day);
    }
    ch->kind = ZONE_MONTH_WEEK;
    return take_number(c, 1, 12, &ch->month) && take(c, '.') && take_number(c, 1, 5, &ch->week) &&
           take(c, '.') && take_number(c, 0, 6, &ch->day);
}

static bool take_change(struct cursor *c, struct zone_change *ch)
{
    ch->time_s = 7200;
    return take(c, ',') && take_day(c, ch) && (!take(c, '/') || take_time(c, &ch->time_s));
}

/* Offsets in a rule count west of Greenwich. */
bool zone_rule_parse(struct tg_str text, struct zone_rule *out)
{
    struct cursor c = {text.ptr, text.ptr + text.len};
    struct zone_rule r = {0};
    int32_t west;
    if (!take_name(&c) || !take_time(&c, &west))
        return false;
    r.standard_s = -west;
    r.has_summer = c.p < c.end;
    if (r.has_summer) {
        west -= 3600;
        if (!take_name(&c) || (peek(&c) != ',' && !take_time(&c, &west)) || !take_change(&c, &r.begins) ||
            !take_change(&c, &r.ends))
            return false;
        r.summer_s = -west;
    }
    *out = r;
    return c.p == c.end;
}

/* ---- the calendar ----------------------------------------------------------------------------------- */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01 to the first of January; years from 1 on. */
static int64_t days_to_year(int64_t year)
{
    int64_t y = year - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 - 719162;
}

static int64_t year_of(int64_t unix_s)
{
    int64_t year = 1970 + unix_s / (DAY_S * 365 + DAY_S / 4);
    while (days_to_year(year) * DAY_S > unix_s)
        year--;
    while (days_to_year(year + 1) * DAY_S <= unix_s)
        year++;
    return year;
}

static int64_t days_in_month(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t month_week_day(const struct zone_change *ch, int64_t year)
{
    int64_t first = days_to_year(year);
    for (int m = 1; m < ch->month; m++)
        first += days_in_month(year, m);
    int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t day = (ch->day - weekday + 7) % 7 + (ch->week - 1) * 7;
    while (day >= days_in_month(year, ch->month))
        day -= 7;
    return first + day;
}

static int64_t change_day(const struct zone_change *ch, int64_t year)
{
    if (ch->kind == ZONE_MONTH_WEEK)
        return month_week_day(ch, year);
    int64_t day = ch->kind == ZONE_DAY ? ch->day : ch->day - 1 + (ch->day > 59 && is_leap(year));
    return days_to_year(year) + day;
}

/* The instant of a change, on clocks that then stand @offset_s east of UTC. */
static int64_t change_unix(const struct zone_change *ch, int64_t year, int32_t offset_s)
{
    return change_day(ch, year) * DAY_S + ch->time_s - offset_s;
}

int32_t zone_rule_offset_s(const struct zone_rule *r, int64_t unix_s)
{
    if (!r->has_summer)
        return r->standard_s;
    int64_t year = year_of(unix_s + r->standard_s);
    int64_t begins = change_unix(&r->begins, year, r->standard_s),
            ends = change_unix(&r->ends, year, r->summer_s);
    bool summer = begins < ends ? unix_s >= begins && unix_s < ends  /* north */
                                : unix_s >= begins || unix_s < ends; /* south: over New Year */
    return summer ? r->summer_s : r->standard_s;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Windows: their text, what they make of a minute, and their form for directories. */
#include <math.h>
#include "gateway/base/number.h"
#include "iicp_availability.h"

struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
        c->p++;
}

static bool take(struct cursor *c, char wanted)
{
    bool there = c->p < c->end && *c->p == wanted;
    c->p += there;
    return there;
}

static int two_digits(struct cursor *c)
{
    if (c->end - c->p < 2 || c->p[0] < '0' || c->p[0] > '9' || c->p[1] < '0' || c->p[1] > '9')
        return -1;
    int value = (c->p[0] - '0') * 10 + (c->p[1] - '0');
    c->p += 2;
    return value;
}

/* HH:MM of a day; 24:00 is none. */
static bool take_minute(struct cursor *c, uint16_t *out)
{
    int hours = two_digits(c);
    if (hours < 0 || hours > 23 || !take(c, ':'))
        return false;
    int minutes = two_digits(c);
    if (minutes < 0 || minutes > 59)
        return false;
    *out = (uint16_t)(hours * 60 + minutes);
    return true;
}

/* Digits and at most one point between them. */
static bool take_share(struct cursor *c, double *out)
{
    const char *start = c->p;
    bool point = false;
    for (; c->p < c->end && ((*c->p >= '0' && *c->p <= '9') || (*c->p == '.' && !point)); c->p++)
        point |= *c->p == '.';
    size_t len = (size_t)(c->p - start), places = 0;
    if (len == 0 || len > 20 || start[0] == '.' || c->p[-1] == '.')
        return false;
    for (const char *p = start; p < c->p; p++)
        places += *p == '.' ? (size_t)(c->p - p - 1) : 0;
    *out = tg_f64_from_digits(start, len, -(int64_t)places);
    return *out <= 1;
}

static const char *take_window(struct cursor *c, struct iicp_window *w)
{
    skip_space(c);
    if (!take_minute(c, &w->start))
        return "expected a time, HH:MM";
    if (!take(c, '-'))
        return "expected '-' between two times";
    if (!take_minute(c, &w->end))
        return "expected a time, HH:MM";
    w->share = 1;
    if (take(c, '@') && !take_share(c, &w->share))
        return "expected a share within 0 and 1, such as 0.75";
    skip_space(c);
    return NULL;
}

const char *iicp_windows_parse(struct tg_str text, struct iicp_windows *out, size_t *offset)
{
    struct cursor c = {text.ptr, text.ptr + text.len};
    struct iicp_windows w = {0};
    const char *wrong = NULL;
    skip_space(&c);
    while (!wrong && c.p < c.end) {
        wrong = w.count == IICP_WINDOWS_MAX ? "too many windows" : take_window(&c, &w.items[w.count]);
        w.count += !wrong;
        if (!wrong && c.p < c.end && (!take(&c, ',') || c.p == c.end))
            wrong = "expected ',' and another window, or the end";
    }
    if (wrong)
        *offset = (size_t)(c.p - text.ptr);
    else
        *out = w;
    return wrong;
}

uint32_t iicp_minute_of_day(int64_t unix_s, int32_t offset_s)
{
    int64_t second = (unix_s + offset_s) % 86400;
    return (uint32_t)((second < 0 ? second + 86400 : second) / 60);
}

static bool window_holds(const struct iicp_window *w, uint32_t minute)
{
    if (w->start <= w->end)
        return minute >= w->start && minute <= w->end;
    return minute >= w->start || minute <= w->end;
}

double iicp_windows_share(const struct iicp_windows *w, uint32_t minute)
{
    for (uint32_t i = 0; i < w->count; i++)
        if (window_holds(&w->items[i], minute))
            return w->items[i].share;
    return w->count ? 0.5 : 1;
}

uint32_t iicp_effective(uint32_t base, double share)
{
    if (base == 0 || share <= 0)
        return 0;
    return (uint32_t)fmax(1, floor(base * share));
}

static uint16_t shifted(uint16_t minute, int32_t offset_min)
{
    return (uint16_t)(((minute - offset_min) % IICP_DAY_MINUTES + IICP_DAY_MINUTES) % IICP_DAY_MINUTES);
}

void iicp_windows_to_utc(const struct iicp_windows *w, int32_t offset_s, struct iicp_windows_utc *out)
{
    out->count = 0;
    for (uint32_t i = 0; i < w->count; i++) {
        struct iicp_window u = w->items[i];
        u.start = shifted(u.start, offset_s / 60);
        u.end = shifted(u.end, offset_s / 60);
        if (u.start > u.end)
            out->items[out->count++] = (struct iicp_window){u.start, IICP_DAY_MINUTES - 1, u.share};
        out->items[out->count++] = (struct iicp_window){u.start > u.end ? 0 : u.start, u.end, u.share};
    }
}

static void write_minute(struct tg_json_writer *out, uint16_t minute)
{
    unsigned h = minute / 60u, m = minute % 60u;
    char text[5] = {(char)('0' + h / 10), (char)('0' + h % 10), ':', (char)('0' + m / 10),
                    (char)('0' + m % 10)};
    tg_json_write_string(out, (struct tg_str){text, sizeof(text)});
}

void iicp_windows_write(const struct iicp_windows_utc *w, struct tg_json_writer *out)
{
    if (w->count == 0)
        return;
    TG_JSON_KEY(out, "availability");
    tg_json_write_begin_array(out);
    for (uint32_t i = 0; i < w->count; i++) {
        tg_json_write_begin_object(out);
        TG_JSON_KEY(out, "start");
        write_minute(out, w->items[i].start);
        TG_JSON_KEY(out, "end");
        write_minute(out, w->items[i].end);
        TG_JSON_KEY(out, "share");
        tg_json_write_f64(out, w->items[i].share);
        tg_json_write_end_object(out);
    }
    tg_json_write_end_array(out);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Response heads from prepared blocks: constant text is copied in one piece, numbers are written by hand. */
#include "respond.h"

#include <string.h>

/* The end of what is written so far; NULL once something did not fit. */
struct writer {
    char *pos, *end;
};

static inline __attribute__((always_inline)) void put(struct writer *w, const char *text, size_t len)
{
    if (w->pos == NULL || (size_t)(w->end - w->pos) < len) {
        w->pos = NULL;
        return;
    }
    memcpy(w->pos, text, len);
    w->pos += len;
}

/* With a literal the length is constant, and the copy becomes a few vector stores. */
#define PUT(w, literal) put((w), "" literal, sizeof(literal) - 1)

static void put_number(struct writer *w, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put(w, digits + at, sizeof(digits) - at);
}

/* ---- status lines ----------------------------------------------------------------------------------- */

enum reason_row {
    REASON_UNKNOWN,
#define REASON(status, phrase) REASON_##status,
#include "reasons.def"
#undef REASON
    REASON_COUNT
};

static const uint8_t reason_rows[600] = {
#define REASON(status, phrase) [status] = REASON_##status,
#include "reasons.def"
#undef REASON
};

/* Version, status and phrase in one block, so that the usual answers need one copy. */
#define STATUS_START "HTTP/1.1 "
static const struct tg_str status_lines[REASON_COUNT] = {
#define REASON(status, phrase) [REASON_##status] = TG_STR_INIT(STATUS_START #status " " phrase "\r\n"),
#include "reasons.def"
#undef REASON
};

static enum reason_row reason_row_of(uint16_t status)
{
    return status < TG_ARRAY_SIZE(reason_rows) ? (enum reason_row)reason_rows[status] : REASON_UNKNOWN;
}

const char *http_reason(uint16_t status)
{
    static const char *const phrases[REASON_COUNT] = {
        [REASON_UNKNOWN] = "",
#define REASON(status, phrase) [REASON_##status] = phrase,
#include "reasons.def"
#undef REASON
    };
    return phrases[reason_row_of(status)];
}

/* RFC 9112 allows an empty phrase: what an upstream server said is passed on even if we never say it. */
static void put_status(struct writer *w, uint16_t status)
{
    const struct tg_str line = status_lines[reason_row_of(status)];
    if (line.len > 0) {
        put(w, line.ptr, line.len);
        return;
    }
    PUT(w, STATUS_START);
    put_number(w, status);
    PUT(w, " \r\n");
}

/* ---- header lines ----------------------------------------------------------------------------------- */

/* Browsers may call the gateway from any page: it holds no cookies, and tokens are sent explicitly. */
#define CORS_LINES                                                                                           \
    "Access-Control-Allow-Origin: *\r\n"                                                                     \
    "Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"                                                   \
    "Access-Control-Allow-Headers: Content-Type, Authorization, traceparent, tracestate, "                   \
    "X-IICP-Consumer-Token\r\n"

static void put_date(struct writer *w, const char *date)
{
    if (date == NULL)
        return;
    PUT(w, "Date: ");
    put(w, date, HTTP_DATE_BYTES);
    PUT(w, "\r\n");
}

static void put_text_line(struct writer *w, struct tg_str name, const char *text)
{
    if (text == NULL)
        return;
    put(w, name.ptr, name.len);
    put(w, text, strlen(text));
    PUT(w, "\r\n");
}

static void put_number_line(struct writer *w, struct tg_str name, uint64_t n)
{
    put(w, name.ptr, name.len);
    put_number(w, n);
    PUT(w, "\r\n");
}

/* HTTP/1.1 stays open unless told otherwise, HTTP/1.0 the other way round. */
static void put_connection(struct writer *w, const struct http_response *r)
{
    if (r->close)
        PUT(w, "Connection: close\r\n");
    else if (r->minor == 0)
        PUT(w, "Connection: keep-alive\r\n");
}

static void put_rare_lines(struct writer *w, const struct http_response *r)
{
    put_text_line(w, TG_STR("Allow: "), r->allow);
    put_text_line(w, TG_STR("Accept-Encoding: "), r->accept_encoding);
    if (r->gzip)
        PUT(w, "Content-Encoding: gzip\r\n");
    if (r->vary)
        PUT(w, "Vary: Accept-Encoding\r\n");
    if (r->retry_after_s > 0)
        put_number_line(w, TG_STR("Retry-After: "), r->retry_after_s);
    if (r->max_age_s > 0)
        put_number_line(w, TG_STR("Access-Control-Max-Age: "), r->max_age_s);
    if (r->trace_id == NULL)
        return;
    PUT(w, "X-IICP-Trace-Id: ");
    put(w, r->trace_id, 32);
    PUT(w, "\r\n");
}

static void put_lines(struct writer *w, const struct http_response *r)
{
    put_date(w, r->date);
    put_text_line(w, TG_STR("Content-Type: "), r->content_type);
    if (r->status != 204 && r->status != 304)
        put_number_line(w, TG_STR("Content-Length: "), r->content_length);
    put_connection(w, r);
    PUT(w, CORS_LINES);
    put_rare_lines(w, r);
}

size_t http_write_head(char *out, size_t cap, const struct http_response *r)
{
    struct writer w = {out, out + cap};
    if (r->status < 100 || r->status > 999)
        return 0;
    put_status(&w, r->status);
    if (r->status >= 200)
        put_lines(&w, r);
    PUT(&w, "\r\n");
    return w.pos != NULL ? (size_t)(w.pos - out) : 0;
}

/* ---- date ------------------------------------------------------------------------------------------- */

#define SECONDS_MAX 253402300799 /* the last second of the year 9999 */

struct civil {
    unsigned year, month, day; /* month 0..11, day 1..31 */
};

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_in_year(unsigned year)
{
    return is_leap(year) ? 366 : 365;
}

/* Whole 400-year cycles first, then single years and months: once a second needs no cleverness. */
static struct civil civil_of(uint64_t days)
{
    static const uint8_t lengths[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct civil c = {1970 + 400 * (unsigned)(days / 146097), 0, 1};
    unsigned left = (unsigned)(days % 146097);
    for (; left >= days_in_year(c.year); c.year++)
        left -= days_in_year(c.year);
    for (unsigned n; left >= (n = lengths[c.month] + (unsigned)(c.month == 1 && is_leap(c.year))); c.month++)
        left -= n;
    c.day += left;
    return c;
}

/* @n in exactly @digits decimal digits, and the byte behind them. */
static char *fixed(char *p, unsigned n, unsigned digits, char after)
{
    for (unsigned i = digits; i-- > 0; n /= 10)
        p[i] = (char)('0' + n % 10);
    p[digits] = after;
    return p + digits + 1;
}

void http_format_date(char out[HTTP_DATE_BYTES + 1], time_t when)
{
    static const char weekdays[] = "Thu, Fri, Sat, Sun, Mon, Tue, Wed, ", months[] =
                                                                              "Jan Feb Mar Apr May Jun "
                                                                              "Jul Aug Sep Oct Nov Dec ";
    uint64_t t = when < 0 ? 0 : (uint64_t)TG_MIN((int64_t)when, SECONDS_MAX);
    struct civil c = civil_of(t / 86400);
    unsigned second = (unsigned)(t % 86400);
    char *p = out;
    memcpy(p, weekdays + t / 86400 % 7 * 5, 5);
    p = fixed(p + 5, c.day, 2, ' ');
    memcpy(p, months + (size_t)c.month * 4, 4);
    p = fixed(p + 4, c.year, 4, ' ');
    p = fixed(p, second / 3600, 2, ':');
    p = fixed(p, second / 60 % 60, 2, ':');
    p = fixed(p, second % 60, 2, ' ');
    memcpy(p, "GMT", 4);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request head, in one pass: method, target, version, then header lines. Every syntax error and limit is
 * found at a byte position, in byte order, and judged by the bytes before it only; what headers mean together
 * is judged once the head is complete. So any fragmentation of the same bytes ends in the same answer.
 *
 * When the bytes run out, the place reached is packed into *scanned, and the next call goes on from there.
 * Such a resumed pass only checks; when it reaches the end of the head one more pass from the start collects
 * the spans. A head that arrives byte by byte is therefore looked at twice, not once per byte.
 */
#include "parse.h"
#include "fields.h"
#include "scan.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#define METHOD_BYTES_MAX 32
#define INLINE inline __attribute__((always_inline))
#define VERSION_BYTES 10 /* "HTTP/1.1" CR LF */

/* Where a pass stands. Method bytes have no phase: they are few, and read again from the start. */
enum phase { AT_START, IN_TARGET, AT_VERSION, AT_LINE, IN_NAME, IN_VALUE };

/* STEP_ON must be 0: a chain of steps goes on while it sees nothing else. */
enum step { STEP_ON, STEP_MORE, STEP_DONE, STEP_REFUSED };

struct pass {
    const char *buf;
    size_t end; /* bytes that may be looked at: what came, cut at the head limit */
    size_t pos; /* everything before it is in order */
    enum phase phase;
    uint32_t lines; /* header lines begun; inside the target: where the target starts */
    uint32_t lines_max;
    const struct http_limits *limits;
    struct http_head *head;
    struct http_refusal *why;
    struct http_seen seen;
};

static enum step refuse(struct pass *p, uint16_t status, const char *reason)
{
    http_refuse(p->why, status, reason);
    return STEP_REFUSED;
}

/* ---- *scanned: position in the low half, then the phase, then the count ------------------------------ */

static_assert(sizeof(size_t) == 8, "a place in the head is packed into 64 bits");

#define PLACE_COUNT_MAX ((1u << 28) - 1)

static size_t place_pack(const struct pass *p)
{
    if (p->phase == AT_START)
        return 0;
    return p->pos | (size_t)p->phase << 32 | (size_t)p->lines << 36;
}

static void place_unpack(struct pass *p, size_t place)
{
    p->pos = place & UINT32_MAX;
    p->phase = (enum phase)(place >> 32 & 15);
    p->lines = (uint32_t)(place >> 36);
}

/* ---- request line ----------------------------------------------------------------------------------- */

#define KNOWN_METHODS(X) X(GET) X(POST) X(PUT) X(HEAD) X(DELETE) X(OPTIONS) X(PATCH)

static enum http_method method_of(struct tg_str s)
{
#define METHOD(name)                                                                                         \
    if (tg_str_eq(s, TG_STR(#name)))                                                                         \
        return HTTP_##name;
    KNOWN_METHODS(METHOD)
#undef METHOD
    return HTTP_OTHER;
}

/* The length of the known method at @text, with the space behind it, or 0; eight bytes can be read there. */
static INLINE size_t take_method(const char *text, enum http_method *method)
{
#define METHOD(name)                                                                                         \
    if (memcmp(text, #name " ", sizeof(#name)) == 0) {                                                       \
        *method = HTTP_##name;                                                                               \
        return sizeof(#name);                                                                                \
    }
    KNOWN_METHODS(METHOD)
#undef METHOD
    return 0;
}

/* Robust servers let one empty line pass before a request: old clients sent it after a body. */
static enum step skip_crlf(struct pass *p)
{
    if (p->pos < p->end && p->buf[p->pos] != '\r')
        return STEP_ON;
    if (p->end - p->pos < 2)
        return STEP_MORE;
    if (p->buf[p->pos + 1] != '\n')
        return refuse(p, 400, "bare CR");
    p->pos += 2;
    return STEP_ON;
}

/* Needs the space behind the method; a place inside the method is not remembered. */
static enum step parse_method(struct pass *p)
{
    size_t start = p->pos, n = start, end = TG_MIN(p->end, start + METHOD_BYTES_MAX + 1);
    while (n < end && http_is_token((unsigned char)p->buf[n]))
        n++;
    if (n - start > METHOD_BYTES_MAX)
        return refuse(p, 400, "method too long");
    if (n == end)
        return STEP_MORE;
    if (p->buf[n] != ' ' || n == start)
        return refuse(p, 400, "malformed request line");
    struct tg_str method = {p->buf + start, n - start};
    p->head->method = method_of(method);
    p->seen.connect = tg_str_eq(method, TG_STR("CONNECT"));
    p->pos = n + 1;
    p->lines = (uint32_t)p->pos;
    p->phase = IN_TARGET;
    return STEP_ON;
}

static enum step parse_start(struct pass *p)
{
    enum step step = skip_crlf(p);
    return step != STEP_ON ? step : parse_method(p);
}

static enum step parse_target(struct pass *p)
{
    size_t start = p->lines, wall = start + p->limits->target_bytes_max + 1, end = TG_MIN(p->end, wall);
    p->pos = http_target_end(p->buf, p->pos, end);
    if (p->pos == wall)
        return refuse(p, 414, "target over the limit");
    if (p->pos == end)
        return STEP_MORE;
    if (p->buf[p->pos] != ' ' || p->pos == start)
        return refuse(p, 400, "malformed target");
    p->head->target = (struct http_span){(uint32_t)start, (uint32_t)(p->pos - start)};
    p->pos++;
    p->lines = 0;
    p->phase = AT_VERSION;
    return STEP_ON;
}

/* Holds what there is against "HTTP/d.d" CR LF, byte by byte, so that a wrong byte is refused at once. */
static enum step check_version(struct pass *p)
{
    static const char form[VERSION_BYTES] = "HTTP/d.d\r\n";
    size_t have = TG_MIN(p->end - p->pos, (size_t)VERSION_BYTES);
    const char *v = p->buf + p->pos;
    for (size_t i = 0; i < have; i++) {
        if (form[i] == 'd' ? !http_is_digit((unsigned char)v[i]) : v[i] != form[i])
            return refuse(p, 400, "malformed version");
        if (i == 7 && (v[5] != '1' || v[7] > '1'))
            return refuse(p, 505, "HTTP version not supported");
    }
    return have < VERSION_BYTES ? STEP_MORE : STEP_ON;
}

static enum step parse_version(struct pass *p)
{
    const char *v = p->buf + p->pos;
    if (p->end - p->pos < VERSION_BYTES || memcmp(v, "HTTP/1.1\r\n", VERSION_BYTES) != 0) {
        enum step step = check_version(p);
        if (step != STEP_ON)
            return step;
    }
    p->head->minor = v[7] == '1';
    p->pos += VERSION_BYTES;
    p->phase = AT_LINE;
    return STEP_ON;
}

/*
 * The whole first line at once, if it is all there and of the usual kind; else nothing, and the steps above
 * take it.
 */
static INLINE void take_request_line(struct pass *p)
{
    static const char version[] = " HTTP/1.1\r\n";
    const size_t tail = sizeof(version) - 1;
    if (p->end < 16)
        return;
    size_t start = take_method(p->buf, &p->head->method), wall = start + p->limits->target_bytes_max + 1;
    size_t end = TG_MIN(p->end, wall), stop = http_target_end(p->buf, start, end);
    if (start == 0 || stop == start || stop == end || p->end - stop < tail ||
        memcmp(p->buf + stop, version, tail) != 0)
        return;
    p->head->target = (struct http_span){(uint32_t)start, (uint32_t)(stop - start)};
    p->head->minor = 1;
    p->pos = stop + tail;
    p->phase = AT_LINE;
}

/* ---- header lines ----------------------------------------------------------------------------------- */

/* What a line's first byte says: end of the head, continuation of the line above, or a name. */
static enum step end_of_head(struct pass *p)
{
    if (p->end - p->pos < 2)
        return STEP_MORE;
    if (p->buf[p->pos + 1] != '\n')
        return refuse(p, 400, "bare CR");
    p->pos += 2;
    return STEP_DONE;
}

static enum step parse_line_start(struct pass *p)
{
    if (p->pos == p->end)
        return STEP_MORE;
    unsigned char c = (unsigned char)p->buf[p->pos];
    if (c == '\r')
        return end_of_head(p);
    if (http_is_blank(c))
        return refuse(p, 400, "folded header line");
    if (!http_is_token(c))
        return refuse(p, 400, c == ':' ? "empty header name" : "malformed header name");
    if (p->lines >= p->lines_max)
        return refuse(p, 431, "too many headers");
    p->lines++;
    p->phase = IN_NAME;
    return STEP_ON;
}

static enum step parse_name(struct pass *p)
{
    p->pos = http_name_end(p->buf, p->pos, p->end);
    if (p->pos == p->end)
        return STEP_MORE;
    if (p->buf[p->pos] != ':')
        return refuse(p, 400, "malformed header name");
    p->pos++;
    p->phase = IN_VALUE;
    return STEP_ON;
}

static inline void keep_header(struct pass *p, enum http_header id, struct http_span value)
{
    uint32_t bit = 1u << id;
    if (TG_UNLIKELY(p->head->present & bit))
        http_fields_repeat(&p->seen, id, http_header_str(p->buf, p->head, id), http_span_str(p->buf, value));
    else
        p->head->header[id] = value;
    p->head->present |= bit;
    if (id == HTTP_H_CONNECTION || id == HTTP_H_EXPECT)
        http_fields_note(&p->seen, id, http_span_str(p->buf, value));
}

/* Keeps a line that we know; its value is in [off, end), padded with white space. */
static INLINE void keep_line(struct pass *p, const char *buf, enum http_header id, size_t off, size_t end)
{
    while (off < end && http_is_blank((unsigned char)buf[off]))
        off++;
    while (end > off && http_is_blank((unsigned char)buf[end - 1]))
        end--;
    keep_header(p, id, (struct http_span){(uint32_t)off, (uint32_t)(end - off)});
}

static enum step parse_value(struct pass *p)
{
    size_t start = p->pos;
    p->pos = http_value_end(p->buf, start, p->end);
    if (p->pos == p->end)
        return STEP_MORE;
    if (p->buf[p->pos] != '\r')
        return refuse(p, 400, "control character or bare LF in a header");
    if (p->pos + 1 == p->end)
        return STEP_MORE;
    if (p->buf[p->pos + 1] != '\n')
        return refuse(p, 400, "bare CR");
    p->pos += 2;
    p->phase = AT_LINE;
    return STEP_ON;
}

/* Where the line at @pos ends, if it has only tabs where a value has no control characters; else the end. */
static INLINE size_t line_end(struct http_halts *halts, size_t pos)
{
    const char *buf = halts->buf;
    size_t cr;
    do
        cr = http_halts_next(halts, pos);
    while (TG_UNLIKELY(cr != halts->end && buf[cr] == '\t'));
    if (halts->end - cr < 2 || memcmp(buf + cr, "\r\n", 2) != 0)
        return halts->end;
    http_halts_skip(halts);
    return cr;
}

/*
 * Takes whole lines while they are all there and in order; anything else is left to the steps above, which
 * find out where exactly it goes wrong or breaks off. Only lines taken here are kept: the last pass sees no
 * others.
 */
static void take_lines(struct pass *p)
{
    const char *buf = p->buf;
    size_t pos = p->pos, end = p->end;
    struct http_halts halts = {.buf = buf, .next = pos, .end = end};
    uint32_t lines = p->lines, lines_max = p->lines_max;
    for (; lines < lines_max; lines++) {
        size_t colon, cr = line_end(&halts, pos);
        if (cr == end || cr == pos)
            break;
        int id = http_name(buf, pos, cr, end, &colon);
        if (colon == pos || buf[colon] != ':')
            break;
        if (id >= 0)
            keep_line(p, buf, (enum http_header)id, colon + 1, cr);
        pos = cr + 2;
    }
    p->pos = pos;
    p->lines = lines;
}

/* ---- passes ----------------------------------------------------------------------------------------- */

static enum step parse_step(struct pass *p)
{
    switch (p->phase) {
    case AT_START:
        return parse_start(p);
    case IN_TARGET:
        return parse_target(p);
    case AT_VERSION:
        return parse_version(p);
    case AT_LINE:
        return parse_line_start(p);
    case IN_NAME:
        return parse_name(p);
    case IN_VALUE:
        break;
    }
    return parse_value(p);
}

/* In pieces, as far as gcc 12 can see: for the whole it chooses a string instruction, which starts slowly. */
static INLINE void clear_head(struct http_head *head)
{
    char *at = (char *)head, *last = (char *)(head + 1) - 64;
    for (; at < last; at += 64) {
        memset(at, 0, 64);
        __asm__("" : "+r"(at));
    }
    memset(last, 0, 64);
}

static_assert(sizeof(struct http_head) >= 64, "the last piece may overlap the one before");

/* One pass from @place as far as the bytes reach; leaves the new place in @p. */
static enum step run_pass(struct pass *p, size_t place)
{
    clear_head(p->head);
    p->seen = (struct http_seen){0};
    place_unpack(p, place);
    if (p->phase == AT_START)
        take_request_line(p);
    enum step step = STEP_ON;
    while (step == STEP_ON) {
        if (p->phase == AT_LINE)
            take_lines(p);
        step = parse_step(p);
    }
    return step;
}

int http_parse_head(const char *buf, size_t len, size_t *scanned, const struct http_limits *limits,
                    struct http_head *head, struct http_refusal *why)
{
    size_t wall = TG_MIN(limits->head_bytes_max, (uint32_t)INT_MAX);
    struct pass p = {.buf = buf, .end = TG_MIN(len, wall), .limits = limits, .head = head, .why = why};
    p.lines_max = TG_MIN(limits->headers_max, PLACE_COUNT_MAX);
    enum step step = run_pass(&p, *scanned);
    if (step == STEP_DONE && *scanned != 0)
        step = run_pass(&p, 0);
    if (step == STEP_MORE && p.end == wall)
        step = refuse(&p, 431, "head over the limit");
    if (step == STEP_MORE) {
        *scanned = place_pack(&p);
        return 0;
    }
    if (step == STEP_REFUSED || !http_fields_judge(buf, &p.seen, head, why))
        return -1;
    *scanned = 0;
    return (int)p.pos;
}

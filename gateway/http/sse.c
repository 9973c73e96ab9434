/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events. A block is taken back as a whole when its last byte does not fit. */
#include "sse.h"

#include <errno.h>
#include <string.h>

/* Appends, or remembers that something did not fit. */
struct block {
    struct http_sse *to;
    size_t start;
    bool full;
};

static struct block begin(struct http_sse *s)
{
    return (struct block){s, s->len, false};
}

static void put(struct block *b, const char *text, size_t len)
{
    struct http_sse *s = b->to;
    if (b->full || s->cap - s->len < len) {
        b->full = true;
        return;
    }
    if (len > 0)
        memcpy(s->buf + s->len, text, len);
    s->len += len;
}

static int end(struct block *b)
{
    put(b, "\n", 1);
    if (!b->full)
        return 0;
    b->to->len = b->start;
    return -ENOSPC;
}

static void put_line(struct block *b, struct tg_str name, struct tg_str value)
{
    put(b, name.ptr, name.len);
    put(b, ": ", 2);
    put(b, value.ptr, value.len);
    put(b, "\n", 1);
}

/* Bytes up to the next line break, which is CR, LF or both, in @line; what follows it stays in @text. False if the
 * text ended there. */
static bool next_line(struct tg_str *text, struct tg_str *line)
{
    size_t n = 0;
    while (n < text->len && text->ptr[n] != '\n' && text->ptr[n] != '\r')
        n++;
    *line = (struct tg_str){text->ptr, n};
    if (n == text->len)
        return false;
    n += text->ptr[n] == '\r' && n + 1 < text->len && text->ptr[n + 1] == '\n' ? 2 : 1;
    *text = (struct tg_str){text->ptr + n, text->len - n};
    return true;
}

/* A client joins the fields with a line feed in between: so the text ends as it did, also behind a last line break. */
static void put_lines(struct block *b, struct tg_str name, struct tg_str text)
{
    struct tg_str line;
    while (next_line(&text, &line))
        put_line(b, name, line);
    put_line(b, name, line);
}

static void put_number(struct block *b, uint32_t n)
{
    char digits[10];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    put_line(b, TG_STR("retry"), (struct tg_str){digits + at, sizeof(digits) - at});
}

static bool has_byte(struct tg_str s, char byte)
{
    return s.len > 0 && memchr(s.ptr, byte, s.len);
}

static bool one_line(struct tg_str s)
{
    return !has_byte(s, '\n') && !has_byte(s, '\r');
}

int http_sse_event(struct http_sse *s, const struct http_sse_event *e)
{
    if (!one_line(e->event) || !one_line(e->id) || has_byte(e->id, '\0'))
        return -EINVAL;
    struct block b = begin(s);
    if (e->event.ptr)
        put_line(&b, TG_STR("event"), e->event);
    if (e->id.ptr)
        put_line(&b, TG_STR("id"), e->id);
    if (e->has_retry)
        put_number(&b, e->retry_ms);
    if (e->data.ptr)
        put_lines(&b, TG_STR("data"), e->data);
    return end(&b);
}

int http_sse_comment(struct http_sse *s, struct tg_str text)
{
    struct block b = begin(s);
    put_lines(&b, TG_STR(""), text);
    return end(&b);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Reads answers as they come, in whatever pieces. */
#include "response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What a step says besides the number of bytes it took. */
enum step { STEP_ON, STEP_DONE, STEP_MORE, STEP_BAD };

static bool header_is(struct tg_str line, struct tg_str name)
{
    return line.len > name.len && line.ptr[name.len] == ':' && strncasecmp(line.ptr, name.ptr, name.len) == 0;
}

static struct tg_str header_value(struct tg_str line)
{
    const char *colon = memchr(line.ptr, ':', line.len);
    struct tg_str value = {colon + 1, line.len - (size_t)(colon + 1 - line.ptr)};

    while (value.len && (*value.ptr == ' ' || *value.ptr == '\t'))
        value.ptr++, value.len--;
    while (value.len && (value.ptr[value.len - 1] == ' ' || value.ptr[value.len - 1] == '\t'))
        value.len--;
    return value;
}

static bool parse_length(struct tg_str text, uint64_t *out)
{
    uint64_t value = 0;

    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *out = value;
    return true;
}

static bool value_is(struct tg_str value, struct tg_str word)
{
    return value.len == word.len && strncasecmp(value.ptr, word.ptr, word.len) == 0;
}

static bool parse_header(struct response_head *head, struct tg_str line)
{
    if (!memchr(line.ptr, ':', line.len))
        return false;
    if (header_is(line, TG_STR("content-length"))) {
        if (head->has_length || !parse_length(header_value(line), &head->length))
            return false;
        head->has_length = true;
    } else if (header_is(line, TG_STR("transfer-encoding"))) {
        head->chunked = value_is(header_value(line), TG_STR("chunked"));
        return head->chunked;
    } else if (header_is(line, TG_STR("connection"))) {
        head->close = value_is(header_value(line), TG_STR("close"));
    }
    return true;
}

/* "HTTP/1.1 200 OK": the reason may be empty. */
static bool parse_status_line(struct response_head *head, struct tg_str line)
{
    const char *p = line.ptr;
    uint32_t status = 0;

    if (line.len < 12 || memcmp(p, "HTTP/1.", 7) || (p[7] != '0' && p[7] != '1') || p[8] != ' ')
        return false;
    for (int i = 9; i < 12; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        status = status * 10 + (uint32_t)(p[i] - '0');
    }
    head->status = (uint16_t)status;
    head->close = p[7] == '0';
    return status >= 100 && status < 600 && (line.len == 12 || p[12] == ' ');
}

static bool next_line(struct tg_str *rest, struct tg_str *line)
{
    const char *nl = memchr(rest->ptr, '\n', rest->len);

    if (!nl || nl == rest->ptr || nl[-1] != '\r')
        return false;
    *line = (struct tg_str){rest->ptr, (size_t)(nl - 1 - rest->ptr)};
    rest->len -= (size_t)(nl + 1 - rest->ptr);
    rest->ptr = nl + 1;
    return true;
}

static enum step parse_head(struct response_head *head, struct tg_str in)
{
    const char *end = memmem(in.ptr, in.len, "\r\n\r\n", 4);
    struct tg_str rest, line;

    if (!end)
        return in.len < RESPONSE_HEAD_MAX ? STEP_MORE : STEP_BAD;
    memset(head, 0, sizeof(*head));
    head->bytes = (uint32_t)(end + 4 - in.ptr);
    rest = (struct tg_str){in.ptr, head->bytes - 2};
    if (!next_line(&rest, &line) || !parse_status_line(head, line))
        return STEP_BAD;
    while (rest.len)
        if (!next_line(&rest, &line) || !parse_header(head, line))
            return STEP_BAD;
    return head->chunked && head->has_length ? STEP_BAD : STEP_DONE;
}

static void remember(struct response_memo *memo, const struct response_head *head, const char *text)
{
    if (head->bytes > RESPONSE_MEMO_MAX)
        return;
    memcpy(memo->text, text, head->bytes);
    memo->head = *head;
}

static bool is_the_last(const struct response_memo *memo, struct tg_str in)
{
    return memo->head.bytes && in.len >= memo->head.bytes && !memcmp(in.ptr, memo->text, memo->head.bytes);
}

/* Where the head says the body goes on; an interim answer such as 100 is followed by the real head. */
static enum step enter_body(struct response *r)
{
    const struct response_head *h = &r->head;

    r->left = h->length;
    if (h->status < 200)
        return STEP_ON;
    if (r->head_only || h->status == 204 || h->status == 304)
        return STEP_DONE;
    if (h->chunked)
        r->state = RESPONSE_CHUNK_SIZE;
    else if (!h->has_length)
        r->state = RESPONSE_UNTIL_CLOSE;
    else if (h->length == 0)
        return STEP_DONE;
    else
        r->state = RESPONSE_BODY;
    return STEP_ON;
}

static enum step take_head(struct response *r, struct response_memo *memo, struct tg_str in, size_t *used)
{
    enum step step;

    if (TG_LIKELY(is_the_last(memo, in))) {
        r->head = memo->head;
    } else {
        step = parse_head(&r->head, in);
        if (step != STEP_DONE)
            return step;
        remember(memo, &r->head, in.ptr);
    }
    *used = r->head.bytes;
    return enter_body(r);
}

static enum step keep(struct response *r, const char *p, size_t len)
{
    if (!r->text)
        r->text = malloc(RESPONSE_TEXT_MAX);
    if (!r->text)
        return STEP_BAD;
    len = TG_MIN(len, (size_t)RESPONSE_TEXT_MAX - r->text_len);
    memcpy(r->text + r->text_len, p, len);
    r->text_len += (uint32_t)len;
    return STEP_ON;
}

/* Takes up to `left` bytes of a body or chunk. A body that lies whole in the buffer is not copied. */
static enum step take_data(struct response *r, struct tg_str in, size_t *used)
{
    size_t n = TG_MIN(r->left, in.len);
    bool whole = r->state == RESPONSE_BODY && n == r->left && r->text_len == 0;

    *used = n;
    r->left -= n;
    if (whole)
        r->body = (struct tg_str){in.ptr, n};
    else if (r->keep_body && keep(r, in.ptr, n) == STEP_BAD)
        return STEP_BAD;
    if (r->left)
        return STEP_MORE;
    if (r->state == RESPONSE_BODY)
        return STEP_DONE;
    r->state = RESPONSE_CHUNK_END;
    return STEP_ON;
}

static bool parse_hex(struct tg_str text, uint64_t *out)
{
    uint64_t value = 0;
    size_t i;

    for (i = 0; i < text.len && text.ptr[i] != ';' && text.ptr[i] != ' '; i++) {
        char c = (char)(text.ptr[i] | 0x20);
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;

        if (digit < 0 || i == 15)
            return false;
        value = value << 4 | (uint64_t)digit;
    }
    *out = value;
    return i > 0;
}

static enum step take_chunk_size(struct response *r, struct tg_str line)
{
    if (!parse_hex(line, &r->left))
        return STEP_BAD;
    r->state = r->left ? RESPONSE_CHUNK_DATA : RESPONSE_TRAILER;
    return STEP_ON;
}

/* The states whose unit is a line: chunk size, the empty line behind a chunk, trailers. */
static enum step take_line(struct response *r, struct tg_str in, size_t *used)
{
    const char *nl = memchr(in.ptr, '\n', in.len);
    struct tg_str rest = in, line;

    if (!nl)
        return in.len < RESPONSE_HEAD_MAX ? STEP_MORE : STEP_BAD;
    if (!next_line(&rest, &line))
        return STEP_BAD;
    *used = in.len - rest.len;
    if (r->state == RESPONSE_CHUNK_SIZE)
        return take_chunk_size(r, line);
    if (r->state == RESPONSE_TRAILER)
        return line.len ? STEP_ON : STEP_DONE;
    r->state = RESPONSE_CHUNK_SIZE;
    return line.len ? STEP_BAD : STEP_ON;
}

static enum step take_rest(struct response *r, struct tg_str in, size_t *used)
{
    *used = in.len;
    return r->keep_body && keep(r, in.ptr, in.len) == STEP_BAD ? STEP_BAD : STEP_MORE;
}

static enum step take(struct response *r, struct response_memo *memo, struct tg_str in, size_t *used)
{
    *used = 0;
    switch (r->state) {
    case RESPONSE_HEAD:
        return take_head(r, memo, in, used);
    case RESPONSE_BODY:
    case RESPONSE_CHUNK_DATA:
        return take_data(r, in, used);
    case RESPONSE_UNTIL_CLOSE:
        return take_rest(r, in, used);
    case RESPONSE_CHUNK_SIZE:
    case RESPONSE_CHUNK_END:
    case RESPONSE_TRAILER:
        return take_line(r, in, used);
    }
    return STEP_BAD;
}

static enum response_result complete(struct response *r)
{
    if (r->text_len)
        r->body = (struct tg_str){r->text, r->text_len};
    r->text_len = 0;
    r->state = RESPONSE_HEAD;
    return RESPONSE_DONE;
}

/* Runs the states over contiguous bytes until the answer ends or they run out. */
static enum response_result run(struct response *r, struct response_memo *memo, struct tg_str in, size_t *used)
{
    enum step step = STEP_ON;
    size_t n;

    *used = 0;
    while (step == STEP_ON && in.len) {
        step = take(r, memo, in, &n);
        *used += n;
        in.ptr += n;
        in.len -= n;
    }
    if (step == STEP_DONE)
        return complete(r);
    return step == STEP_BAD ? RESPONSE_BAD : RESPONSE_MORE;
}

/* Keeps what could not be read yet: at most one incomplete head or line. */
static enum response_result put_aside(struct response *r, struct tg_str in)
{
    if (in.len == 0)
        return RESPONSE_MORE;
    if (!r->carry)
        r->carry = malloc(RESPONSE_HEAD_MAX);
    if (!r->carry || in.len > RESPONSE_HEAD_MAX - r->carry_len)
        return RESPONSE_BAD;
    memcpy(r->carry + r->carry_len, in.ptr, in.len);
    r->carry_len += (uint32_t)in.len;
    return RESPONSE_MORE;
}

static enum response_result feed_fresh(struct response *r, struct response_memo *memo, struct tg_str in,
                                       size_t *used)
{
    enum response_result result = run(r, memo, in, used);

    if (result != RESPONSE_MORE)
        return result;
    in.ptr += *used;
    in.len -= *used;
    *used += in.len;
    return put_aside(r, in);
}

/* Joins new bytes to those put aside. What was put aside could not be read alone, so a step forward uses it up. */
static enum response_result feed_joined(struct response *r, struct response_memo *memo, struct tg_str in,
                                        size_t *used)
{
    uint32_t before = r->carry_len;
    size_t room = TG_MIN(in.len, (size_t)RESPONSE_HEAD_MAX - before), taken, more;
    enum response_result result;

    memcpy(r->carry + before, in.ptr, room);
    result = run(r, memo, (struct tg_str){r->carry, before + room}, &taken);
    if (result == RESPONSE_MORE && taken == 0) {
        r->carry_len += (uint32_t)room;
        *used = room;
        return room == in.len ? RESPONSE_MORE : RESPONSE_BAD;
    }
    r->carry_len = 0;
    *used = taken - before;
    if (result != RESPONSE_MORE)
        return result;
    in.ptr += *used;
    in.len -= *used;
    result = feed_fresh(r, memo, in, &more);
    *used += more;
    return result;
}

enum response_result response_feed(struct response *r, struct response_memo *memo, struct tg_str in, size_t *used)
{
    r->body = (struct tg_str){0};
    return r->carry_len ? feed_joined(r, memo, in, used) : feed_fresh(r, memo, in, used);
}

bool response_ends_at_close(struct response *r)
{
    if (r->state != RESPONSE_UNTIL_CLOSE)
        return false;
    r->body = (struct tg_str){0};
    r->head.close = true;
    complete(r);
    return true;
}

void response_restart(struct response *r)
{
    r->state = RESPONSE_HEAD;
    r->left = 0;
    r->carry_len = r->text_len = 0;
}

void response_finish(struct response *r)
{
    free(r->carry);
    free(r->text);
    r->carry = r->text = NULL;
}

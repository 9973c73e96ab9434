/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The meaning of a head: RFC 9112 sections 3.2 (target forms), 6 (framing), 7.1 and 9.3 (persistence), RFC
 * 9110 section 10.1.1 (Expect). Where the RFC lets a server guess, we refuse: two readers must never frame
 * differently.
 */
#include "fields.h"
#include "scan.h"

#include <string.h>

/* @lower is lower-case; only ASCII letters fold. */
static bool same_word(struct tg_str s, const char *lower, size_t len)
{
    if (s.len != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = s.ptr[i];
        if ((c >= 'A' && c <= 'Z' ? c | 0x20 : c) != lower[i])
            return false;
    }
    return true;
}

#define SAME_WORD(s, literal) same_word((s), (literal), sizeof(literal) - 1)

static struct tg_str trimmed(struct tg_str s)
{
    while (s.len > 0 && http_is_blank((unsigned char)s.ptr[0]))
        s.ptr++, s.len--;
    while (s.len > 0 && http_is_blank((unsigned char)s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* Cuts the first element off a comma-separated list; false when the list is used up. */
static bool next_element(struct tg_str *list, struct tg_str *element)
{
    if (list->ptr == NULL)
        return false;
    const char *comma = memchr(list->ptr, ',', list->len);
    size_t len = comma != NULL ? (size_t)(comma - list->ptr) : list->len;
    *element = trimmed((struct tg_str){list->ptr, len});
    *list = comma != NULL ? (struct tg_str){comma + 1, list->len - len - 1} : (struct tg_str){NULL, 0};
    return true;
}

/* Nearly always the one word, in this very spelling. */
static void note_connection(struct http_seen *seen, struct tg_str list)
{
    struct tg_str word;
    if (tg_str_eq(list, TG_STR("keep-alive"))) {
        seen->keep_alive = true;
        return;
    }
    while (next_element(&list, &word)) {
        seen->close |= SAME_WORD(word, "close");
        seen->keep_alive |= SAME_WORD(word, "keep-alive");
    }
}

/* An empty Expect asks for nothing: some clients send it so to switch their own default off. */
static void note_expect(struct http_seen *seen, struct tg_str list)
{
    struct tg_str word;
    while (next_element(&list, &word)) {
        bool known = SAME_WORD(word, "100-continue");
        seen->expects_continue |= known;
        seen->expects_other |= !known && word.len > 0;
    }
}

void http_fields_note(struct http_seen *seen, enum http_header id, struct tg_str value)
{
    if (id == HTTP_H_CONNECTION)
        note_connection(seen, value);
    else
        note_expect(seen, value);
}

/* ---- headers that have one value -------------------------------------------------------------------- */

#define VALUES_ONE(bit) | (bit)
#define VALUES_LIST(bit)
static const uint32_t one_value = 0
#define HEADER(ident, name, values) VALUES_##values(1u << HTTP_H_##ident)
#include "headers.def"
#undef HEADER
    ;

void http_fields_repeat(struct http_seen *seen, enum http_header id, struct tg_str first, struct tg_str again)
{
    seen->repeated |= 1u << id;
    if (!tg_str_eq(first, again))
        seen->differing |= 1u << id;
}

/* ---- authority ------------------------------------------------------------------------------------- */

/* The bytes of "[...]" at the start of @s, 0 if the brackets hold anything but hex digits, ':' and '.'. */
static size_t literal_length(struct tg_str s)
{
    size_t n = 1;
    while (n < s.len && (http_hex_value((unsigned char)s.ptr[n]) >= 0 || s.ptr[n] == ':' || s.ptr[n] == '.'))
        n++;
    return n > 1 && n < s.len && s.ptr[n] == ']' ? n + 1 : 0;
}

/* Nothing, or ':' and digits up to 65535; RFC 3986 lets the digits be missing. */
static bool valid_port(struct tg_str s)
{
    if (s.len == 0)
        return true;
    if (s.ptr[0] != ':' || s.len > 6)
        return false;
    unsigned port = 0;
    for (size_t i = 1; i < s.len; i++) {
        if (!http_is_digit((unsigned char)s.ptr[i]))
            return false;
        port = port * 10 + (unsigned)(s.ptr[i] - '0');
    }
    return port <= 65535;
}

static bool valid_authority(struct tg_str s)
{
    size_t host = s.len > 0 && s.ptr[0] == '[' ? literal_length(s) : http_host_end(s.ptr, 0, s.len);
    return host > 0 && valid_port((struct tg_str){s.ptr + host, s.len - host});
}

static bool judge_host(const char *buf, const struct http_seen *seen, const struct http_head *head,
                       struct http_refusal *why)
{
    if (!http_has_header(head, HTTP_H_HOST))
        return head->minor == 0 || http_refuse(why, 400, "HTTP/1.1 without Host");
    if (seen->repeated >> HTTP_H_HOST & 1)
        return http_refuse(why, 400, "more than one Host");
    return valid_authority(http_header_str(buf, head, HTTP_H_HOST)) || http_refuse(why, 400, "invalid Host");
}

/* ---- target ---------------------------------------------------------------------------------------- */

/* Splits path?query, which end where the target ends. */
static void split_path(const char *buf, struct http_head *head, uint32_t off)
{
    uint32_t len = head->target.off + head->target.len - off;
    uint32_t path = (uint32_t)(http_path_end(buf, off, off + len) - off);
    head->path = (struct http_span){off, path};
    if (path < len)
        head->query = (struct http_span){off + path + 1, len - path - 1};
}

/* The length of "http://" or "https://" at the start of a target, or 0. */
static uint32_t scheme_length(struct tg_str target)
{
    for (uint32_t n = 7; n <= 8; n++)
        if (target.len >= n && same_word((struct tg_str){target.ptr, n}, n == 7 ? "http://" : "https://", n))
            return n;
    return 0;
}

static bool judge_absolute(const char *buf, struct http_head *head, struct http_refusal *why)
{
    struct tg_str target = http_span_str(buf, head->target);
    uint32_t start = scheme_length(target), end = start;
    if (start == 0)
        return http_refuse(why, 400, "target is neither a path nor an http URI");
    while (end < target.len && target.ptr[end] != '/' && target.ptr[end] != '?')
        end++;
    if (!valid_authority((struct tg_str){target.ptr + start, end - start}))
        return http_refuse(why, 400, "invalid authority in target");
    split_path(buf, head, head->target.off + end);
    /* An empty path means "/": the second slash of "://" will do for its text. */
    if (head->path.len == 0)
        head->path = (struct http_span){head->target.off + start - 1, 1};
    return true;
}

static bool judge_target(const char *buf, const struct http_seen *seen, struct http_head *head,
                         struct http_refusal *why)
{
    struct tg_str target = http_span_str(buf, head->target);
    if (seen->connect)
        return valid_authority(target) || http_refuse(why, 400, "CONNECT without host and port");
    if (target.ptr[0] == '/') {
        split_path(buf, head, head->target.off);
        return true;
    }
    if (target.len != 1 || target.ptr[0] != '*')
        return judge_absolute(buf, head, why);
    head->path = head->target;
    return head->method == HTTP_OPTIONS || http_refuse(why, 400, "target * is for OPTIONS only");
}

/* ---- body framing ---------------------------------------------------------------------------------- */

static bool judge_length(const char *buf, const struct http_seen *seen, struct http_head *head,
                         struct http_refusal *why)
{
    struct tg_str text = http_header_str(buf, head, HTTP_H_CONTENT_LENGTH);
    if (seen->repeated >> HTTP_H_CONTENT_LENGTH & 1)
        return http_refuse(why, 400, "more than one Content-Length");
    uint64_t n = 0;
    bool bad = text.len == 0;
    for (size_t i = 0; i < text.len && !bad; i++)
        bad = !http_is_digit((unsigned char)text.ptr[i]) || __builtin_mul_overflow(n, 10, &n) ||
              __builtin_add_overflow(n, (unsigned)(text.ptr[i] - '0'), &n);
    if (bad)
        return http_refuse(why, 400, "malformed Content-Length");
    head->body = HTTP_BODY_LENGTH;
    head->content_length = n;
    return true;
}

/* True for a list that ends in chunked, says it nowhere else and has no empty element. */
static bool ends_in_chunked(struct tg_str list)
{
    struct tg_str coding;
    bool ended = false;
    while (next_element(&list, &coding)) {
        if (ended || coding.len == 0)
            return false;
        ended = SAME_WORD(coding, "chunked");
    }
    return ended;
}

/* A tab behind the value is legal, but there are parsers that then no longer see "chunked": we agree with
 * nobody. */
static bool tab_follows(const char *buf, struct http_span value)
{
    const char *p = buf + value.off + value.len;
    while (*p == ' ')
        p++;
    return *p == '\t';
}

static bool judge_transfer(const char *buf, const struct http_seen *seen, struct http_head *head,
                           struct http_refusal *why)
{
    struct tg_str list = http_header_str(buf, head, HTTP_H_TRANSFER_ENCODING);
    if (http_has_header(head, HTTP_H_CONTENT_LENGTH))
        return http_refuse(why, 400, "Content-Length beside Transfer-Encoding");
    if (head->minor == 0)
        return http_refuse(why, 400, "Transfer-Encoding in HTTP/1.0");
    if (seen->repeated >> HTTP_H_TRANSFER_ENCODING & 1)
        return http_refuse(why, 400, "more than one Transfer-Encoding");
    if (tab_follows(buf, head->header[HTTP_H_TRANSFER_ENCODING]))
        return http_refuse(why, 400, "tab behind Transfer-Encoding");
    if (!ends_in_chunked(list))
        return http_refuse(why, 400, "Transfer-Encoding is not one final chunked");
    if (!SAME_WORD(list, "chunked"))
        return http_refuse(why, 501, "unknown transfer coding");
    head->body = HTTP_BODY_CHUNKED;
    return true;
}

static bool judge_framing(const char *buf, const struct http_seen *seen, struct http_head *head,
                          struct http_refusal *why)
{
    if (http_has_header(head, HTTP_H_TRANSFER_ENCODING))
        return judge_transfer(buf, seen, head, why);
    if (http_has_header(head, HTTP_H_CONTENT_LENGTH))
        return judge_length(buf, seen, head, why);
    return true;
}

/* HTTP/1.0 has no 100 (Continue), and without a body there is nothing to wait for. */
static bool wants_continue(const struct http_seen *seen, const struct http_head *head)
{
    bool body = head->body == HTTP_BODY_CHUNKED || head->content_length > 0;
    return seen->expects_continue && head->minor == 1 && body;
}

bool http_fields_judge(const char *buf, const struct http_seen *seen, struct http_head *head,
                       struct http_refusal *why)
{
    if (!judge_target(buf, seen, head, why) || !judge_host(buf, seen, head, why) ||
        !judge_framing(buf, seen, head, why))
        return false;
    if (seen->differing & one_value)
        return http_refuse(why, 400, "two values of a header that has one");
    if (seen->expects_other)
        return http_refuse(why, 417, "unknown expectation");
    head->repeated = seen->repeated;
    head->keep_alive = !seen->close && (head->minor == 1 || seen->keep_alive);
    head->expect_continue = wants_continue(seen, head);
    return true;
}

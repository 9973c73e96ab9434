/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events: golden texts, line breaks of every kind, bounds, and a reader that gets back what was written. */
#include "gateway/http/sse.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXT(s) ((struct tg_str){(s), strlen(s)})

/* Writes into memory of exactly its size, and shows that one byte less writes nothing. */
static void expect_event(struct http_sse_event e, const char *want)
{
    size_t len = strlen(want);
    for (size_t cap = 0; cap <= len; cap++) {
        char *memory = malloc(cap + 1);
        struct http_sse s;
        http_sse_init(&s, memory, cap);
        cr_assert_eq(http_sse_event(&s, &e), cap < len ? -ENOSPC : 0, "cap %zu", cap);
        cr_assert_eq(s.len, cap < len ? 0 : len, "cap %zu: %zu", cap, s.len);
        if (cap == len)
            cr_assert_eq(memcmp(memory, want, len), 0, "%.*s", (int)len, memory);
        free(memory);
    }
}

Test(sse, writes_data_alone)
{
    expect_event((struct http_sse_event){.data = TEXT("{\"a\":1}")}, "data: {\"a\":1}\n\n");
}

Test(sse, writes_every_field)
{
    expect_event((struct http_sse_event){.event = TEXT("token"), .id = TEXT("17"), .data = TEXT("x"),
                                         .has_retry = true, .retry_ms = 4294967295u},
                 "event: token\nid: 17\nretry: 4294967295\ndata: x\n\n");
    expect_event((struct http_sse_event){.has_retry = true, .retry_ms = 0}, "retry: 0\n\n");
}

Test(sse, splits_data_at_every_kind_of_line_break)
{
    expect_event((struct http_sse_event){.data = TEXT("a\nb\rc\r\nd")}, "data: a\ndata: b\ndata: c\ndata: d\n\n");
    expect_event((struct http_sse_event){.data = TEXT("a\n\nb")}, "data: a\ndata: \ndata: b\n\n");
    expect_event((struct http_sse_event){.data = TEXT("\n\r")}, "data: \ndata: \ndata: \n\n");
    expect_event((struct http_sse_event){.data = TEXT("a\n")}, "data: a\ndata: \n\n");
}

Test(sse, tells_an_absent_field_from_an_empty_one)
{
    expect_event((struct http_sse_event){.id = TEXT(""), .data = TEXT("")}, "id: \ndata: \n\n");
    expect_event((struct http_sse_event){.event = {NULL, 0}}, "\n");
}

Test(sse, leading_space_and_colons_survive)
{
    expect_event((struct http_sse_event){.data = TEXT(" a: b")}, "data:  a: b\n\n");
}

Test(sse, nobody_slips_a_field_into_another)
{
    char memory[100];
    struct http_sse s;
    http_sse_init(&s, memory, sizeof(memory));
    static const char *const broken[] = {"a\nb", "a\rdata: x", "\n"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(broken); i++) {
        cr_assert_eq(http_sse_event(&s, &(struct http_sse_event){.event = TEXT(broken[i])}), -EINVAL);
        cr_assert_eq(http_sse_event(&s, &(struct http_sse_event){.id = TEXT(broken[i])}), -EINVAL);
    }
    cr_assert_eq(http_sse_event(&s, &(struct http_sse_event){.id = {"a\0b", 3}}), -EINVAL);
    cr_assert_eq(s.len, 0);
}

Test(sse, comments_are_split_too)
{
    char memory[64];
    struct http_sse s;
    http_sse_init(&s, memory, sizeof(memory));
    cr_assert_eq(http_sse_comment(&s, TEXT("still here\ndata: no")), 0);
    cr_assert_eq(memcmp(memory, ": still here\n: data: no\n\n", s.len), 0);
    cr_assert_eq(s.len, 25);
    s.cap = s.len + 4;
    cr_assert_eq(http_sse_comment(&s, TEXT("a")), -ENOSPC);
    cr_assert_eq(s.len, 25, "what was there stays");
}

/* A client's side, as the standard words it: lines, then fields, joined by line feeds. */
static size_t read_data(const char *text, size_t len, char *out)
{
    size_t n = 0, at = 0;
    while (at < len) {
        size_t end = at + (size_t)((const char *)memchr(text + at, '\n', len - at) - (text + at));
        if (end - at >= 6 && memcmp(text + at, "data: ", 6) == 0) {
            memcpy(out + n, text + at + 6, end - at - 6);
            n += end - at - 6;
            out[n++] = '\n';
        }
        at = end + 1;
    }
    return n > 0 ? n - 1 : 0;
}

Test(sse, a_reader_gets_back_what_was_written)
{
    static const char alphabet[] = "ab:\n \r";
    char data[6], memory[128], back[128], want[16];
    for (uint32_t code = 0; code < 6 * 6 * 6 * 6 * 6; code++) {
        uint32_t c = code;
        for (size_t i = 0; i < 5; i++, c /= 6)
            data[i] = alphabet[c % 6];
        struct http_sse s;
        http_sse_init(&s, memory, sizeof(memory));
        cr_assert_eq(http_sse_event(&s, &(struct http_sse_event){.data = {data, 5}}), 0);
        size_t n = 0;
        for (size_t i = 0; i < 5; i++) {
            want[n++] = data[i] == '\r' ? '\n' : data[i];
            i += data[i] == '\r' && i < 4 && data[i + 1] == '\n';
        }
        cr_assert_eq(read_data(memory, s.len, back), n, "code %u", code);
        cr_assert_eq(memcmp(back, want, n), 0, "code %u", code);
        cr_assert_eq(memcmp(memory + s.len - 2, "\n\n", 2), 0);
    }
}

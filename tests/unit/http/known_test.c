/* SPDX-License-Identifier: Apache-2.0 */
/* A head that is told by its bytes is what the parser would have made of it, or is not told at all. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "gateway/http/known.h"

static const struct http_limits limits = {.head_bytes_max = 8192, .target_bytes_max = 1024, .headers_max = 64};

static const char usual[] = "POST /v1/task HTTP/1.1\r\nHost: 127.0.0.1:9484\r\nContent-Type: application/json\r\n"
                            "Content-Length: 188\r\nUser-Agent: x\r\n\r\n";

static int parse(const char *text, size_t len, struct http_head *head)
{
    struct http_refusal why;
    size_t scanned = 0;
    return http_parse_head(text, len, &scanned, &limits, head, &why);
}

/* Parsed, and offered to be remembered. */
static struct http_known keep(const char *text)
{
    struct http_known k = {0};
    struct http_head head;
    int n = parse(text, strlen(text), &head);
    cr_assert_eq(n, (int)strlen(text));
    http_known_keep(&k, text, (size_t)n, &limits, &head);
    return k;
}

/* Field by field: between them lies what nobody wrote. */
static bool same_head(const struct http_head *a, const struct http_head *b)
{
    return a->method == b->method && a->body == b->body && a->minor == b->minor && a->keep_alive == b->keep_alive &&
           a->expect_continue == b->expect_continue && a->content_length == b->content_length &&
           a->present == b->present && a->repeated == b->repeated &&
           memcmp(&a->target, &b->target, sizeof(a->target)) == 0 && memcmp(&a->path, &b->path, sizeof(a->path)) == 0 &&
           memcmp(&a->query, &b->query, sizeof(a->query)) == 0 &&
           memcmp(a->header, b->header, sizeof(a->header)) == 0;
}

Test(http_known, the_same_bytes_are_known_whatever_follows)
{
    struct http_known k = keep(usual);
    char text[sizeof(usual) + 20];
    size_t len = (size_t)snprintf(text, sizeof(text), "%s{\"a\":1}", usual);
    struct http_head parsed;
    const struct http_head *known = http_known_find(&k, text, len, &limits);
    cr_assert_not_null(known);
    cr_assert_eq(parse(text, len, &parsed), (int)k.len);
    cr_expect(same_head(known, &parsed));
}

Test(http_known, nothing_is_known_at_first_and_nothing_shorter_is)
{
    struct http_known none = {0}, k = keep(usual);
    cr_expect_null(http_known_find(&none, usual, strlen(usual), &limits));
    for (size_t len = 0; len < strlen(usual); len++) {
        char *exact = malloc(len ? len : 1); /* the address sanitizer guards its end */
        memcpy(exact, usual, len);
        cr_expect_null(http_known_find(&k, exact, len, &limits));
        free(exact);
    }
}

Test(http_known, another_length_of_as_many_digits_is_read_anew)
{
    struct http_known k = keep(usual);
    char text[sizeof(usual)];
    char *digits = strstr(memcpy(text, usual, sizeof(usual)), "188");
    memcpy(digits, "907", 3);
    const struct http_head *known = http_known_find(&k, text, strlen(text), &limits);
    cr_assert_not_null(known);
    cr_expect_eq(known->content_length, 907);
    memcpy(digits, "1a7", 3);
    cr_expect_null(http_known_find(&k, text, strlen(text), &limits));
}

/* Each byte of a head in turn, by each other byte. */
Test(http_known, a_changed_head_is_never_taken_for_another)
{
    char text[sizeof(usual)];
    struct http_head parsed;
    struct http_known k = keep(usual);
    size_t found = 0;
    for (size_t at = 0; at < strlen(usual); at++)
        for (int c = 0; c < 256; c++) {
            memcpy(text, usual, sizeof(usual));
            text[at] = (char)c;
            const struct http_head *known = http_known_find(&k, text, strlen(text), &limits);
            if (!known)
                continue;
            found++;
            cr_assert_eq(parse(text, strlen(text), &parsed), (int)k.len);
            cr_assert(same_head(known, &parsed), "byte %zu as %d", at, c);
        }
    cr_expect_eq(found, strlen(usual) - 3 + 3 * 10); /* itself, and any digit for each of three */
}

Test(http_known, other_limits_make_it_unknown)
{
    struct http_known k = keep(usual);
    struct http_limits few = limits, shorter = limits, target = limits;
    few.headers_max = 3;
    shorter.head_bytes_max = 100;
    target.target_bytes_max = 4;
    cr_expect_not_null(http_known_find(&k, usual, strlen(usual), &limits));
    cr_expect_null(http_known_find(&k, usual, strlen(usual), &few));
    cr_expect_null(http_known_find(&k, usual, strlen(usual), &shorter));
    cr_expect_null(http_known_find(&k, usual, strlen(usual), &target));
}

Test(http_known, a_head_with_credentials_or_expectations_is_not_kept)
{
    static const char *const lines[] = {"Authorization: Bearer x", "X-IICP-Consumer-Token: x",
                                        "Expect: 100-continue"};
    for (size_t i = 0; i < TG_ARRAY_SIZE(lines); i++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n%s\r\n\r\n", lines[i]);
        struct http_known k = keep(text);
        cr_expect_null(http_known_find(&k, text, (size_t)len, &limits), "%s", lines[i]);
    }
}

Test(http_known, a_head_without_a_length_is_known_by_all_its_bytes)
{
    static const char get[] = "GET /iicp/health HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_known k = keep(get);
    const struct http_head *known = http_known_find(&k, get, strlen(get), &limits);
    cr_assert_not_null(known);
    cr_expect_eq(known->body, HTTP_BODY_NONE);
    cr_expect_eq(known->path.len, strlen("/iicp/health"));
}

Test(http_known, a_head_longer_than_the_room_is_not_kept)
{
    char text[HTTP_KNOWN_BYTES_MAX + 100];
    int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: %*s.\r\n\r\n", HTTP_KNOWN_BYTES_MAX, "");
    struct http_known k = keep(text);
    cr_expect_null(http_known_find(&k, text, (size_t)len, &limits));
}

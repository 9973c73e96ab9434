/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in every framing and every fragmentation. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "load/response.h"

#define PLAIN "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5\r\n\r\nhello"
#define CHUNKED                                                                                              \
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
#define EMPTY "HTTP/1.1 204 No Content\r\n\r\n"
#define INTERIM "HTTP/1.1 100 Continue\r\n\r\n"
#define REFUSED "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\ncontent-length:  2 \r\n\r\n{}"

static struct response r;
static struct response_memo memo;

static void start(void)
{
    memset(&r, 0, sizeof(r));
    memset(&memo, 0, sizeof(memo));
    r.keep_body = true;
}

static void finish(void)
{
    response_finish(&r);
}

TestSuite(response, .init = start, .fini = finish);

/* Feeds `piece` bytes at a time, each from memory of its own size so that a sanitizer sees reads beyond it. */
static int count_answers(const char *text, size_t len, size_t piece, uint16_t *last_status)
{
    enum response_result result = RESPONSE_MORE;
    int answers = 0;
    size_t used;

    for (size_t at = 0; at < len; at += piece) {
        size_t n = TG_MIN(piece, len - at), off = 0;
        char *own = malloc(n);

        memcpy(own, text + at, n);
        while (off < n && result != RESPONSE_BAD) {
            result = response_feed(&r, &memo, (struct tg_str){own + off, n - off}, &used);
            if (result == RESPONSE_DONE) {
                answers++;
                *last_status = r.head.status;
                off += used;
            } else {
                break;
            }
        }
        free(own);
        if (result == RESPONSE_BAD)
            return -1;
    }
    return answers;
}

static enum response_result feed(const char *text, size_t *used)
{
    return response_feed(&r, &memo, (struct tg_str){text, strlen(text)}, used);
}

static void expect_bad(const char *text)
{
    size_t used;

    start();
    cr_assert_eq(feed(text, &used), RESPONSE_BAD, "taken for good: %s", text);
    finish();
}

Test(response, a_plain_answer_is_read_whole_and_leaves_the_next_alone)
{
    size_t used;

    cr_assert_eq(feed(PLAIN REFUSED, &used), RESPONSE_DONE);
    cr_assert_eq(used, strlen(PLAIN));
    cr_assert_eq(r.head.status, 200);
    cr_assert(tg_str_eq(r.body, TG_STR("hello")));
    cr_assert_not(r.head.close);
}

Test(response, a_chunked_body_is_joined_and_its_trailers_belong_to_it)
{
    size_t used;

    cr_assert_eq(feed(CHUNKED PLAIN, &used), RESPONSE_DONE);
    cr_assert_eq(used, strlen(CHUNKED));
    cr_assert(tg_str_eq(r.body, TG_STR("hello")));
}

Test(response, any_fragmentation_gives_the_same_answers)
{
    static const char all[] = PLAIN CHUNKED EMPTY INTERIM PLAIN REFUSED PLAIN CHUNKED REFUSED;
    uint16_t status = 0;

    for (size_t piece = 1; piece < sizeof(all); piece++) {
        start();
        cr_assert_eq(count_answers(all, sizeof(all) - 1, piece, &status), 8, "pieces of %zu", piece);
        cr_assert_eq(status, 429);
        finish();
    }
}

Test(response, a_body_in_pieces_is_kept)
{
    size_t used;

    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", &used), RESPONSE_MORE);
    cr_assert_eq(feed("defghij", &used), RESPONSE_DONE);
    cr_assert(tg_str_eq(r.body, TG_STR("abcdefghij")));
}

Test(response, an_interim_answer_does_not_count)
{
    size_t used;

    cr_assert_eq(feed(INTERIM, &used), RESPONSE_MORE);
    cr_assert_eq(feed(PLAIN, &used), RESPONSE_DONE);
    cr_assert_eq(r.head.status, 200);
}

Test(response, a_repeated_head_is_recognised_only_if_it_is_the_same)
{
    size_t used;

    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", &used), RESPONSE_DONE);
    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nbc", &used), RESPONSE_DONE);
    cr_assert(tg_str_eq(r.body, TG_STR("bc")));
    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nde", &used), RESPONSE_DONE);
    cr_assert(tg_str_eq(r.body, TG_STR("de")));
    cr_assert_eq(feed("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nfg", &used), RESPONSE_DONE);
    cr_assert_eq(r.head.status, 500);
}

Test(response, the_answer_to_head_has_no_body)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    size_t used;

    r.head_only = true;
    cr_assert_eq(feed(head, &used), RESPONSE_DONE);
    cr_assert_eq(used, sizeof(head) - 1);
}

Test(response, without_a_length_the_close_ends_the_answer)
{
    size_t used;

    cr_assert_eq(feed("HTTP/1.1 200 OK\r\n\r\nhel", &used), RESPONSE_MORE);
    cr_assert_eq(feed("lo", &used), RESPONSE_MORE);
    cr_assert(response_ends_at_close(&r));
    cr_assert(tg_str_eq(r.body, TG_STR("hello")));
    cr_assert(r.head.close);
    cr_assert_not(response_ends_at_close(&r));
}

Test(response, close_is_announced_by_header_or_by_version)
{
    size_t used;

    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", &used), RESPONSE_DONE);
    cr_assert(r.head.close);
    cr_assert_eq(feed("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", &used), RESPONSE_DONE);
    cr_assert(r.head.close);
}

Test(response, what_is_not_http_is_refused)
{
    expect_bad("HTP/1.1 200 OK\r\n\r\n");
    expect_bad("HTTP/2.0 200 OK\r\n\r\n");
    expect_bad("HTTP/1.1 2x0 OK\r\n\r\n");
    expect_bad("HTTP/1.1 999 OK\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\nA: b\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nno colon\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1ffffffffffffffff\r\n");
}

Test(response, an_endless_head_is_refused_in_bounded_memory)
{
    enum response_result result = RESPONSE_MORE;
    char line[100];
    size_t used, fed = 0;

    memset(line, 'a', sizeof(line));
    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nX: ", &used), RESPONSE_MORE);
    while (result == RESPONSE_MORE && fed < 4 * RESPONSE_HEAD_MAX) {
        result = response_feed(&r, &memo, (struct tg_str){line, sizeof(line)}, &used);
        fed += sizeof(line);
    }
    cr_assert_eq(result, RESPONSE_BAD);
    cr_assert_leq(fed, RESPONSE_HEAD_MAX + sizeof(line));
}

Test(response, restart_forgets_a_half_read_answer)
{
    size_t used;

    cr_assert_eq(feed("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc", &used), RESPONSE_MORE);
    response_restart(&r);
    cr_assert_eq(feed(PLAIN, &used), RESPONSE_DONE);
    cr_assert(tg_str_eq(r.body, TG_STR("hello")));
}

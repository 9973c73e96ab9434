/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nanoseconds per request head, beside Debian's http_parser when the build found it (HAVE_HTTP_PARSER), and
 * per response head. Prints median and best of many short rounds, which take turns so that a noisy neighbour
 * hits everyone.
 */
#include "gateway/http/parse.h"
#include "gateway/http/respond.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef HAVE_HTTP_PARSER
#include "http_peer.h"
#endif

#define ROUNDS 1001
#define CALLS 2000

static const char browser_head[] =
    "GET /v1/models/digits?view=full HTTP/1.1\r\n"
    "Host: gpu-17.example.net:9484\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8\r\n"
    "Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n"
    "Accept-Encoding: gzip, deflate\r\n"
    "Referer: http://gpu-17.example.net:9484/\r\n"
    "Connection: keep-alive\r\n"
    "Cache-Control: max-age=0\r\n\r\n";

static const char curl_head[] = "POST /v1/task HTTP/1.1\r\n"
                                "Host: 127.0.0.1:9484\r\n"
                                "User-Agent: curl/7.88.1\r\n"
                                "Accept: */*\r\n"
                                "Content-Type: application/json\r\n"
                                "Content-Length: 188\r\n"
                                "traceparent: 00-0af7651916cd43dd-b7ad6b71-01\r\n\r\n";

struct row {
    const char *name;
    void (*call)(const char *head, size_t len);
    const char *head;
    size_t len;
    double ns[ROUNDS];
};

static void use(long value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

static void parse_ours(const char *head, size_t len)
{
    static const struct http_limits limits = {16384, 8192, 100};
    struct http_head parsed;
    struct http_refusal why;
    size_t scanned = 0;
    use(http_parse_head(head, len, &scanned, &limits, &parsed, &why) + (long)parsed.path.len);
}

static void write_ours(const char *head, size_t len)
{
    static char out[HTTP_HEAD_BYTES_MAX];
    struct http_response r = {.status = 200, .content_type = head, .content_length = len, .minor = 1};
    r.date = "Sun, 06 Nov 1994 08:49:37 GMT";
    use((long)http_write_head(out, sizeof(out), &r));
}

#ifdef HAVE_HTTP_PARSER
static void parse_peer(const char *head, size_t len)
{
    use((long)http_peer_parse(head, len));
}
#endif

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double time_round(const struct row *r)
{
    double start = now_ns();
    for (int i = 0; i < CALLS; i++)
        r->call(r->head, r->len);
    return (now_ns() - start) / CALLS;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(struct row *r)
{
    qsort(r->ns, ROUNDS, sizeof(r->ns[0]), by_value);
    printf("%-28s %6zu B  median %7.1f ns  best %7.1f ns\n", r->name, r->len, r->ns[ROUNDS / 2], r->ns[0]);
}

int main(void)
{
    static struct row rows[] = {
        {"browser head, taskgate", parse_ours, browser_head, sizeof(browser_head) - 1, {0}},
        {"curl head, taskgate", parse_ours, curl_head, sizeof(curl_head) - 1, {0}},
#ifdef HAVE_HTTP_PARSER
        {"browser head, http_parser", parse_peer, browser_head, sizeof(browser_head) - 1, {0}},
        {"curl head, http_parser", parse_peer, curl_head, sizeof(curl_head) - 1, {0}},
#endif
        {"response head, taskgate", write_ours, "application/json", 140, {0}},
    };
    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
            rows[i].ns[round] = time_round(&rows[i]);
    for (size_t i = 0; i < TG_ARRAY_SIZE(rows); i++)
        report(&rows[i]);
    return 0;
}

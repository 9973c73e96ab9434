/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds our parser against http_parser, on the fuzz corpus and on seeded mutations of it. What we accept it
 * must accept too and frame alike, byte for byte, or one program could be made to see a request the other
 * does not. We may refuse more than it does, for the reasons listed here and no others.
 *
 * Usage: http_differential CORPUS_FOLDER [ROUNDS [SEED]]
 */
#include "gateway/http/parse.h"
#include "http_peer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define INPUT_MAX 2048
#define SEEDS_MAX 512
#define CONTROL_BYTES 2 /* what http_fuzz.c reads before the request */

struct input {
    size_t len;
    char bytes[INPUT_MAX];
};

struct excuse {
    const char *text;
    unsigned long seen;
};

/* Refused by us, accepted by http_parser: each by the policy in docs/http.md. */
static struct excuse stricter[] = {
    {"bare CR", 0},                                  /* it takes some as line ends */
    {"control character or bare LF in a header", 0}, /* it ends lines at a bare LF */
    {"malformed version", 0},                        /* bare LF, or 1.10 and longer numbers */
    {"HTTP version not supported", 0},               /* it parses any */
    {"malformed request line", 0},                   /* several empty lines first, odd spaces */
    {"malformed target", 0},                         /* bytes above 0x7f, '#', several spaces */
    {"target is neither a path nor an http URI", 0}, /* it takes any scheme */
    {"invalid authority in target", 0},              /* it takes userinfo, any port number */
    {"target * is for OPTIONS only", 0},             /* it does not look */
    {"CONNECT without host and port", 0},            /* it wants a port, we check host characters */
    {"folded header line", 0},                       /* it unfolds */
    {"malformed header name", 0},                    /* it takes a space inside names, and folds */
    {"HTTP/1.1 without Host", 0},                    /* it does not look at Host */
    {"more than one Host", 0},
    {"invalid Host", 0},
    {"Transfer-Encoding in HTTP/1.0", 0},
    {"more than one Transfer-Encoding", 0},
    {"tab behind Transfer-Encoding", 0},               /* it then sees no chunked body */
    {"Transfer-Encoding is not one final chunked", 0}, /* it reads unknown codings as no body */
    {"unknown transfer coding", 0},
    {"two values of a header that has one", 0}, /* it looks at none of their values */
    {"unknown expectation", 0},
};

/* Accepted by us, refused by http_parser: none of these touches framing. */
static struct excuse wider[] = {
    {"HPE_INVALID_METHOD", 0},         /* it knows a fixed list; the router answers the rest */
    {"HPE_INVALID_CONTENT_LENGTH", 0}, /* it stops a little short of 2^64, and at a tab */
};

/*
 * Refused by http_parser inside a chunked body that we pass over: it reads trailers as if they were headers
 * of the request, we drop them, so they can say nothing wrong about framing.
 */
static struct excuse trailers[] = {
    {"HPE_INVALID_CONTENT_LENGTH", 0},
    {"HPE_UNEXPECTED_CONTENT_LENGTH", 0},
};

static unsigned long both_accept, both_refuse, both_wait, bodies_alike, bodies_stricter, namesakes;

static void fail(const char *what, const struct input *in)
{
    fprintf(stderr, "http_differential: %s, %zu bytes:\n", what, in->len);
    for (size_t i = 0; i < in->len; i++)
        fprintf(stderr, in->bytes[i] >= ' ' && in->bytes[i] < 0x7f ? "%c" : "\\x%02x", in->bytes[i] & 0xff);
    fputc('\n', stderr);
    exit(1);
}

static bool excused(struct excuse *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].text, text) == 0)
            return ++list[i].seen;
    return false;
}

/* ---- comparing -------------------------------------------------------------------------------------- */

static bool same_method(const struct http_head *h, const char *name)
{
    static const char *const names[HTTP_OTHER] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    for (int m = 0; m < HTTP_OTHER; m++)
        if (strcmp(names[m], name) == 0)
            return h->method == (enum http_method)m;
    return h->method == HTTP_OTHER;
}

static bool same_framing(const struct http_head *h, const struct peer_request *r)
{
    if (h->body == HTTP_BODY_CHUNKED)
        return r->chunked;
    if (h->body == HTTP_BODY_LENGTH)
        return !r->chunked && r->content_length == h->content_length;
    return !r->chunked && (r->content_length == UINT64_MAX || r->content_length == 0);
}

/*
 * http_parser 2.9.4 takes a header for Transfer-Encoding when its name merely begins so: it then forgets an
 * earlier "chunked", or refuses a Content-Length. Such a name is another header (RFC 9110 section 5.1): the
 * fault is its own.
 */
static bool has_longer_namesake(const struct input *in, size_t used)
{
    static const char name[] = "\nTransfer-Encoding";
    size_t len = sizeof(name) - 1;
    for (size_t i = 0; i + len < used; i++)
        if (strncasecmp(in->bytes + i, name, len) == 0 && in->bytes[i + len] != ':')
            return ++namesakes;
    return false;
}

static void compare_heads(const struct input *in, const struct http_head *h, size_t used,
                          const struct peer_request *r)
{
    if (r->head_bytes != used)
        fail("heads end at different places", in);
    if (!same_method(h, r->method) || h->minor != r->minor)
        fail("different method or version", in);
    if (r->target_len != h->target.len || memcmp(r->target, in->bytes + h->target.off, r->target_len) != 0)
        fail("different target", in);
    if (!same_framing(h, r) && !has_longer_namesake(in, used))
        fail("different framing", in);
}

/* A chunked body that we take in full must end at the same byte and give the same payload. */
static void compare_chunked(const struct input *in, size_t used, const struct peer_request *r)
{
    static char out[INPUT_MAX];
    struct http_chunked c = {0};
    size_t eaten, got;
    enum http_chunked_result result =
        http_chunked_decode(&c, in->bytes + used, in->len - used, &eaten, out, sizeof(out), &got);
    bodies_stricter += result == HTTP_CHUNKED_MALFORMED && r->error == NULL;
    if (result == HTTP_CHUNKED_MALFORMED)
        return;
    if (r->error != NULL && excused(trailers, TG_ARRAY_SIZE(trailers), r->error))
        return;
    if (r->error != NULL)
        fail("a chunked body that http_parser refuses", in);
    if ((result == HTTP_CHUNKED_DONE) != r->done || (r->done && r->bytes != used + eaten))
        fail("chunked bodies end at different places", in);
    if (got != r->body_len || memcmp(out, r->body, got) != 0)
        fail("different payload", in);
    bodies_alike++;
}

static void compare_accepted(const struct input *in, const struct http_head *h, size_t used,
                             const struct peer_request *r)
{
    if (!r->head_done) {
        bool known = r->error != NULL &&
                     (excused(wider, TG_ARRAY_SIZE(wider), r->error) || has_longer_namesake(in, used));
        if (!known)
            fail(r->error != NULL ? r->error : "we accept what http_parser waits for", in);
        return;
    }
    compare_heads(in, h, used, r);
    if (h->body == HTTP_BODY_CHUNKED && r->chunked && strcmp(r->method, "CONNECT") != 0)
        compare_chunked(in, used, r);
    both_accept++;
}

static void compare(const struct input *in)
{
    static const struct http_limits limits = {INPUT_MAX, 1024, 64};
    static struct peer_request r;
    struct http_head h;
    struct http_refusal why;
    size_t scanned = 0;
    int used = http_parse_head(in->bytes, in->len, &scanned, &limits, &h, &why);
    peer_parse(&r, in->bytes, in->len);
    if (used > 0)
        compare_accepted(in, &h, (size_t)used, &r);
    else if (used == 0 && r.head_done)
        fail("we wait for what http_parser accepts", in);
    else if (used < 0 && r.head_done && !excused(stricter, TG_ARRAY_SIZE(stricter), why.reason))
        fail(why.reason, in);
    both_wait += used == 0;
    both_refuse += used < 0 && !r.head_done;
}

/* ---- inputs ----------------------------------------------------------------------------------------- */

static struct input seeds[SEEDS_MAX];
static size_t seed_count;

static void load_seed(const char *folder, const char *name)
{
    char path[4096], control[CONTROL_BYTES];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        return;
    struct input *in = &seeds[seed_count];
    if (fread(control, 1, sizeof(control), f) == sizeof(control))
        in->len = fread(in->bytes, 1, INPUT_MAX, f);
    seed_count += in->len > 0;
    fclose(f);
}

/* In the order of their names, so that one seed means one run everywhere. */
static void load_seeds(const char *folder)
{
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.' && seed_count < SEEDS_MAX)
            load_seed(folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
}

static uint64_t random_state;

static size_t random_below(size_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

static const char *const snippets[] = {
    "\r\n",
    "\n",
    "\r",
    "\r\n ",
    ":",
    " :",
    ": ",
    " ",
    "\t",
    ",",
    ";",
    "0",
    "1",
    "f",
    "#",
    "?",
    "\x80",
    "\x7f",
    "Content-Length: 5\r\n",
    "Content-Length: 0\r\n",
    "Transfer-Encoding: chunked\r\n",
    "chunked",
    ", chunked",
    "Transfer-Encoding: gzip, chunked\r\n",
    "Connection: close\r\n",
    "Host: a\r\n",
    "Expect: 100-continue\r\n",
    "HTTP/1.0",
    "HTTP/1.1",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    ";a=b",
    "\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "Upgrade: x\r\n",
    "Connection: upgrade\r\n",
    "Content-Type: a/b\r\n",
    "Content-Type: c/d\r\n",
};

/* Puts @n bytes in place of @gone bytes at @at; a result that would not fit leaves the input alone. */
static void splice(struct input *in, size_t at, size_t gone, const char *bytes, size_t n)
{
    if (in->len - gone + n > INPUT_MAX)
        return;
    memmove(in->bytes + at + n, in->bytes + at + gone, in->len - at - gone);
    memcpy(in->bytes + at, bytes, n);
    in->len += n - gone;
}

static void mutate(struct input *in)
{
    size_t at = random_below(in->len + 1), left = in->len - at;
    const char *snippet = snippets[random_below(TG_ARRAY_SIZE(snippets))];
    const struct input *other = &seeds[random_below(seed_count)];
    char byte = (char)random_below(256);
    switch (random_below(5)) {
    case 0:
        splice(in, at, left > 0, &byte, 1);
        break;
    case 1:
        splice(in, at, random_below(TG_MIN(left, (size_t)8) + 1), "", 0);
        break;
    case 2:
        splice(in, at, left, other->bytes, other->len);
        break;
    default:
        splice(in, at, 0, snippet, strlen(snippet));
    }
}

static void run_mutations(unsigned long rounds)
{
    for (unsigned long i = 0; i < rounds; i++) {
        struct input in = seeds[random_below(seed_count)];
        for (size_t n = 1 + random_below(3); n > 0; n--)
            mutate(&in);
        compare(&in);
    }
}

static void report(const char *title, const struct excuse *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        printf("  %s: %-45s %lu\n", title, list[i].text, list[i].seen);
}

int main(int argc, char **argv)
{
    unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 200000;
    random_state = argc > 3 ? strtoull(argv[3], NULL, 10) : 20260911;
    if (argc < 2 || random_state == 0) {
        fprintf(stderr, "usage: http_differential CORPUS_FOLDER [ROUNDS [SEED]]\n");
        return 2;
    }
    load_seeds(argv[1]);
    if (seed_count == 0) {
        fprintf(stderr, "http_differential: no seeds in %s\n", argv[1]);
        return 1;
    }
    printf("%zu seeds, %lu mutations, seed %llu\n", seed_count, rounds, (unsigned long long)random_state);
    for (size_t i = 0; i < seed_count; i++)
        compare(&seeds[i]);
    run_mutations(rounds);
    printf("accepted by both %lu, refused by both %lu, waiting %lu, chunked bodies alike %lu, stricter %lu\n",
           both_accept, both_refuse, both_wait, bodies_alike, bodies_stricter);
    printf("  its own fault: a longer name taken for Transfer-Encoding, %lu\n", namesakes);
    report("stricter", stricter, TG_ARRAY_SIZE(stricter));
    report("trailer", trailers, TG_ARRAY_SIZE(trailers));
    report("wider", wider, TG_ARRAY_SIZE(wider));
    return 0;
}

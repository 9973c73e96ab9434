/* SPDX-License-Identifier: Apache-2.0 */
/* Options, listening and the least-work request handler of the ceiling servers. */
#include "ceil.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_TAIL                                                                                          \
    "\",\"status\":\"completed\",\"result\":{\"text\":\"ping 01234\"},\"metrics\":{\"queue_us\":3,\"run_us\":1}," \
    "\"node\":\"ceil\"}"
#define ANSWER_START "{\"task_id\":\""
#define ID_MAX 64

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "ceil: %s: %s\n", what, why);
    exit(2);
}

static long number(const char *flag, const char *text, long least, long most)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (end == text || *end || value < least || value > most)
        die(flag, "not a number in range");
    return value;
}

static void pin(int cpu)
{
    cpu_set_t set;

    if (cpu < 0)
        return;
    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set))
        die("--cpu", strerror(errno));
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

void ceil_parse_options(int argc, char **argv, struct ceil_options *o)
{
    static const struct option flags[] = {{"port", required_argument, NULL, 'p'},
                                          {"cpu", required_argument, NULL, 'c'},
                                          {"spin", no_argument, NULL, 's'},
                                          {0}};
    int pick;

    *o = (struct ceil_options){.port = 9490, .cpu = -1};
    while ((pick = getopt_long(argc, argv, "", flags, NULL)) != -1) {
        if (pick == 'p')
            o->port = (uint16_t)number("--port", optarg, 1, 65535);
        else if (pick == 'c')
            o->cpu = (int)number("--cpu", optarg, 0, CPU_SETSIZE - 1);
        else if (pick == 's')
            o->spin = true;
        else
            die("usage", "[--port N] [--cpu N] [--spin]");
    }
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();
    pin(o->cpu);
}

int ceil_listen(uint16_t port, bool nonblocking)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0), 0), one = 1;

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4096))
        die("listen", strerror(errno));
    return fd;
}

/* One pass over the lines of a head: looks only at those that can be Content-Length. Returns 0 without an end. */
static size_t scan_head(const char *in, size_t len, size_t *content)
{
    const char *p = in, *end = in + len, *nl;

    *content = 0;
    while ((nl = memchr(p, '\n', (size_t)(end - p))) != NULL) {
        if (nl - p <= 1)
            return (size_t)(nl + 1 - in);
        if ((*p | 0x20) == 'c' && nl - p > 16 && !strncasecmp(p, "content-length:", 15))
            *content = strtoul(p + 15, NULL, 10);
        p = nl + 1;
    }
    return 0;
}

/* Where the id stands does not change from one request to the next, so that place is tried first. */
static const char *find_id(const char *body, size_t len)
{
    static size_t hint;
    const char *hit;

    if (hint + 11 <= len && !memcmp(body + hint, "\"task_id\":\"", 11))
        return body + hint + 11;
    hit = memmem(body, len, "\"task_id\":\"", 11);
    if (!hit)
        return NULL;
    hint = (size_t)(hit - body);
    return hit + 11;
}

static size_t id_length(const char *id, const char *end)
{
    const char *quote = id ? memchr(id, '"', (size_t)(end - id)) : NULL;

    return quote && quote - id <= ID_MAX ? (size_t)(quote - id) : 0;
}

static char *put(char *out, const char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

/* Ids differ in length, and so does the head: it is made again only when that happens. */
static size_t write_answer(char *out, const char *id, size_t id_len)
{
    static char head[128];
    static size_t head_len, head_for = SIZE_MAX;
    char *p = out;

    if (id_len != head_for) {
        head_len = (size_t)snprintf(head, sizeof(head),
                                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                                    sizeof(ANSWER_START) - 1 + id_len + sizeof(ANSWER_TAIL) - 1);
        head_for = id_len;
    }
    p = put(p, head, head_len);
    p = put(p, ANSWER_START, sizeof(ANSWER_START) - 1);
    p = put(p, id, id_len);
    p = put(p, ANSWER_TAIL, sizeof(ANSWER_TAIL) - 1);
    return (size_t)(p - out);
}

size_t ceil_answer(const char *in, size_t len, char *out, size_t room, size_t *answered)
{
    size_t used = 0, wrote = 0, head, content, id_len;
    const char *id;

    while (used < len && room - wrote >= CEIL_ANSWER_MAX) {
        head = scan_head(in + used, len - used, &content);
        if (content > CEIL_BLOCK_BYTES || head + content > CEIL_BLOCK_BYTES)
            return SIZE_MAX;
        if (!head || len - used < head + content)
            break;
        id = find_id(in + used + head, content);
        id_len = id_length(id, in + used + head + content);
        wrote += write_answer(out + wrote, id_len ? id : "", id_len);
        used += head + content;
    }
    *answered = wrote;
    return used;
}

static struct ceil_block *free_blocks;

struct ceil_block *ceil_block_take(void)
{
    struct ceil_block *block = free_blocks;

    if (block)
        free_blocks = block->next;
    else if (!(block = malloc(sizeof(*block))))
        die("memory", strerror(ENOMEM));
    block->next = NULL;
    block->len = 0;
    return block;
}

void ceil_block_give(struct ceil_block *block)
{
    block->next = free_blocks;
    free_blocks = block;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* The command: flags, the listening socket, first faults, and waiting for the signal that ends it all. */
#include "devnet.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "handlers.h"
#include "serve.h"
#include "text.h"

enum { EXIT_STOPPED = 0, EXIT_NO_START = 1, EXIT_WRONG_USE = 2 };

#define BACKLOG 512
#define FAULTS_TEXT_MAX (64u << 10)

/* ---- the socket -----------------------------------------------------------------------------------------
 */

/* "127.0.0.1:9480" or "[::1]:9480", split in place. */
static bool split(char *text, char **host, char **port)
{
    char *colon = strrchr(text, ':');
    if (!colon || colon == text || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    *colon = '\0';
    *port = colon + 1;
    *host = text;
    if (text[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        *host = text + 1;
    }
    return atol(*port) <= 65535;
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
}

static int no_listen(const char *listen, const char *why)
{
    fprintf(stderr, "taskgate devnet: cannot listen on %s: %s\n", listen, why);
    return -1;
}

static int open_socket(const struct devnet_options *o, const struct addrinfo *a)
{
    int one = 1, fd;
    if (!o->allow_remote && !is_loopback(a->ai_addr))
        return no_listen(o->listen,
                         "not a loopback address (--allow-remote permits it; anybody could then register)");
    fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return no_listen(o->listen, strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    no_listen(o->listen, strerror(errno));
    close(fd);
    return -1;
}

static int open_listener(const struct devnet_options *o)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found;
    char text[128], *host, *port;
    if (strlen(o->listen) >= sizeof(text))
        return no_listen(o->listen, "the address is too long");
    memcpy(text, o->listen, strlen(o->listen) + 1);
    if (!split(text, &host, &port))
        return no_listen(o->listen, "ADDRESS:PORT is wanted");
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return no_listen(o->listen, "not a numeric address");
    int fd = open_socket(o, found);
    freeaddrinfo(found);
    return fd;
}

static void name_url(struct devnet *d, int fd)
{
    struct sockaddr_storage s;
    socklen_t len = sizeof(s);
    char host[PEER_MAX] = "", port[8] = "";
    getsockname(fd, (struct sockaddr *)&s, &len);
    getnameinfo((struct sockaddr *)&s, len, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    bool v6 = strchr(host, ':') != NULL;
    snprintf(d->url, sizeof(d->url), "http://%s%s%s:%s", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

/* ---- first faults ---------------------------------------------------------------------------------------
 */

static bool wrong_faults(const char *why, const char *detail)
{
    fprintf(stderr, "taskgate devnet: --faults: %s%s\n", why, detail);
    return false;
}

/* JSON begins with a bracket, a file's name hardly. The text is the caller's to free. */
static char *faults_text(const char *option)
{
    if (option[0] == '{' || option[0] == '[')
        return strdup(option);
    FILE *f = fopen(option, "re");
    char *text = f ? calloc(1, FAULTS_TEXT_MAX + 1) : NULL;
    if (text)
        text[fread(text, 1, FAULTS_TEXT_MAX, f)] = '\0';
    if (f)
        fclose(f);
    return text;
}

static bool apply_text(struct devnet *d, struct crypto *crypto, const char *text, struct tg_json_doc *doc)
{
    struct tg_json_error error;
    struct tg_str member;
    char detail[160];
    if (tg_json_parse(doc, text, strlen(text), &error) != 0) {
        snprintf(detail, sizeof(detail), " at byte %u: %s", error.offset, error.message);
        return wrong_faults("malformed JSON", detail);
    }
    const char *why = devnet_faults_apply(d, crypto, doc, &member);
    snprintf(detail, sizeof(detail), "\"%.*s\" %s", (int)TG_MIN(member.len, 64), member.ptr, why ? why : "");
    return !why || wrong_faults("", detail);
}

static bool first_faults(struct devnet *d, struct crypto *crypto)
{
    if (!d->options->faults[0])
        return true;
    char *text = faults_text(d->options->faults);
    if (!text)
        return wrong_faults("cannot read ", d->options->faults);
    struct tg_json_doc doc = {.capacity = (uint32_t)TG_JSON_NODES_MAX(strlen(text))};
    doc.nodes = calloc(doc.capacity, sizeof(*doc.nodes));
    bool good = doc.nodes && apply_text(d, crypto, text, &doc);
    free(doc.nodes);
    free(text);
    return good;
}

/* ---- serving --------------------------------------------------------------------------------------------
 */

static void wait_for_signal(const sigset_t *set)
{
    int number = 0;
    while (sigwait(set, &number) != 0)
        continue;
    log_info("devnet: stopping after signal %d", number);
}

static int serve(struct devnet *d, int fd, const sigset_t *set)
{
    struct serve_pool *pool = calloc(1, sizeof(*pool));
    int rc = pool ? serve_start(pool, d, fd) : -ENOMEM;
    if (rc) {
        log_error("devnet: cannot start its threads: %s", strerror(-rc));
        free(pool);
        return EXIT_NO_START;
    }
    printf("devnet listening on %s\n", d->url);
    fflush(stdout);
    wait_for_signal(set);
    serve_stop(pool);
    free(pool);
    return EXIT_STOPPED;
}

static int run(struct devnet *d, struct crypto *crypto, const sigset_t *set)
{
    if (!first_faults(d, crypto))
        return EXIT_WRONG_USE;
    int fd = open_listener(d->options);
    if (fd < 0)
        return EXIT_NO_START;
    name_url(d, fd);
    int code = serve(d, fd, set);
    close(fd);
    return code;
}

/* Threads inherit the mask: the signals are the main thread's to wait for. */
static void block_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    pthread_sigmask(SIG_BLOCK, set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int start(const struct devnet_options *o)
{
    sigset_t set;
    block_signals(&set);
    struct crypto *crypto = crypto_create();
    struct devnet *d = crypto ? devnet_create(o, crypto) : NULL;
    int code = EXIT_NO_START;
    if (d && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
        code = run(d, crypto, &set);
    else
        log_error("devnet: cannot start: out of memory, or a library lacks what is needed");
    devnet_destroy(d);
    crypto_destroy(crypto);
    curl_global_cleanup();
    return code;
}

int devnet_main(int argc, char **argv)
{
    struct devnet_options o;
    if (!devnet_options_read(&o, argc, argv))
        return EXIT_WRONG_USE;
    if (o.help) {
        devnet_options_help();
        return EXIT_STOPPED;
    }
    return start(&o);
}

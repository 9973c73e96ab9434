/* SPDX-License-Identifier: Apache-2.0 */
/* The scripted server: a thread that accepts, and one for each connection. */
#include "client_server.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_MAX 65536

struct server {
    int fd;
    uint16_t port;
    SSL_CTX *tls;
    pthread_t thread;
    _Atomic bool ending;                        /* a flag, orders nothing */
    _Atomic uint32_t connections, requests, open; /* counters; `open` is waited for at the end */
    pthread_mutex_t lock;
    char redirect[256]; /* under the lock */
};

struct conn {
    struct server *server;
    int fd;
    SSL *ssl;
    char text[TEXT_MAX]; /* one request */
    size_t len;
};

/* ---- bytes ------------------------------------------------------------------------------------------------- */

static bool ending(const struct conn *c)
{
    return atomic_load_explicit(&c->server->ending, memory_order_relaxed);
}

static bool put(struct conn *c, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = c->ssl ? SSL_write(c->ssl, data, (int)len) : send(c->fd, data, len, MSG_NOSIGNAL);
        if (n <= 0 || ending(c))
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static bool say(struct conn *c, const char *text)
{
    return put(c, text, strlen(text));
}

/* Waits in short steps, so that the end of the server is noticed. */
static ssize_t take(struct conn *c, char *out, size_t cap)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    while (!(c->ssl && SSL_pending(c->ssl)) && poll(&p, 1, 20) == 0)
        if (ending(c))
            return 0;
    return c->ssl ? SSL_read(c->ssl, out, (int)cap) : recv(c->fd, out, cap, 0);
}

static size_t length_of(const char *head)
{
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, "content-length:", 15) == 0)
            return (size_t)strtoul(line + 17, NULL, 10);
    return 0;
}

/* A whole request, body and all, terminated. */
static bool read_request(struct conn *c)
{
    c->len = 0;
    for (;;) {
        ssize_t n = take(c, c->text + c->len, TEXT_MAX - 1 - c->len);
        if (n <= 0)
            return false;
        c->len += (size_t)n;
        c->text[c->len] = '\0';
        if (c->text[0] == 0x16) /* a TLS greeting */
            return say(c, "HTTP/1.1 400 Bad Request\r\n\r\n") && false;
        const char *end = strstr(c->text, "\r\n\r\n");
        if (end && c->len - (size_t)(end + 4 - c->text) >= length_of(c->text))
            return true;
    }
}

/* ---- behaviours --------------------------------------------------------------------------------------------- */

static bool answer(struct conn *c, const char *status, const char *headers, const char *body)
{
    char head[1024];
    snprintf(head, sizeof(head), "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", status, headers, strlen(body));
    bool head_only = strncmp(c->text, "HEAD ", 5) == 0;
    return say(c, head) && (head_only || say(c, body));
}

static bool big(struct conn *c)
{
    static char block[65536];
    memset(block, 'x', sizeof(block));
    bool ok = say(c, "HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n");
    for (int i = 0; ok && i < 160; i++)
        ok = put(c, block, sizeof(block));
    return ok;
}

/* A byte now and then, for ever. */
static bool drip(struct conn *c)
{
    bool ok = say(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
    while (ok && !ending(c)) {
        usleep(10000);
        ok = say(c, "x");
    }
    return false;
}

static bool endless_head(struct conn *c)
{
    bool ok = say(c, "HTTP/1.1 200 OK\r\n");
    while (ok && !ending(c))
        ok = say(c, "X-More: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n");
    return false;
}

static bool hang(struct conn *c)
{
    while (!ending(c) && take(c, c->text, 1) > 0)
        continue;
    return false;
}

static bool elsewhere(struct conn *c, const char *status)
{
    char header[320];
    pthread_mutex_lock(&c->server->lock);
    snprintf(header, sizeof(header), "Location: %s\r\n", c->server->redirect);
    pthread_mutex_unlock(&c->server->lock);
    return answer(c, status, header, "<html>moved</html>");
}

static bool is(const struct conn *c, const char *path)
{
    const char *at = strchr(c->text, ' ');
    size_t len = strlen(path);
    return at && strncmp(at + 1, path, len) == 0 && at[1 + len] == ' ';
}

static bool serve(struct conn *c)
{
    if (is(c, "/ok"))
        return answer(c, "200 OK", "Content-Type: application/json\r\n", "{\"ok\":true}");
    if (is(c, "/echo")) {
        char copy[TEXT_MAX];
        memcpy(copy, c->text, c->len + 1);
        return answer(c, "200 OK", "Content-Type: text/plain\r\n", copy);
    }
    if (is(c, "/busy"))
        return answer(c, "429 Too Many Requests", "Retry-After: 17\r\n", "{}");
    if (is(c, "/html"))
        return answer(c, "200 OK", "Content-Type: text/html\r\n", "<html>login</html>");
    if (is(c, "/big"))
        return big(c);
    if (is(c, "/drip"))
        return drip(c);
    if (is(c, "/head"))
        return endless_head(c);
    if (is(c, "/hang"))
        return hang(c);
    if (is(c, "/same"))
        return answer(c, "307 Temporary Redirect", "Location: /echo\r\n", "");
    if (is(c, "/loop"))
        return answer(c, "308 Permanent Redirect", "Location: /loop\r\n", "");
    if (is(c, "/elsewhere"))
        return elsewhere(c, "307 Temporary Redirect");
    if (is(c, "/found"))
        return answer(c, "302 Found", "Location: /ok\r\n", "");
    if (is(c, "/cut"))
        return say(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") && false;
    if (is(c, "/noise"))
        return say(c, "\x01\x02\x03 this is no HTTP\r\n\r\n") && false;
    return answer(c, "404 Not Found", "", "{}");
}

/* ---- threads ------------------------------------------------------------------------------------------------ */

static void *conn_main(void *argument)
{
    struct conn *c = argument;
    bool ok = !c->ssl || SSL_accept(c->ssl) == 1;
    while (ok && read_request(c)) {
        atomic_fetch_add_explicit(&c->server->requests, 1, memory_order_relaxed);
        ok = serve(c);
    }
    SSL_free(c->ssl);
    close(c->fd);
    atomic_fetch_sub_explicit(&c->server->open, 1, memory_order_release); /* pairs with server_stop() */
    free(c);
    return NULL;
}

static void accept_one(struct server *s)
{
    int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    struct conn *c = fd >= 0 ? calloc(1, sizeof(*c)) : NULL;
    pthread_t thread;
    if (!c)
        return;
    *c = (struct conn){.server = s, .fd = fd};
    if (s->tls) {
        c->ssl = SSL_new(s->tls);
        SSL_set_fd(c->ssl, fd);
    }
    atomic_fetch_add_explicit(&s->connections, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->open, 1, memory_order_relaxed);
    pthread_create(&thread, NULL, conn_main, c);
    pthread_detach(thread);
}

static void *server_main(void *argument)
{
    struct server *s = argument;
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    while (!atomic_load_explicit(&s->ending, memory_order_relaxed))
        if (poll(&p, 1, 20) == 1)
            accept_one(s);
    return NULL;
}

static SSL_CTX *self_signed(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"nobody", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    SSL_CTX_use_certificate(tls, x);
    SSL_CTX_use_PrivateKey(tls, key);
    X509_free(x);
    EVP_PKEY_free(key);
    return tls;
}

struct server *server_start(bool tls)
{
    struct server *s = calloc(1, sizeof(*s));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    pthread_mutex_init(&s->lock, NULL);
    s->tls = tls ? self_signed() : NULL;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(s->fd, (struct sockaddr *)&a, len) < 0 || listen(s->fd, 128) < 0 ||
        getsockname(s->fd, (struct sockaddr *)&a, &len) < 0 || pthread_create(&s->thread, NULL, server_main, s) != 0)
        abort();
    s->port = ntohs(a.sin_port);
    return s;
}

void server_stop(struct server *s)
{
    atomic_store_explicit(&s->ending, true, memory_order_relaxed);
    pthread_join(s->thread, NULL);
    while (atomic_load_explicit(&s->open, memory_order_acquire) > 0)
        usleep(1000);
    close(s->fd);
    SSL_CTX_free(s->tls);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

uint16_t server_port(const struct server *s)
{
    return s->port;
}

uint32_t server_connections(const struct server *s)
{
    return atomic_load_explicit(&s->connections, memory_order_relaxed);
}

uint32_t server_requests(const struct server *s)
{
    return atomic_load_explicit(&s->requests, memory_order_relaxed);
}

void server_redirect_to(struct server *s, const char *url)
{
    pthread_mutex_lock(&s->lock);
    snprintf(s->redirect, sizeof(s->redirect), "%s", url);
    pthread_mutex_unlock(&s->lock);
}

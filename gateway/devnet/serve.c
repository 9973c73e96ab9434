/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of threads, the life of a connection, and the faults that befall its answers. */
#include "serve.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "handlers.h"
#include "text.h"
#include "wire.h"

#define OUT_BYTES (4u << 20)
#define IDLE_MS 10000
#define IDLE_CROWDED_MS 200 /* so that no few idle connections keep all threads to themselves */
#define CROWDED (SERVE_THREADS * 3 / 4)

/* What a thread has for itself. */
struct server {
    struct devnet *d;
    struct crypto *crypto;
    struct wire wire;
    struct tg_json_node *nodes;
    char *out;
    char peer[PEER_MAX];
};

/* ---- answers --------------------------------------------------------------------------------------------
 */

struct answer {
    bool close, head_only;
    uint8_t minor;
    size_t padding; /* of a large body: so many more bytes between the two parts of x->w */
};

static bool send_padding(struct wire *c, size_t n)
{
    char piece[16 << 10];
    memset(piece, 'x', sizeof(piece));
    for (; n > 0; n -= TG_MIN(n, sizeof(piece)))
        if (!wire_send(c, (struct tg_str){piece, TG_MIN(n, sizeof(piece))}))
            return false;
    return true;
}

/* A JSON string is opened, filled, and closed. */
static bool send_large(struct wire *c, size_t padding)
{
    return wire_send(c, TG_STR("\"")) && send_padding(c, padding) && wire_send(c, TG_STR("\""));
}

static bool send_answer(struct server *s, struct exchange *x, const struct answer *a)
{
    char date[HTTP_DATE_BYTES + 1];
    exchange_lock(x);
    http_format_date(date, devnet_now(x->d));
    exchange_unlock(x);
    const struct http_response r = {
        .status = x->status,
        .minor = a->minor,
        .close = a->close,
        .content_type = x->status == 204 ? NULL : x->content_type,
        .content_length = a->padding ? a->padding + 2 : x->w.len,
        .date = date,
        .allow = x->allow,
        .retry_after_s = x->retry_after_s,
        .max_age_s = x->status == 204 ? 86400 : 0,
    };
    if (!wire_send_head(&s->wire, &r, x->location))
        return false;
    if (a->head_only || x->status == 204)
        return true;
    return a->padding ? send_large(&s->wire, a->padding)
                      : wire_send(&s->wire, (struct tg_str){x->w.buf, x->w.len});
}

/* ---- faults ---------------------------------------------------------------------------------------------
 */

static void answer_text(struct exchange *x, const char *content_type, struct tg_str text)
{
    exchange_begin(x, 200);
    x->content_type = content_type;
    x->w.len = 0;
    tg_json_write_verbatim(&x->w, text);
}

static void answer_status(struct exchange *x, const struct fault *f)
{
    bool again = f->status == 429 || f->status == 503;
    exchange_error(x, (uint16_t)f->status,
                   f->status == 401   ? "unauthorized"
                   : f->status == 429 ? "rate_limited"
                                      : "fault",
                   "this answer was asked for at /devnet/faults");
    x->retry_after_s = f->retry_after_s ? f->retry_after_s : again;
}

/* True if the answer is made up here, and nothing is done of what was asked. */
static bool answer_wrongly(struct exchange *x, const struct fault *f, struct answer *a)
{
    if (f->status) {
        answer_status(x, f);
    } else if (f->redirect[0]) {
        exchange_error(x, 307, "redirect", "this answer was asked for at /devnet/faults");
        memcpy(x->location, f->redirect, sizeof(x->location));
    } else if (f->html) {
        answer_text(x, "text/html; charset=utf-8",
                    TG_STR("<!doctype html><title>Down</title><h1>Back soon</h1>\n"));
    } else if (f->garbage) {
        answer_text(x, "application/json", TG_STR("{\"ok\":tru\x01\xff\xfe}}]\"\x80"));
    } else if (f->body_bytes) {
        answer_text(x, "application/json", TG_STR(""));
        a->padding = f->body_bytes - 2;
        if (a->padding == 0)
            tg_json_write_verbatim(&x->w, TG_STR("\"\""));
    } else {
        return false;
    }
    return true;
}

/* ---- one request ----------------------------------------------------------------------------------------
 */

static struct tg_str method_text(const char *bytes)
{
    return (struct tg_str){bytes, strcspn(bytes, " ")};
}

/* Both with and without the prefix that the live directory has; once, so that doubling it is found out. */
static struct tg_str without_prefix(struct tg_str path)
{
    static const char prefix[] = "/api/v1/";
    if (path.len < sizeof(prefix) - 1 || memcmp(path.ptr, prefix, sizeof(prefix) - 1) != 0)
        return path;
    return (struct tg_str){path.ptr + 4, path.len - 4};
}

static void prepare(struct server *s, struct exchange *x, const struct http_head *head, struct tg_str body)
{
    const char *bytes = s->wire.in;
    size_t skip = bytes[0] == '\r' ? 2 : 0; /* an empty line before the request */
    *x = (struct exchange){
        .d = s->d, .crypto = s->crypto, .peer = s->peer, .head = head, .bytes = bytes, .body = body};
    x->method = method_text(bytes + skip);
    x->path = without_prefix(http_span_str(bytes, head->path));
    x->query = http_span_str(bytes, head->query);
    x->doc = (struct tg_json_doc){.nodes = s->nodes, .capacity = TG_JSON_NODES_MAX(WIRE_BODY_MAX)};
    tg_json_writer_init(&x->w, s->out, OUT_BYTES);
}

static bool take_fault(struct exchange *x, struct fault *f)
{
    exchange_lock(x);
    x->d->requests++;
    bool taken = !devnet_route_is_control(x->path) && faults_take(&x->d->faults, x->method, x->path, f);
    exchange_unlock(x);
    return taken;
}

static void note(struct exchange *x, bool answered, bool fault, uint64_t begin_ns)
{
    exchange_lock(x);
    x->d->failures += x->status >= 400;
    exchange_unlock(x);
    log_info("%.*s %.*s %s%u %zu bytes %.1f ms%s%s%s", TG_STR_ARG(x->method), TG_STR_ARG(x->path),
             answered ? "" : "no answer, not ", x->status, x->w.len,
             (double)(clock_now_ns() - begin_ns) / NS_PER_MS, fault ? " fault" : "",
             x->node[0] ? " node " : "", x->node);
}

/* What does not fit the buffer is an error, not half an answer. */
static void check_overflow(struct exchange *x)
{
    if (x->w.overflow)
        exchange_error(x, 500, "internal_error", "the answer is too large");
}

/* False: the connection ends. */
static bool respond(struct server *s, struct exchange *x, const struct fault *f, struct answer *a)
{
    if ((f->delay_ms && !devnet_sleep(s->d, f->delay_ms)) || f->drop)
        return false;
    if (!answer_wrongly(x, f, a))
        devnet_route(x);
    check_overflow(x);
    s->wire.drip_ms = f->drip_ms;
    bool sent = !f->lose_reply && send_answer(s, x, a);
    s->wire.drip_ms = 0;
    return sent;
}

static bool serve_request(struct server *s, const struct http_head *head, struct tg_str body, bool crowded)
{
    uint64_t begin_ns = clock_now_ns();
    struct exchange x;
    struct fault f = {0};
    struct answer a = {!head->keep_alive || crowded, head->method == HTTP_HEAD, head->minor, 0};
    prepare(s, &x, head, body);
    bool fault = take_fault(&x, &f);
    bool sent = respond(s, &x, &f, &a);
    note(&x, sent, fault, begin_ns);
    return sent && !a.close;
}

static void refuse_request(struct server *s, const struct http_refusal *why)
{
    struct http_head none = {.method = HTTP_OTHER};
    struct exchange x;
    struct answer a = {.close = true, .minor = 1};
    s->wire.in[0] = '\0';
    prepare(s, &x, &none, TG_STR(""));
    exchange_error(&x, why->status, "bad_request", why->reason);
    send_answer(s, &x, &a);
    log_warn("refused a request: %u %s", why->status, why->reason);
}

/* ---- a connection ---------------------------------------------------------------------------------------
 */

static bool crowd_changed(struct devnet *d, int by)
{
    pthread_mutex_lock(&d->lock);
    d->connections += (uint32_t)by;
    bool crowded = d->connections > CROWDED;
    pthread_mutex_unlock(&d->lock);
    return crowded;
}

static bool serve_next(struct server *s)
{
    struct http_head head;
    struct http_refusal why;
    struct tg_str body;
    size_t used;
    bool crowded = crowd_changed(s->d, 0);
    s->wire.patience_ms = crowded ? IDLE_CROWDED_MS : IDLE_MS;
    enum wire_result rc = wire_read(&s->wire, &head, &body, &used, &why);
    if (rc == WIRE_REFUSED)
        refuse_request(s, &why);
    if (rc != WIRE_OK || !serve_request(s, &head, body, crowded))
        return false;
    wire_consume(&s->wire, used);
    return true;
}

/* A last answer must not be lost to the reset that unread input would cause. */
static void linger(struct server *s)
{
    char rest[4096];
    struct timeval patience = {.tv_usec = 200000};
    shutdown(s->wire.fd, SHUT_WR);
    setsockopt(s->wire.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    for (int i = 0; i < 64 && recv(s->wire.fd, rest, sizeof(rest), 0) > 0; i++)
        continue;
}

static void serve_connection(struct server *s, int fd)
{
    s->wire.fd = fd;
    s->wire.in_len = 0;
    s->wire.drip_ms = 0;
    crowd_changed(s->d, 1);
    while (serve_next(s))
        continue;
    linger(s);
    close(fd);
    crowd_changed(s->d, -1);
}

/* ---- threads --------------------------------------------------------------------------------------------
 */

static bool server_init(struct server *s, struct devnet *d)
{
    *s = (struct server){.d = d, .wire.d = d, .crypto = crypto_create(), .out = malloc(OUT_BYTES)};
    s->wire.in = malloc(WIRE_IN_BYTES + 1);
    s->nodes = malloc(TG_JSON_NODES_MAX(WIRE_BODY_MAX) * sizeof(*s->nodes));
    return s->crypto && s->out && s->wire.in && s->nodes;
}

static void server_finish(struct server *s)
{
    crypto_destroy(s->crypto);
    free(s->out);
    free(s->wire.in);
    free(s->nodes);
}

static void name_peer(struct server *s, const struct sockaddr_storage *from, socklen_t len)
{
    if (getnameinfo((const struct sockaddr *)from, len, s->peer, sizeof(s->peer), NULL, 0, NI_NUMERICHOST) !=
        0)
        snprintf(s->peer, sizeof(s->peer), "unknown");
}

static bool accept_again(const struct devnet *d)
{
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        return devnet_sleep(d, 50);
    return errno == EINTR || errno == ECONNABORTED || errno == EPROTO;
}

/* Ends when the listening socket is shut down. */
static void *serve_thread(void *context)
{
    struct serve_pool *p = context;
    struct sockaddr_storage from;
    struct server s;
    bool good = server_init(&s, p->d);
    while (good) {
        socklen_t len = sizeof(from);
        int fd = accept4(p->listen_fd, (struct sockaddr *)&from, &len, SOCK_CLOEXEC);
        if (fd < 0 && !accept_again(p->d))
            break;
        if (fd < 0)
            continue;
        name_peer(&s, &from, len);
        serve_connection(&s, fd);
    }
    if (!good)
        log_error("devnet: a thread could not be set up: out of memory");
    server_finish(&s);
    return NULL;
}

int serve_start(struct serve_pool *p, struct devnet *d, int listen_fd)
{
    int rc = 0;
    *p = (struct serve_pool){.d = d, .listen_fd = listen_fd};
    while (p->count < SERVE_THREADS && rc == 0) {
        rc = pthread_create(&p->threads[p->count], NULL, serve_thread, p);
        p->count += rc == 0;
    }
    return p->count ? 0 : -rc;
}

void serve_stop(struct serve_pool *p)
{
    uint64_t one = 1;
    if (write(p->d->stop_fd, &one, sizeof(one)) < 0)
        log_error("devnet: cannot tell its threads to stop: %s", strerror(errno));
    shutdown(p->listen_fd, SHUT_RDWR);
    for (uint32_t i = 0; i < p->count; i++)
        pthread_join(p->threads[i], NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* A transfer in libcurl's hands: its options, its callbacks, and what its end means. */
#include "client_transfer.h"

#include <errno.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define HEAD_BYTES_MAX (64u << 10) /* of a response, interim ones included */
#define FIRST_ROOM 4096

/* ---- memory ---------------------------------------------------------------------------------------------- */

/* Headers carry tokens: nothing of them stays behind in freed memory. */
static void wipe(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
}

static void wipe_headers(struct curl_slist *list)
{
    for (struct curl_slist *i = list; i; i = i->next)
        wipe(i->data);
    curl_slist_free_all(list);
}

static bool add_header(struct transfer *t, const char *line)
{
    struct curl_slist *longer = curl_slist_append(t->headers, line);
    if (longer)
        t->headers = longer;
    return longer != NULL;
}

/* libcurl's own ideas ("Expect: 100-continue", a form's content type) are taken back unless the caller had them. */
static bool copy_headers(struct transfer *t, const struct client_request *rq)
{
    bool typed = false, ok = add_header(t, "Expect:");
    for (uint32_t i = 0; ok && rq->headers && rq->headers[i]; i++) {
        typed = typed || strncasecmp(rq->headers[i], "Content-Type:", 13) == 0;
        ok = add_header(t, rq->headers[i]);
    }
    return ok && (typed || add_header(t, "Content-Type:"));
}

static bool copy_body(struct transfer *t, struct tg_str body)
{
    if (!body.ptr)
        return true;
    t->body = malloc(body.len + 1);
    if (!t->body)
        return false;
    memcpy(t->body, body.ptr, body.len);
    t->body_bytes = body.len;
    return true;
}

struct transfer *transfer_create(const struct client_request *rq)
{
    struct transfer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    snprintf(t->method, sizeof(t->method), "%s", rq->method);
    t->body_bytes_max = rq->body_bytes_max;
    t->reach = rq->reach;
    t->redirects_left = rq->redirects_max;
    t->url = strdup(rq->url);
    if (t->url && copy_body(t, rq->body) && copy_headers(t, rq))
        return t;
    transfer_destroy(t);
    return NULL;
}

void transfer_destroy(struct transfer *t)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->pinned);
    wipe_headers(t->headers);
    if (t->body)
        explicit_bzero(t->body, t->body_bytes);
    if (t->data)
        explicit_bzero(t->data, t->data_bytes); /* answers carry tokens too */
    free(t->body);
    free(t->data);
    free(t->head);
    free(t->url);
    free(t);
}

/* ---- callbacks ------------------------------------------------------------------------------------------- */

static bool make_room(struct transfer *t, size_t wanted)
{
    size_t room = TG_MAX(t->data_room, (size_t)FIRST_ROOM);
    while (room < wanted)
        room *= 2;
    if (room == t->data_room)
        return true;
    char *larger = realloc(t->data, room);
    if (!larger)
        return false;
    t->data = larger;
    t->data_room = room;
    return true;
}

static size_t on_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    size_t n = size * count;
    if (n > t->body_bytes_max - t->data_bytes) {
        t->too_big = true;
        return 0;
    }
    if (!make_room(t, t->data_bytes + n))
        return 0;
    memcpy(t->data + t->data_bytes, data, n);
    t->data_bytes += n;
    return n;
}

static size_t on_header(char *data, size_t size, size_t count, void *context)
{
    struct transfer *t = context;
    size_t len = size * count;
    if (len > 5 && memcmp(data, "HTTP/", 5) == 0)
        t->head_at = t->head_bytes; /* the one before was an interim response */
    if (!t->head)
        t->head = malloc(HEAD_BYTES_MAX);
    t->too_big = !t->head || len > HEAD_BYTES_MAX - t->head_bytes;
    if (t->too_big)
        return 0;
    memcpy(t->head + t->head_bytes, data, len);
    t->head_bytes += len;
    return len;
}

/* The last word on where a connection goes, whatever was resolved before. */
static curl_socket_t on_socket(void *context, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = context;
    struct sockaddr_storage s = {0};
    struct address address;
    (void)purpose;
    memcpy(&s, &a->addr, TG_MIN((size_t)a->addrlen, sizeof(s)));
    bool known = address_of_socket(&s, &address);
    if (t->reach == CLIENT_PUBLIC && (!known || !outbound_address_public(&address))) {
        t->not_public = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* A connection that is used again opens no socket: so once more, before anything is sent. */
static int before_request(void *context, char *peer, char *local, int peer_port, int local_port)
{
    struct transfer *t = context;
    struct tg_str text = {peer, peer ? strlen(peer) : 0};
    struct address address;
    (void)local, (void)peer_port, (void)local_port;
    if (t->reach != CLIENT_PUBLIC)
        return CURL_PREREQFUNC_OK;
    bool ipv6 = text.len > 0 && memchr(text.ptr, ':', text.len);
    if (address_parse(text, ipv6, &address) && outbound_address_public(&address))
        return CURL_PREREQFUNC_OK;
    t->not_public = true;
    return CURL_PREREQFUNC_ABORT;
}

/* ---- start ----------------------------------------------------------------------------------------------- */

/* libcurl's name for an address list: "+host:port:192.0.2.1,[2001:db8::1]", the plus for "may be forgotten again". */
static int pin_host(struct transfer *t, const struct resolve_answer *pin)
{
    char text[RESOLVE_HOST_MAX + 16 + RESOLVE_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3)], one[INET6_ADDRSTRLEN];
    int len = snprintf(text, sizeof(text), "+" TG_STR_FMT ":%u:", TG_STR_ARG(t->target.host), t->target.port);
    for (uint32_t i = 0; i < pin->count; i++) {
        bool ipv4 = address_is_ipv4(&pin->addresses[i]);
        inet_ntop(ipv4 ? AF_INET : AF_INET6, pin->addresses[i].bytes + (ipv4 ? 12 : 0), one, sizeof(one));
        len += snprintf(text + len, sizeof(text) - (size_t)len, ipv4 ? "%s%s" : "%s[%s]", i ? "," : "", one);
    }
    t->pinned = curl_slist_append(NULL, text);
    return t->pinned ? 0 : -ENOMEM;
}

static bool variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0];
}

bool transfer_by_proxy(const struct transfer *t)
{
    if (t->reach == CLIENT_PUBLIC || outbound_host_private(t->target.host))
        return false;
    return variable("all_proxy") || variable("ALL_PROXY") ||
           (t->target.https ? variable("https_proxy") || variable("HTTPS_PROXY") : variable("http_proxy"));
}

#define SET(option, ...) (ok = ok && curl_easy_setopt(e, option, __VA_ARGS__) == CURLE_OK)

static bool set_method(CURL *e, const struct transfer *t)
{
    bool ok = true;
    if (strcmp(t->method, "HEAD") == 0)
        return SET(CURLOPT_NOBODY, 1L);
    if (t->body || strcmp(t->method, "POST") == 0 || strcmp(t->method, "PUT") == 0) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->body_bytes);
        SET(CURLOPT_POSTFIELDS, t->body ? t->body : "");
    }
    return SET(CURLOPT_CUSTOMREQUEST, t->method);
}

/* What never differs: no signals, no other protocols, no redirects but ours, certificates looked at. */
static bool set_rules(CURL *e)
{
    bool ok = true;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    return ok;
}

static bool set_callbacks(CURL *e, struct transfer *t)
{
    bool ok = true;
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_PREREQFUNCTION, before_request);
    SET(CURLOPT_PREREQDATA, t);
    return ok;
}

static bool set_request(CURL *e, struct transfer *t, const char *user_agent, const char *ca_file, uint64_t left_ms)
{
    bool ok = set_rules(e) && set_callbacks(e, t) && set_method(e, t);
    SET(CURLOPT_URL, t->url);
    SET(CURLOPT_USERAGENT, user_agent);
    SET(CURLOPT_HTTPHEADER, t->headers);
    SET(CURLOPT_TIMEOUT_MS, (long)left_ms);
    if (ca_file)
        SET(CURLOPT_CAINFO, ca_file);
    if (t->pinned)
        SET(CURLOPT_RESOLVE, t->pinned);
    if (!transfer_by_proxy(t))
        SET(CURLOPT_PROXY, "");
    return ok;
}

int transfer_start(struct transfer *t, CURLM *multi, const char *user_agent, const char *ca_file,
                   const struct resolve_answer *pin, uint64_t left_ms)
{
    if (pin && pin_host(t, pin) < 0)
        return -ENOMEM;
    t->easy = curl_easy_init();
    if (!t->easy || !set_request(t->easy, t, user_agent, ca_file, TG_MAX(left_ms, 1u)))
        return -ENOMEM;
    if (curl_multi_add_handle(multi, t->easy) != CURLM_OK)
        return -ENOMEM;
    t->state = TRANSFER_MOVING;
    return 0;
}

void transfer_stop(struct transfer *t, CURLM *multi)
{
    if (t->state == TRANSFER_MOVING)
        curl_multi_remove_handle(multi, t->easy);
}

/* ---- the end --------------------------------------------------------------------------------------------- */

void transfer_end(struct transfer *t, int error, const char *why)
{
    snprintf(t->why, sizeof(t->why), "%s", why ? why : "");
    t->response.error = error;
    t->response.why = error ? t->why : NULL;
    t->state = TRANSFER_ENDED;
}

static int connect_error(const struct transfer *t)
{
    long os = 0;
    curl_easy_getinfo(t->easy, CURLINFO_OS_ERRNO, &os);
    return os == ENETUNREACH || os == EHOSTUNREACH ? -EHOSTUNREACH : os == ETIMEDOUT ? -ETIMEDOUT : -ECONNREFUSED;
}

static int error_of(const struct transfer *t, CURLcode result)
{
    switch (result) {
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_COULDNT_CONNECT:
        return connect_error(t);
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
        return -ECONNRESET;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR: /* ours, and not for being too big */
        return -ENOMEM;
    default:
        return -EPROTO;
    }
}

/* libcurl's longer messages may quote the peer, so only its fixed ones are passed on. */
static void fail(struct transfer *t, CURLcode result)
{
    long verified = 0;
    if (t->not_public) {
        transfer_end(t, -EPERM, "the address is not public");
    } else if (t->too_big) {
        transfer_end(t, -EMSGSIZE, "the answer is larger than allowed");
    } else if (result == CURLE_PEER_FAILED_VERIFICATION &&
               curl_easy_getinfo(t->easy, CURLINFO_SSL_VERIFYRESULT, &verified) == CURLE_OK && verified == 0) {
        transfer_end(t, -EPROTO, "the certificate is for another host");
    } else if (result == CURLE_PEER_FAILED_VERIFICATION) {
        transfer_end(t, -EPROTO, "the certificate is not trusted");
    } else {
        transfer_end(t, error_of(t, result), curl_easy_strerror(result));
    }
}

/* The next attempt begins with nothing of this one. */
static void reset(struct transfer *t, char *url)
{
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->pinned);
    free(t->url);
    t->easy = NULL;
    t->pinned = NULL;
    t->url = url;
    t->data_bytes = 0;
    t->head_bytes = t->head_at = 0;
    t->state = TRANSFER_STARTING;
}

static const char *check_redirect(const struct transfer *t, long status, const char *to)
{
    struct outbound_url next;
    if (status != 307 && status != 308)
        return "a redirect that may change the method is not followed";
    if (t->redirects_left == 0)
        return "a redirect too many";
    if (outbound_url_parse((struct tg_str){to, strlen(to)}, &next))
        return "a redirect to what is no plain http or https address";
    return outbound_same_origin(&next, &t->target) ? NULL : "a redirect to another origin is not followed";
}

/* True: followed. Refused ones are errors, so that nobody takes their page for an answer. */
static bool redirect(struct transfer *t, long status, const char *to)
{
    const char *wrong = check_redirect(t, status, to);
    char *url = wrong ? NULL : strdup(to);
    if (url) {
        t->redirects_left--;
        reset(t, url);
        return true;
    }
    transfer_end(t, wrong ? -EPROTO : -ENOMEM, wrong ? wrong : "out of memory");
    return false;
}

static void read_response(struct transfer *t)
{
    curl_off_t retry = 0;
    char *type = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry);
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    t->response.retry_after_s = retry > 0 ? (uint32_t)TG_MIN(retry, (curl_off_t)UINT32_MAX) : 0;
    t->response.content_type = (struct tg_str){type ? type : "", type ? strlen(type) : 0};
    t->response.head = (struct tg_str){t->head ? t->head + t->head_at : "", t->head_bytes - t->head_at};
    t->response.body = (struct tg_str){t->data ? t->data : "", t->data_bytes};
}

bool transfer_finish(struct transfer *t, CURLcode result)
{
    long status = 0;
    char *to = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (result != CURLE_OK) {
        fail(t, result);
        return false;
    }
    t->response.status = (uint32_t)status;
    if (curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to) == CURLE_OK && to)
        return redirect(t, status, to);
    read_response(t);
    transfer_end(t, 0, NULL);
    return false;
}

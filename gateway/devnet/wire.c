/* SPDX-License-Identifier: Apache-2.0 */
/* Reading requests from a blocking socket, and writing answers, as slowly as a fault wants. */
#include "wire.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define SEND_MS 10000
#define SEND_PIECE (16u << 10)

/* ---- waiting --------------------------------------------------------------------------------------------
 */

/* True once the socket is ready; false: too late, or the directory stops. */
static bool ready(const struct wire *c, short events, uint32_t ms)
{
    struct pollfd fds[2] = {{.fd = c->fd, .events = events}, {.fd = c->d->stop_fd, .events = POLLIN}};
    int rc;
    do
        rc = poll(fds, 2, (int)ms);
    while (rc < 0 && errno == EINTR);
    return rc > 0 && fds[0].revents && !fds[1].revents;
}

static bool receive(struct wire *c)
{
    if (c->in_len == WIRE_IN_BYTES || !ready(c, POLLIN, c->patience_ms))
        return false;
    ssize_t n = recv(c->fd, c->in + c->in_len, WIRE_IN_BYTES - c->in_len, 0);
    if (n <= 0)
        return false;
    c->in_len += (size_t)n;
    return true;
}

/* ---- requests -------------------------------------------------------------------------------------------
 */

static enum wire_result refuse(struct http_refusal *why, uint16_t status, const char *reason)
{
    *why = (struct http_refusal){status, reason};
    return WIRE_REFUSED;
}

static enum wire_result read_head(struct wire *c, struct http_head *head, size_t *head_len,
                                  struct http_refusal *why)
{
    static const struct http_limits limits = {WIRE_HEAD_MAX, WIRE_HEAD_MAX / 2, 100};
    size_t scanned = 0;
    for (;;) {
        int n = c->in_len ? http_parse_head(c->in, c->in_len, &scanned, &limits, head, why) : 0;
        if (n < 0)
            return WIRE_REFUSED;
        *head_len = (size_t)n;
        if (n > 0)
            return WIRE_OK;
        if (!receive(c))
            return WIRE_CLOSED;
    }
}

static enum wire_result read_plain(struct wire *c, uint64_t length, size_t head_len, struct http_refusal *why)
{
    if (length > WIRE_BODY_MAX)
        return refuse(why, 413, "the body is too large");
    while (c->in_len - head_len < length)
        if (!receive(c))
            return WIRE_CLOSED;
    return WIRE_OK;
}

/* Decoded in place; what follows the body on the wire stays behind it, at *used. */
static enum wire_result read_chunked(struct wire *c, size_t head_len, size_t *body_len, size_t *used,
                                     struct http_refusal *why)
{
    struct http_chunked state = {0};
    *used = head_len;
    *body_len = 0;
    for (;;) {
        size_t consumed, out_len;
        enum http_chunked_result r =
            http_chunked_decode(&state, c->in + *used, c->in_len - *used, &consumed,
                                c->in + head_len + *body_len, WIRE_BODY_MAX - *body_len, &out_len);
        *used += consumed;
        *body_len += out_len;
        if (r == HTTP_CHUNKED_DONE)
            return WIRE_OK;
        if (r != HTTP_CHUNKED_MORE)
            return r == HTTP_CHUNKED_FULL ? refuse(why, 413, "the body is too large")
                                          : refuse(why, 400, "malformed chunk");
        if (c->in_len == WIRE_IN_BYTES)
            return refuse(why, 413, "the body is too large");
        if (!receive(c))
            return WIRE_CLOSED;
    }
}

static enum wire_result read_body(struct wire *c, const struct http_head *head, size_t head_len,
                                  struct tg_str *body, size_t *used, struct http_refusal *why)
{
    enum wire_result rc = WIRE_OK;
    size_t len = 0;
    *used = head_len;
    if (head->body == HTTP_BODY_CHUNKED) {
        rc = read_chunked(c, head_len, &len, used, why);
    } else if (head->body == HTTP_BODY_LENGTH) {
        rc = read_plain(c, head->content_length, head_len, why);
        len = rc == WIRE_OK ? (size_t)head->content_length : 0;
        *used = head_len + len;
    }
    *body = (struct tg_str){c->in + head_len, len};
    return rc;
}

enum wire_result wire_read(struct wire *c, struct http_head *head, struct tg_str *body, size_t *used,
                           struct http_refusal *why)
{
    size_t head_len;
    enum wire_result rc = read_head(c, head, &head_len, why);
    if (rc != WIRE_OK)
        return rc;
    bool waits = head->expect_continue && head->body != HTTP_BODY_NONE && c->in_len == head_len;
    if (waits && !wire_send(c, TG_STR("HTTP/1.1 100 Continue\r\n\r\n")))
        return WIRE_CLOSED;
    return read_body(c, head, head_len, body, used, why);
}

void wire_consume(struct wire *c, size_t used)
{
    c->in_len -= used;
    memmove(c->in, c->in + used, c->in_len);
}

/* ---- answers --------------------------------------------------------------------------------------------
 */

static bool send_piece(struct wire *c, const char *p, size_t len)
{
    while (len > 0) {
        if (!ready(c, POLLOUT, SEND_MS))
            return false;
        ssize_t n = send(c->fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        p += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

bool wire_send(struct wire *c, struct tg_str bytes)
{
    size_t step = c->drip_ms ? 1 : SEND_PIECE;
    while (bytes.len > 0) {
        size_t n = TG_MIN(bytes.len, step);
        if (!send_piece(c, bytes.ptr, n) || (c->drip_ms && !devnet_sleep(c->d, c->drip_ms)))
            return false;
        bytes.ptr += n;
        bytes.len -= n;
    }
    return true;
}

bool wire_send_head(struct wire *c, const struct http_response *r, const char *location)
{
    char head[HTTP_HEAD_BYTES_MAX + FAULT_TEXT_MAX + 32];
    size_t len = http_write_head(head, HTTP_HEAD_BYTES_MAX, r);
    if (len == 0)
        return false;
    if (location[0]) /* instead of the empty line, and then that again */
        len += (size_t)snprintf(head + len - 2, sizeof(head) - len, "Location: %s\r\n\r\n", location) - 2;
    return wire_send(c, (struct tg_str){head, len});
}

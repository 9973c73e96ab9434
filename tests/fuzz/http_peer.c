/* SPDX-License-Identifier: Apache-2.0 */
/* Drives http_parser one byte at a time, so that the ends of head and body are known exactly. */
#include "http_peer.h"

#include <http_parser.h>
#include <stdio.h>
#include <string.h>

static int on_url(http_parser *p, const char *at, size_t n)
{
    struct peer_request *r = p->data;
    if (n > PEER_TARGET_MAX - r->target_len)
        return 1;
    memcpy(r->target + r->target_len, at, n);
    r->target_len += n;
    return 0;
}

static int on_headers_complete(http_parser *p)
{
    struct peer_request *r = p->data;
    snprintf(r->method, sizeof(r->method), "%s", http_method_str((enum http_method)p->method));
    r->head_done = true;
    r->minor = p->http_minor;
    r->chunked = (p->flags & F_CHUNKED) != 0;
    r->content_length = p->content_length;
    r->keep_alive = http_should_keep_alive(p) != 0;
    return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
    struct peer_request *r = p->data;
    if (n > PEER_BODY_MAX - r->body_len)
        return 1;
    memcpy(r->body + r->body_len, at, n);
    r->body_len += n;
    return 0;
}

static int on_message_complete(http_parser *p)
{
    ((struct peer_request *)p->data)->done = true;
    return 0;
}

void peer_parse(struct peer_request *r, const char *in, size_t len)
{
    static const http_parser_settings settings = {.on_url = on_url,
                                                  .on_headers_complete = on_headers_complete,
                                                  .on_body = on_body,
                                                  .on_message_complete = on_message_complete};
    http_parser p;
    memset(r, 0, offsetof(struct peer_request, body));
    http_parser_init(&p, HTTP_REQUEST);
    p.data = r;
    for (; r->bytes < len && !r->done && r->error == NULL; r->bytes++) {
        http_parser_execute(&p, &settings, in + r->bytes, 1);
        if (HTTP_PARSER_ERRNO(&p) != HPE_OK)
            r->error = http_errno_name(HTTP_PARSER_ERRNO(&p));
        if (r->head_done && r->head_bytes == 0)
            r->head_bytes = r->bytes + 1;
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* http_parser's side of http_bench.c: apart, because its enums have the names of ours. */
#include "http_peer.h"

#include <http_parser.h>

/* What our parser does with a span is remember it; the least the peer's user does is the same. */
static int keep_piece(http_parser *p, const char *at, size_t n)
{
    size_t *sum = p->data;
    *sum += n + (at != NULL);
    return 0;
}

size_t http_peer_parse(const char *head, size_t len)
{
    static const http_parser_settings settings = {
        .on_url = keep_piece, .on_header_field = keep_piece, .on_header_value = keep_piece};
    size_t sum = 0;
    http_parser p;
    http_parser_init(&p, HTTP_REQUEST);
    p.data = &sum;
    return http_parser_execute(&p, &settings, head, len) + sum;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* Another parser's pass over the same head, for comparison. */
#ifndef TG_BENCH_HTTP_PEER_H
#define TG_BENCH_HTTP_PEER_H

#include <stddef.h>

/* Returns a number that depends on the whole work, so that none of it can be left out. */
size_t http_peer_parse(const char *head, size_t len);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* simdjson's side of json_bench.c: apart, because it is C++. */
#ifndef TG_BENCH_JSON_PEER_H
#define TG_BENCH_JSON_PEER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Parses into a document that is kept for the next text, as ours is. */
bool json_peer_parse(const char *text, size_t len);

#ifdef __cplusplus
}
#endif

#endif

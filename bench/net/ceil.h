/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both least-work servers share: they find the end of a request's head, its Content-Length and its task_id, and
 * answer about 140 bytes that repeat the id. Nothing is checked: they show what the kernel alone costs, and are a
 * ceiling to measure against, not servers to expose.
 */
#ifndef BENCH_NET_CEIL_H
#define BENCH_NET_CEIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CEIL_ANSWER_MAX 512
#define CEIL_BLOCK_BYTES 65536

struct ceil_options {
    uint16_t port;
    int cpu; /* -1: not pinned */
    bool spin;
};

/* A block of memory that a connection has only while it is needed. */
struct ceil_block {
    struct ceil_block *next;
    uint32_t len;
    char bytes[CEIL_BLOCK_BYTES];
};

/* Reads --port, --cpu, --spin and pins the thread. Exits with one line on stderr if something is wrong. */
void ceil_parse_options(int argc, char **argv, struct ceil_options *o);

/* A listening socket on 127.0.0.1. Exits with one line on stderr if the port is taken. */
int ceil_listen(uint16_t port, bool nonblocking);

/**
 * Answers every whole request in `in` while `out` has room.
 * @answered  receives the bytes written to `out`
 * Returns the bytes of `in` used, or SIZE_MAX when a request can never fit the caller's buffer.
 */
size_t ceil_answer(const char *in, size_t len, char *out, size_t room, size_t *answered);

/* Blocks come from a free list and go back to it; only growth allocates. Exits when memory is gone. */
struct ceil_block *ceil_block_take(void);
void ceil_block_give(struct ceil_block *block);

#endif

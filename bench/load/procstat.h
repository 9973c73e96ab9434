/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says about the server: processor time, memory, switches; and about TCP on this machine. */
#ifndef BENCH_LOAD_PROCSTAT_H
#define BENCH_LOAD_PROCSTAT_H

#include <stdint.h>

struct procstat {
    uint64_t cpu_ns;             /* of all threads that are alive */
    uint64_t rss_bytes;          /* now */
    uint64_t voluntary_switches; /* of all threads that are alive: how often they went to sleep */
    uint64_t tcp_segments;       /* sent in this network namespace, by both sides and whoever else is there */
};

/* Sums over `count` processes. Returns 0, or -ESRCH if one of them cannot be read. */
int procstat_read(const int *pids, uint32_t count, struct procstat *out);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread counts while the window is open; merged over threads at the end. */
#ifndef BENCH_LOAD_STATS_H
#define BENCH_LOAD_STATS_H

#include <stdbool.h>

#include "../histogram.h"

#define STATS_STATUS_MAX 600

/* Each kind of failure once: COUNTER(name, "what it means"). */
#define STATS_ERRORS(COUNTER)                                                                                \
    COUNTER(malformed, "answers that were not HTTP")                                                         \
    COUNTER(mismatched, "answers with another task_id")                                                      \
    COUNTER(lost, "requests whose connection ended before the answer")                                       \
    COUNTER(timeouts, "requests not answered in --timeout")                                                  \
    COUNTER(unanswered, "requests still open after the drain")                                               \
    COUNTER(unsent, "requests due but never sent; they count with the wait they had")                        \
    COUNTER(tls_failures, "TLS sessions that failed")                                                        \
    COUNTER(connect_errors, "connections that could not be opened again")                                    \
    COUNTER(reconnects, "connections opened again")

struct stats {
    uint64_t responses, bytes_in, bytes_out;
    uint64_t status[STATS_STATUS_MAX];
#define COUNTER(name, what) uint64_t name;
    STATS_ERRORS(COUNTER)
#undef COUNTER
    uint64_t resumed;          /* TLS handshakes that took up an earlier session */
    uint64_t cpu_ns;           /* of the generator's own threads, while the window was open */
    struct histogram latency;  /* from the moment a request was due; refusals join it in stats_finish() */
    struct histogram accepted; /* the same without refusals: by stats_finish() */
    struct histogram service;  /* from the moment it was sent */
    struct histogram refusal;  /* the answers 429 and 503 */
    struct histogram opening;  /* of connections, from the first step to the end of the handshake */
};

void stats_reset(struct stats *s);
void stats_merge(struct stats *into, const struct stats *from);

/* After the last merge: parts latency into what was accepted and all there was. */
void stats_finish(struct stats *s);

/* Full is an answer, and one worth timing by itself. */
static inline bool stats_is_refusal(int status)
{
    return status == 429 || status == 503;
}

#endif

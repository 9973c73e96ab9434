/* SPDX-License-Identifier: Apache-2.0 */
/* Clears and adds up the counts of the threads. */
#include "stats.h"

#include <string.h>

void stats_reset(struct stats *s)
{
    memset(s, 0, sizeof(*s));
    histogram_reset(&s->latency);
    histogram_reset(&s->accepted);
    histogram_reset(&s->service);
    histogram_reset(&s->refusal);
    histogram_reset(&s->opening);
}

void stats_merge(struct stats *into, const struct stats *from)
{
    into->responses += from->responses;
    into->bytes_in += from->bytes_in;
    into->bytes_out += from->bytes_out;
    into->cpu_ns += from->cpu_ns;
    into->resumed += from->resumed;
    for (int i = 0; i < STATS_STATUS_MAX; i++)
        into->status[i] += from->status[i];
#define COUNTER(name, what) into->name += from->name;
    STATS_ERRORS(COUNTER)
#undef COUNTER
    histogram_merge(&into->latency, &from->latency);
    histogram_merge(&into->service, &from->service);
    histogram_merge(&into->refusal, &from->refusal);
    histogram_merge(&into->opening, &from->opening);
}

void stats_finish(struct stats *s)
{
    s->accepted = s->latency;
    histogram_merge(&s->latency, &s->refusal);
}

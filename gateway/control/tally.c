/* SPDX-License-Identifier: Apache-2.0 */
/* Batches: what goes into one, and when it is over. */
#include <stdio.h>
#include "tally.h"

void tally_init(struct tally *t, uint64_t prefix)
{
    *t = (struct tally){.prefix = prefix};
}

/* Of a batch that is cut at the cap only its share of the latency is told. */
static uint64_t share(uint64_t whole, uint64_t part, uint64_t of)
{
    return part == of ? whole : (uint64_t)((double)whole * ((double)part / (double)of));
}

static void fill(struct tally *t, const struct tally_counts *now)
{
    uint64_t success = now->success - t->told.success, failed = now->failed - t->told.failed;
    uint32_t s = (uint32_t)TG_MIN(success, (uint64_t)IICP_BATCH_COUNT_MAX);
    uint32_t f = (uint32_t)TG_MIN(failed, (uint64_t)IICP_BATCH_COUNT_MAX);
    uint64_t latency = share(now->latency_us - t->told.latency_us, s + f, success + failed);
    int n = snprintf(t->id, sizeof(t->id), "%016llx-%llu", (unsigned long long)t->prefix,
                     (unsigned long long)t->number++);
    t->batch = (struct iicp_batch){s, f, (double)(latency / (s + f)) / 1000, {t->id, (size_t)n}};
    t->told.success += s;
    t->told.failed += f;
    t->told.latency_us += latency;
}

struct iicp_batch tally_batch(struct tally *t, const struct tally_counts *now)
{
    bool news = now->success > t->told.success || now->failed > t->told.failed;
    if (t->batch.id.len == 0 && news)
        fill(t, now);
    return t->batch;
}

void tally_acknowledge(struct tally *t, bool named, struct tg_str accepted)
{
    if (!named || tg_str_eq(accepted, t->batch.id))
        t->batch = (struct iicp_batch){0};
}

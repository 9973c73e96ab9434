/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of finished tasks on their way to the directory: differences in numbered batches, one outstanding,
 * sent again unchanged until it is acknowledged. Whatever is lost on the way, each task is told exactly once.
 * Pure.
 */
#ifndef TG_TALLY_H
#define TG_TALLY_H

#include "gateway/dialect/iicp_directory.h"

struct tally_counts {
    uint64_t success, failed, latency_us; /* since the process began */
};

struct tally {
    struct tally_counts told; /* in acknowledged batches, and in the outstanding one */
    uint64_t prefix, number;  /* of batch ids */
    struct iicp_batch batch;  /* id.len 0: none outstanding */
    char id[IICP_BATCH_ID_MAX];
};

/** @prefix: random, so that batches of two lives of a node never look alike. */
void tally_init(struct tally *t, uint64_t prefix);

/** The batch to send now: the outstanding one, else a new one, else one without id. */
struct iicp_batch tally_batch(struct tally *t, const struct tally_counts *now);

/** The directory answered 200; @accepted names the batch it took, or is empty if it named none. */
void tally_acknowledge(struct tally *t, bool named, struct tg_str accepted);

#endif

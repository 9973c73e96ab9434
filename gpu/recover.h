/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an executor process left behind when it died: rows taken from their lanes and not completed, found from shared
 * memory alone. Whoever asks must be the lanes' only consumer now.
 * docs/decisions/0008-executor-process.md says why this is exact at whatever instant the process died.
 */
#ifndef TG_RECOVER_H
#define TG_RECOVER_H

#include "batch.h"

/* A row that was in so many dying batches is answered rather than tried again. */
#define RECOVERY_ATTEMPTS_MAX 2

/* Rows to be run once more, by lane and cursor. */
struct recovery {
    struct batch_span *spans;
    uint32_t span_count, next;
    uint32_t rows;       /* left */
    uint32_t batch_rows; /* that may go together */
};

struct recovery_counts {
    uint32_t poisoned, expired, refused;
};

/**
 * Find what is out in @lanes. Rows that were in too many dying batches, or whose deadline has passed, are answered here;
 * the others are kept for recovery_next(). Ring every lane's worker afterwards. Returns 0 or -ENOMEM, having answered none.
 */
int recovery_init(struct recovery *r, struct tg_lane *const *lanes, uint32_t lane_count, uint64_t now_ns,
                  struct recovery_counts *counts);
void recovery_finish(struct recovery *r);

/** The lane of the rows that come next, or NULL. Those that expired meanwhile are answered, and counted: ring for them. */
struct tg_lane *recovery_lane(struct recovery *r, uint64_t now_ns, struct recovery_counts *counts);

/** Up to @max rows of that lane, for a batch of their own. */
struct batch_span recovery_next(struct recovery *r, uint64_t now_ns, uint32_t max);

/** No process will come for the time being: answer what is out and what waits with TG_DEVICE. Ring afterwards. */
void recovery_refuse(struct tg_lane *const *lanes, uint32_t lane_count, struct recovery_counts *counts);

#endif

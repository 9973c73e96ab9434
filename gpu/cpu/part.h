/* SPDX-License-Identifier: Apache-2.0 */
/* How a batch is cut into parts for several compute threads, and how one part is run. */
#ifndef TG_CPU_PART_H
#define TG_CPU_PART_H

#include "../backend.h"

/* Less work than this in one part is eaten up by handing it over. */
#define TG_CPU_PART_NS 20000
/* More parts than threads, so that a thread the kernel holds up delays a fraction of its share only. */
#define TG_CPU_PARTS_PER_THREAD 4

/** Rows of one part of a batch of @count rows; the last part may be smaller. @row_ns 0: never cut. */
uint32_t tg_cpu_part_rows(uint32_t count, uint32_t row_ns, uint32_t threads);

/**
 * Run rows @first ... @first + @count - 1 of the job's batch.
 * @ready_ns  gets the latest instant the runner asked for, 0 if none
 * Returns 0 or the runner's negative errno. Allocates nothing. Thread: any; several may run parts of one job.
 */
int tg_cpu_part_run(const struct tg_job *job, uint32_t first, uint32_t count, uint64_t *ready_ns);

#endif

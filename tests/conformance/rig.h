/* SPDX-License-Identifier: Apache-2.0 */
/* A device on the bench: one of the variants, opened, with a lane and the scramble runner loaded. */
#ifndef TG_TEST_RIG_H
#define TG_TEST_RIG_H

#include "../support/rows.h"
#include "gpu/backend.h"
#include "scramble.h"

#define RIG_STREAMS 8
#define RIG_SEGMENTS 256

struct variant {
    const char *name, *backend, *spec;
    uint32_t threads;
    bool computes;
    bool kernels; /* computes with kernels: what the host's run_batch() does besides is not done */
};

extern const struct variant variants[];
extern const size_t variant_count;

/* A job and where its rows lie in the lane (each piece is consecutive rows). */
struct rig_job {
    struct tg_job job;
    struct tg_segment segments[RIG_SEGMENTS];
    uint32_t first, count;
    bool running;
};

struct rig {
    const struct tg_backend *backend;
    struct tg_device *device;
    struct tg_error why;
    bool kernels;
    struct scramble self;
    struct test_lane lane;
    struct rig_job jobs[RIG_STREAMS];
    struct tg_doorbell *doorbell;
    uint64_t seed;
};

extern const struct tg_host rig_host;

/** Open the device. Returns what open returned; the runner is not loaded and there is no lane yet. */
int rig_open_only(struct rig *rig, const struct variant *v);
/** Open, attach a lane of @lane_rows rows, load. Asserts that all goes well. */
void rig_open(struct rig *rig, const struct variant *v, uint32_t row_ns, uint32_t lane_rows);
void rig_close(struct rig *rig);

/**
 * Fill @n free rows with random bytes and make them the batch of @stream, in segments as the lane has
 * them.
 */
struct rig_job *rig_prepare(struct rig *rig, uint32_t stream, uint32_t n);
/** The same rows in at least @pieces segments (as if they came from several lanes). */
void rig_cut(struct rig *rig, struct rig_job *job, uint32_t pieces);
/** The row @i of a job. */
struct tg_row *rig_row(struct rig *rig, struct rig_job *job, uint32_t i);
int rig_submit(struct rig *rig, struct rig_job *job);
/** One poll by the clock. True if the job has ended. */
bool rig_poll(struct rig *rig, struct rig_job *job);
/** Poll until the job has ended. */
void rig_finish(struct rig *rig, struct rig_job *job);
/** Number of rows of a finished job that differ from the reference. 0 is right. */
uint32_t rig_wrong_rows(struct rig *rig, struct rig_job *job);
/** Free the job's rows, output full of canaries again. */
void rig_retire(struct rig *rig, struct rig_job *job);
/** True if no byte of output changed in the lane's rows outside of @job's. */
bool rig_canaries_alive(struct rig *rig, const struct rig_job *job);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with CUDA, in our words. No CUDA header is needed, so this part is built and tested everywhere. */
#ifndef TG_CUDA_FAULTS_H
#define TG_CUDA_FAULTS_H

#include "../backend.h"

struct tg_cuda_fault {
    const char *name;
    int code;
    enum tg_device_fault fault;
    int error; /* negative errno */
};

/** The meaning of a cudaError_t other than 0. Never NULL. Slow path: walks a table. */
const struct tg_cuda_fault *tg_cuda_fault_of(int code);

/** The same for what a runner's launch() returned: a negative errno is the task's own fault. */
struct tg_cuda_fault tg_cuda_fault_of_launch(int rc);

/* ---- why there is no device ------------------------------------------------------------------------------ */

enum tg_cuda_reason {
#define CUDA_REASON(id, word, error, text) TG_CUDA_##id,
#include "cuda_reasons.def"
#undef CUDA_REASON
    TG_CUDA_REASONS
};

/* What a look at the machine brought: return codes are cudaError_t, versions as CUDA writes them (13000). */
struct tg_cuda_sight {
    int driver_rc, driver_version;
    int runtime_version;
    int count_rc, count;
};

enum tg_cuda_reason tg_cuda_judge(const struct tg_cuda_sight *seen);
/** One line for @why, its field the reason's word; returns the reason's negative errno, 0 for TG_CUDA_USABLE. */
int tg_cuda_explain(enum tg_cuda_reason reason, const struct tg_cuda_sight *seen, struct tg_error *why);
/** "no_driver": as it stands in readiness, logs and metrics. */
const char *tg_cuda_reason_word(enum tg_cuda_reason reason);

#endif

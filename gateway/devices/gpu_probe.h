/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the driver what GPUs there are, at arm's length. */
#ifndef TG_GPU_PROBE_H
#define TG_GPU_PROBE_H

#include "gpu/backend.h"
#include "tg/gpu.h"

struct gpu_probe {
    int rc; /* 0, or negative errno with the reason */
    uint32_t count;
    struct tg_error why;
    struct tg_device_info seen[TG_DEVICES_MAX]; /* in the order of CUDA's indices */
};
_Static_assert(sizeof(struct gpu_probe) <= 4096, "it passes through a pipe in one piece");

/**
 * By a process of its own: who has asked the driver once cannot leave it to another process any more. A
 * driver that does not answer in time counts as none. Thread: while there is only one.
 * @visible  instead of CUDA_VISIBLE_DEVICES; NULL: as it is
 */
struct gpu_probe gpu_probe_apart(const char *visible);

#endif
